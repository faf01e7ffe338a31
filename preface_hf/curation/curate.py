"""`curate`: from a pool, a prepared set, to the rows of it that are worth training on, a prepared set again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from preface_hf.curation.feature_files import features_of, read_features
from preface_hf.curation.neighbors import Backend, check_backend
from preface_hf.curation.rules import LOW_COVERAGE, FeatureTable, PoolRow, choose, face_coverage
from preface_hf.curation.writing import write_curated
from preface_hf.data.checking import check_row
from preface_hf.data.opening import PreparedSet, open_splits, stream_rows
from preface_hf.features.encoders import Encoder, load_encoder
from preface_hf.files import check_path
from preface_hf.progress import rows_shown
from preface_hf.video.decoding import open_video
from preface_hf.video.windows import Window, windows


READ = ["instance_id", "video", "landmarks", "source", "num_frames", "fps", "start_seconds"]


@dataclass
class CurateSummary:
    """What a curated set holds: rows of each split, how many were dropped for each reason, where the report lies."""

    splits: dict[str, int]
    dropped: dict[str, int]
    report: Path


def curate(
    pool: str | Path,
    out: str | Path,
    *,
    model: str | Path | None = None,
    features: str | Path | None = None,
    query: str | Path | None = None,
    neighbors: int = 32,
    max_similarity: float = 0.95,
    min_coverage: float = 0.1,
    center: bool = True,
    batch_size: int = 8,
    backend: Backend = "numpy",
) -> CurateSummary:
    """Keep of a pool what shows enough face, is no near-duplicate and is near to the query; write it to `out`.

    Args:
        pool: prepared set, all splits of which are one pool (`train` first).
        out: the new prepared set: the pool's columns, `instance_id` from 0 on, and `pool_id`, the id in the pool.
        model: checkpoint folder or Hub name that makes the features; the mean over a row's windows is taken.
        features: instead, a parquet file of the pool's features: `preface-hf extract MODEL POOL features.parquet`, or
            of any other encoder in the columns `instance_id` and `feature`.
        query: faces to retrieve by: a prepared set, or with `features` a parquet file like that. Without it all stay.
        neighbors: how many of the pool's rows each row of the query brings.
        max_similarity: of two rows whose cosine is above this, in [-1, 1], the first in the pool is kept; 1 keeps all.
        min_coverage: least share of the crop that the landmarks' hull covers, in [0, 1].
        center: take the pool's mean from all features before the cosine.
        batch_size: windows a forward pass.
        backend: `numpy` or `faiss`, exact and the same, or `faiss-ivf`, approximate and quick for large pools.

    Raises `ValueError` for options that make no sense, a pool, query or file that cannot be read or belongs to another
    set, an `out` that exists, an encoder that fails, and where nothing would be kept; then nothing is written.
    """
    target = Path(out)
    check_options(target, model, features, neighbors, max_similarity, min_coverage, batch_size)
    check_backend(backend)
    sets = open_splits(pool)
    encoder = load_encoder(model) if model is not None else None
    # the query and the features are read before the long work, so that a mistake in them shows at once
    query_table = None if query is None else read_query(query, encoder, batch_size)
    table = None if features is None else read_features(Path(features))
    rows, values = embed(sets, encoder, batch_size, min_coverage)
    if all(row.reason for row in rows):
        raise ValueError(f"no row of {str(pool)!r} is left, the first for {rows[0].reason}: lower min_coverage.")
    if table is not None:
        values = features_of(table, rows, Path(str(features)))
    if query_table is not None and values.shape[1:] != query_table.features.shape[1:]:
        widths = f"{values.shape[1]} and {query_table.features.shape[1]}"
        raise ValueError(f"features of pool and query are {widths} wide: take both from one encoder.")
    choose(
        rows, values, query_table, neighbors=neighbors, max_similarity=max_similarity, center=center, backend=backend
    )  # fmt: skip
    # What follows a colon differs from row to row, so it is left out of the counts.
    dropped = Counter(row.reason.split(":")[0] for row in rows if row.reason)
    paths = {"pool": pool, "model": model, "features": features, "query": query}
    options: dict[str, Any] = {name: None if path is None else str(path) for name, path in paths.items()}
    options |= {"neighbors": neighbors, "max_similarity": max_similarity, "min_coverage": min_coverage}
    options |= {"center": center, "backend": backend}
    return CurateSummary(write_curated(target, sets, rows, options), dict(dropped), target / "report.jsonl")


def check_options(
    out: Path, model: object, features: object, neighbors: int, similarity: float, coverage: float, batch_size: int
) -> None:
    """Raise `ValueError` for options of `curate` that make no sense, or an `out` that holds anything."""
    check_path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{str(out)!r} exists: choose a new or empty folder.")
    if (model is None) == (features is None):
        raise ValueError("give either model (a checkpoint) or features (a parquet file of the pool), and not both.")
    if not -1 <= similarity <= 1:
        raise ValueError(f"max_similarity {similarity} is no cosine: choose one within [-1, 1], for example 0.95.")
    if not 0 <= coverage <= 1:
        raise ValueError(f"min_coverage {coverage} is no share: choose one within [0, 1], for example 0.1.")
    if neighbors < 1 or batch_size < 1:
        raise ValueError(f"neighbors {neighbors} and batch_size {batch_size} must be at least 1.")


def embed(
    sets: dict[str, PreparedSet], encoder: Encoder | None, batch_size: int = 8, min_coverage: float = 0.0
) -> tuple[list[PoolRow], np.ndarray]:
    """The rows of all splits, in order, and their features float32 `(rows, d)`, the means over their windows.

    A row that cannot be decoded or covers less than `min_coverage` has a reason, and a feature that means nothing.
    Without an encoder the features are `(rows, 0)`. Raises `ValueError` if the encoder fails or gives a number that is
    not finite.
    """
    rows: list[PoolRow] = []
    total = sum(data.num_rows for data in sets.values())
    clips = pool_clips(sets, encoder, min_coverage, rows)
    # How wide features are shows only with the first batch, which may hold windows of several rows.
    sums, counts = np.zeros((total, 0), np.float32), np.zeros(total, np.float32)
    while block := list(islice(clips, batch_size)):
        positions = [position for position, _ in block]
        weights = np.array([window.weight for _, window in block], np.float32)
        try:
            features = encoder([window.frames for _, window in block])  # type: ignore[misc]
        except Exception as error:  # whatever an encoder may raise, out of memory included
            raise ValueError(
                f"the encoder failed at row {rows[positions[0]].pool_id} ({' '.join(str(error).split())}): "
                f"try `preface-hf extract` on the set, or a smaller batch size."
            ) from error
        broken = [rows[positions[i]].pool_id for i in np.flatnonzero(~np.isfinite(features).all(axis=1))]
        if broken:
            raise ValueError(f"the encoder gives no finite feature for row {broken[0]}: take another checkpoint.")
        sums = sums if sums.shape[1] else np.zeros((total, features.shape[1]), np.float32)
        # Not `sums[positions] += features`, which counts a row's windows of one batch once only.
        np.add.at(sums, positions, features * weights[:, None])
        np.add.at(counts, positions, weights)
    return rows, sums / np.maximum(counts, 1)[:, None]


def pool_clips(
    sets: dict[str, PreparedSet], encoder: Encoder | None, min_coverage: float, rows: list[PoolRow]
) -> Iterator[tuple[int, Window]]:
    """Windows with the position of their row, each of which is added to `rows`."""
    for split, data in sets.items():
        stream = stream_rows(
            data.rows.select_columns([name for name in READ if name in data.rows.column_names]).with_format("numpy")
        )
        for row in rows_shown(stream, f"curate {split}", data.num_rows):
            rows.append(PoolRow(int(row["instance_id"]), split, str(row["source"])))
            try:
                check_row(row)
                video = open_video(row["video"]["bytes"])
                # One frame tells the size of a crop: rows without enough face are dropped before the rest is decoded.
                size = video.frames([0]).shape[1:3]
                coverage = rows[-1].coverage = face_coverage(np.asarray(row["landmarks"], np.float32), *size)
                if coverage < min_coverage:
                    rows[-1].reason = LOW_COVERAGE
                elif encoder:
                    for window in windows(video, *encoder.clip):
                        yield len(rows) - 1, window
            except (ValueError, OSError) as error:
                rows[-1].reason = f"cannot be decoded: {' '.join(str(error).split())}"


def read_query(query: str | Path, encoder: Encoder | None, batch_size: int = 8) -> FeatureTable:
    """Features of the query's rows: a prepared set through the encoder, or without one a parquet file of features."""
    if encoder is None:
        return read_features(Path(query))
    rows, values = embed(open_splits(query), encoder, batch_size)
    for row in rows:
        if row.reason:
            raise ValueError(f"row {row.pool_id} of the query {str(query)!r} {row.reason}: prepare it again.")
    return FeatureTable(np.array([row.pool_id for row in rows]), values)
