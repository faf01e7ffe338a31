"""Files of features, as `extract` writes them: one vector per row of a prepared set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from preface_hf.curation.rules import FeatureTable, PoolRow


def read_features(file: Path) -> FeatureTable:
    """Read a parquet file with `instance_id` and `feature`: the mean feature of each id, ids rising.

    Windows of an id count by their `num_frames` where there is that column, else alike.

    Raises `ValueError` for a file without these columns, without rows, or with features that are not finite or differ
    in width.
    """
    advice = "write it with `preface-hf extract MODEL PREPARED_SET FILE`."
    try:
        with pq.ParquetFile(file) as reader:
            columns = set(reader.schema_arrow.names)
            if missing := [name for name in ("instance_id", "feature") if name not in columns]:
                raise ValueError(f"no column {', '.join(missing)}")
            labels = reader.read(
                [name for name in ("instance_id", "source", "num_frames") if name in columns]
            ).to_pydict()
            ids = np.unique(np.array(labels["instance_id"], np.int64))
            if not len(ids):
                raise ValueError("no row")
            # a row of the pool may have several windows: their features are summed up, a batch in memory at a time
            sums, counts = np.zeros((len(ids), 0), np.float32), np.zeros(len(ids), np.float32)
            weights, done = window_weights(ids, labels), 0
            for batch in reader.iter_batches(4096, columns=["instance_id", "feature"]):
                values = batch["feature"].flatten().to_numpy().reshape(len(batch), -1)
                # `ids` are sorted and differ, so a search finds the place of each row's id.
                slots = np.searchsorted(ids, batch["instance_id"].to_numpy())
                sums = sums if sums.shape[1] else np.zeros((len(ids), values.shape[1]), np.float32)
                share = weights[done : done + len(batch)]
                np.add.at(sums, slots, values * share[:, None])
                np.add.at(counts, slots, share)
                done += len(batch)
    except (OSError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot read features from {str(file)!r} ({reason}): {advice}") from error
    if not np.isfinite(sums).all():
        raise ValueError(f"{str(file)!r} holds features that are not finite: {advice}")
    sources = dict(zip(labels["instance_id"], labels["source"], strict=True)) if "source" in labels else None
    return FeatureTable(ids, sums / counts[:, None], sources)


def window_weights(ids: np.ndarray, labels: dict[str, list]) -> np.ndarray:
    """What each row of `labels` counts for, float32 `(rows,)`: its `num_frames`, as a share of the most of its id."""
    frames = np.array([max(count or 1, 1) for count in labels.get("num_frames", [1] * len(labels["instance_id"]))])
    slots = np.searchsorted(ids, np.array(labels["instance_id"], np.int64))
    most = np.zeros(len(ids))
    np.maximum.at(most, slots, frames)
    return (frames / most[slots]).astype(np.float32)


def features_of(table: FeatureTable, rows: list[PoolRow], file: Path) -> np.ndarray:
    """Features `(rows, d)` of a pool's rows, in their order; what is dropped already may have none.

    Raises `ValueError` where ids or sources of the table are not those of the pool, or one is missing.
    """
    ids = np.array([row.pool_id for row in rows])
    if len(np.unique(ids)) < len(ids) or not np.isin(table.instance_ids, ids).all():
        raise ValueError(
            f"{str(file)!r} holds features of another set: its instance ids are not the pool's; extract the pool."
        )
    sources = {row.pool_id: row.source for row in rows}
    for instance_id, source in (table.sources or {}).items():
        if sources[instance_id] != source:
            raise ValueError(
                f"{str(file)!r} holds features of another set: row {instance_id} is {source!r} there and "
                f"{sources[instance_id]!r} in the pool; extract the pool."
            )
    # Rows that are dropped already need no feature.
    pool_ids = np.array([row.pool_id for row in rows if row.reason is None], np.int64)
    if len(missing := np.setdiff1d(pool_ids, table.instance_ids)):
        raise ValueError(f"{str(file)!r} has no feature of row {missing[0]} of the pool: extract the whole pool.")
    # a row that was dropped before may have no feature: it gets any, which nobody reads
    slots = np.minimum(np.searchsorted(table.instance_ids, ids), len(table.instance_ids) - 1)
    return table.features[slots]
