"""Face-aware retrieval (ProS): the rules by which rows of a pool are kept, on landmarks and features alone.

What turns videos into features is in `preface_hf.curation.curate`: data does not know of encoders.
The source states that images that are mostly face are retrieved from a larger pool; rules and numbers are chosen.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import compress
from typing import Any

import numpy as np

from preface_hf.curation.neighbors import Backend, near_duplicates, nearest, unit_rows
from preface_hf.faces.landmarks import hull_areas


LOW_COVERAGE, NEAR_DUPLICATE, FAR = "low face coverage", "near-duplicate", "far from the query"


@dataclass
class PoolRow:
    """A row of the pool and what became of it: a line of the report.

    `coverage` is a share of the crop's area. `similarity` is the cosine to `neighbor`: for a near-duplicate the
    instance id, in the pool, of the row that was kept instead; else that of the nearest row of the query, if there
    is one, and if not of the most similar row kept before it. `instance_id` is the id in the curated set, None where
    the row was dropped for `reason`.
    """

    pool_id: int
    split: str
    source: str
    coverage: float | None = None
    reason: str | None = None
    similarity: float | None = None
    neighbor: int | None = None
    instance_id: int | None = None

    def line(self) -> dict[str, Any]:
        """The row as the report writes it."""
        values = asdict(self)
        numbers = {name: round(values[name], 4) for name in ("coverage", "similarity") if values[name] is not None}
        return {"status": "kept" if self.reason is None else "dropped", **values, **numbers}


@dataclass
class FeatureTable:
    """Features float32 `(n, d)`, the instance ids `(n,)` of the rows that they describe and, if known, the `source`
    of each id."""

    instance_ids: np.ndarray
    features: np.ndarray
    sources: dict[int, str] | None = None


def face_coverage(landmarks: np.ndarray, height: int, width: int) -> float:
    """Share of a crop of `height` x `width` pixels that the convex hull of the landmarks `(frames, 68, 2)` covers.

    The median over the frames, in [0, 1]: points outside the crop count as on its edge. 0 for landmarks that are not
    finite, or none.
    """
    if not len(landmarks) or not np.isfinite(landmarks).all():
        return 0.0
    # the last pixel's center is at width - 1: what lies outside is moved to the edge before the hull is taken
    inside = np.clip(landmarks, 0, np.array([width - 1, height - 1], landmarks.dtype))
    return float(np.median(hull_areas(inside))) / (height * width)


def common_center(features: np.ndarray) -> np.ndarray | None:
    """The mean `(d,)` of `features` `(n, d)`, float64; None where they differ by no more than rounding does."""
    mean = features.mean(axis=0, dtype=np.float64)  # (d,)
    return mean if np.abs(features - mean).max() > 1e-5 * np.abs(mean).max() else None


def choose(
    rows: list[PoolRow],
    features: np.ndarray,
    query: FeatureTable | None = None,
    *,
    neighbors: int = 32,
    max_similarity: float = 0.95,
    center: bool = True,
    backend: Backend = "numpy",
) -> None:
    """Write into `rows` of the pool, `features` `(rows, d)`, why each is dropped, after those that have a reason yet.

    First, in their order, near-duplicates go: rows whose cosine with one kept before is above `max_similarity`. Then
    stays what is among the `neighbors` nearest of what is left to at least one row of the query.

    Args:
        center: take the pool's mean from all features before the cosine.
        backend: of the search, see [`preface_hf.curation.neighbors`].
    """
    candidates = [row for row in rows if row.reason is None]
    if not candidates:
        return
    values = features[[row.reason is None for row in rows]]
    mean = common_center(values) if center else None
    units = unit_rows(values, mean)  # (candidates, d), of length 1
    dropped, similarities, indices = near_duplicates(units, max_similarity, backend)
    # The first row has no row before it, so it is compared to nothing.
    for position in range(1, len(candidates)):
        candidates[position].similarity = float(similarities[position])
        candidates[position].neighbor = candidates[indices[position]].pool_id
        candidates[position].reason = NEAR_DUPLICATE if dropped[position] else None
    if query is None:
        return
    # of the rows that are left: those among the nearest of a row of the query stay, all others go
    queries, keys = unit_rows(query.features, mean), units[~dropped]
    near = np.unique(nearest(queries, keys, neighbors, backend)[1])
    similarities, indices = nearest(keys, queries, 1, backend)
    for position, row in enumerate(compress(candidates, ~dropped)):
        row.similarity = float(similarities[position, 0])
        row.neighbor = int(query.instance_ids[indices[position, 0]])
        row.reason = FAR
    kept = list(compress(candidates, ~dropped))
    for position in near:
        kept[position].reason = None
