"""Cosine neighbors and near-duplicates of features: exact, and the same on every machine.

Unit vectors are rounded to multiples of 2⁻¹¹. Then every product is a multiple of 2⁻²² and every partial sum stays
below 4, which float32 holds without rounding: whatever the block size, the threads or the library, the similarities
are the same bits, and ties are broken by order. The rounding moves a cosine by less than 0.001, and
float16 holds the rows.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np


# numpy and faiss (IndexFlatIP) are exact and the same. faiss-ivf is approximate: it looks into the nearest cells only.
Backend = Literal["numpy", "faiss", "faiss-ivf"]
BLOCK = 4096  # rows of a matrix product; exact results do not depend on it
CELLS_SEARCHED = 8  # of about √n cells
_STEPS = 2**11
_ROOM = 2**32  # of an index below a similarity in one int64


def unit_rows(features: np.ndarray, center: np.ndarray | None = None) -> np.ndarray:
    """`features` `(n, d)` less `center` `(d,)`, at length 1, rounded to multiples of 2⁻¹¹: float16 `(n, d)`.

    A row of length 0 stays 0: it is similar to nothing.
    """
    rows = np.empty(features.shape, np.float16)
    for start in range(0, len(features), BLOCK):
        block = features[start : start + BLOCK].astype(np.float64) - (0 if center is None else center)
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        rows[start : start + BLOCK] = np.rint(block / np.where(lengths > 0, lengths, 1) * _STEPS) / _STEPS
    return rows


def check_backend(backend: Backend) -> None:
    """Raise `ValueError` for a backend that is unknown or not installed."""
    if backend not in get_args(Backend):
        raise ValueError(f"unknown backend {backend!r}: choose one of {', '.join(get_args(Backend))}.")
    if backend != "numpy" and find_spec("faiss") is None:
        raise ValueError(f"backend {backend!r} needs faiss: pip install preface-hf[curation], or take 'numpy'.")


def nearest(
    queries: np.ndarray, keys: np.ndarray, k: int = 1, backend: Backend = "numpy"
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` most similar `keys` `(m, d)` of each of `queries` `(n, d)`, both of [`unit_rows`], m at least 1.

    Returns similarities float32 `(n, min(k, m))`, falling, and indices int64 of that shape; the lower index goes first
    where two keys are equally similar.
    """
    index = Index(keys, backend)
    index.add(keys)
    codes = [index.search(queries[start : start + BLOCK], k) for start in range(0, len(queries), BLOCK)]
    similarities, indices = decode(np.concatenate(codes))
    return np.clip(similarities, -1, 1), indices


def near_duplicates(
    rows: np.ndarray, threshold: float, backend: Backend = "numpy"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Go through `rows` `(n, d)` of [`unit_rows`] in order and drop each whose cosine with a row that was kept before
    is above `threshold`; at a threshold of 1 none is.

    Returns which are dropped, bool `(n,)`, and of the most similar row kept before: the similarity, float32 `(n,)`,
    and the index, int64 `(n,)`; for the first row they are -1.
    """
    limit = threshold if threshold < 1 else np.inf  # rounded rows may be a little longer than 1
    kept, origin = Index(rows, backend), np.empty(0, np.int64)
    dropped, best = np.zeros(len(rows), bool), np.full(len(rows), np.iinfo(np.int64).max)
    for start in range(0, len(rows), BLOCK):
        block, part = rows[start : start + BLOCK], slice(start, start + BLOCK)
        if len(origin):
            similarity, position = decode(kept.search(block, 1)[:, 0])
            best[part], dropped[part] = encode(similarity, origin[position]), similarity > limit
        # Then rows of the block among themselves: only those before a row count (below the diagonal).
        among = cosines(block, block)
        among[np.triu_indices(len(block))] = -2
        # One after the other: a row is dropped only for one that is itself kept.
        for i in np.flatnonzero((among > limit).any(axis=1)):
            dropped[start + i] |= bool((among[i, :i][~dropped[start : start + i]] > limit).any())
        among[:, dropped[part]] = -2
        best[part] = np.minimum(best[part], best_codes(among, start, 1)[:, 0])
        origin = np.concatenate([origin, start + np.flatnonzero(~dropped[part])])
        kept.add(block[~dropped[part]])
    similarity, neighbor = decode(best)
    neighbor[:1] = -1
    return dropped, np.clip(similarity, -1, 1), neighbor


class Index:
    """Rows of [`unit_rows`] that can be added to and searched. `sample` `(m, width)`, rows like those that will be
    added, tells the width, and faiss-ivf where to put its cells (below 1,000 it has none, and is exact)."""

    def __init__(self, sample: np.ndarray, backend: Backend = "numpy"):
        check_backend(backend)
        self.blocks: list[np.ndarray] = []
        self.size = 0
        self.faiss: Any = None
        if backend != "numpy":
            import faiss

            self.faiss = faiss.IndexFlatIP(sample.shape[1])
        if backend == "faiss-ivf" and len(sample) >= 1000:
            cells = int(np.sqrt(len(sample)))
            self.faiss = faiss.IndexIVFFlat(self.faiss, sample.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
            self.faiss.nprobe = CELLS_SEARCHED
            # About 50 rows a cell are enough to place the cells; faiss asks for 39 or more.
            self.faiss.train(sample[:: max(len(sample) // (50 * cells), 1)].astype(np.float32))

    def add(self, rows: np.ndarray) -> None:
        """Append `rows` `(n, width)`; their indices go on from `size`."""
        self.blocks += [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
        self.size += len(rows)
        if self.faiss is not None:
            self.faiss.add(rows.astype(np.float32))

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Codes int64 `(n, min(k, size))` of the nearest rows of `queries` `(n, width)`, rising: the best first."""
        if self.faiss is None or k >= self.size:
            return self._search_blocks(queries, k)
        # One more than asked for: it shows whether the last place is tied.
        similarities, indices = self.faiss.search(queries.astype(np.float32), k + 1)
        codes = np.sort(encode(similarities[:, :k], indices[:, :k]), axis=1)
        # faiss may have left out the lower index of a tie, or found too few
        tied = similarities[:, k - 1] == similarities[:, k]
        codes[tied] = self._search_blocks(queries[tied], k)
        return codes

    def _search_blocks(self, queries: np.ndarray, k: int) -> np.ndarray:
        best, first = np.empty((len(queries), 0), np.int64), 0
        for block in self.blocks:
            best = np.concatenate([best, best_codes(cosines(queries, block), first, k)], axis=1)
            best = np.sort(best, axis=1)[:, :k]
            first += len(block)
        return best


def cosines(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Exact cosines float32 `(n, m)` of rows `(n, d)` and `(m, d)` of [`unit_rows`]."""
    return queries.astype(np.float32) @ keys.astype(np.float32).T


def best_codes(similarities: np.ndarray, first: int, k: int) -> np.ndarray:
    """Codes `(n, min(k, m))` of the largest of `similarities` `(n, m)`, whose columns are the indices from `first`."""
    if k == 1:
        column = similarities.argmax(axis=1)[:, None]
        return encode(np.take_along_axis(similarities, column, axis=1), first + column)
    codes = encode(similarities, first + np.arange(similarities.shape[1]))
    return codes if k >= codes.shape[1] else np.partition(codes, k - 1, axis=1)[:, :k]


def encode(similarities: np.ndarray, indices: np.ndarray | int) -> np.ndarray:
    """Similarity and index in one int64 that is smaller the more similar, then the lower the index."""
    # A similarity is a multiple of 1 / _STEPS²: as an integer it keeps every bit.
    return indices - (similarities * _STEPS**2).astype(np.int64) * _ROOM


def decode(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarities float32 and indices int64 of codes by [`encode`], of the codes' shape."""
    return (-(codes // _ROOM) / _STEPS**2).astype(np.float32), codes % _ROOM
