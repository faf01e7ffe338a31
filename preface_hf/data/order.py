"""The order of a stream: which row of which row group comes n-th, as a pure function of seed and position.

A group is a row group of a parquet file, the least that is read at once. Every epoch of a set permutes its groups;
windows of neighboring groups follow each other, and within a window rows come in random order, but any run of them is
spread evenly over the window. So the rows of a global batch, sorted by their place in the window, can be cut into
equal parts for the training processes: each reads a part of every window, which hardly overlaps with the others'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


BLOCK = 1000  # draws in which several sets have exactly their shares
GOLDEN = (5**0.5 - 1) / 2


class Draw(NamedTuple):
    """Row `row` of group `group` (counted over all sets); `place` in [0, 1) is where its window holds it."""

    set: int
    epoch: int
    window: int
    group: int
    row: int
    place: float


def shares_of(weights: Sequence[float]) -> np.ndarray:
    """Draws of each set in `BLOCK`, int64 `(sets,)`, by largest remainder."""
    exact = BLOCK * np.asarray(weights, dtype=np.float64) / sum(weights)
    shares = np.floor(exact).astype(np.int64)
    # The draws that are left go to the sets that lost most by rounding down, of equal ones to the first.
    shares[np.argsort(shares - exact, kind="stable")[: BLOCK - shares.sum()]] += 1
    return shares


def draws(
    counts: Sequence[np.ndarray], shares: np.ndarray, seed: int, window: int, position: int = 0
) -> Iterator[Draw]:
    """The endless order of several sets from draw `position` on.

    Args:
        counts: rows of each group, `(groups,)` a set.
        shares: draws of each set in `BLOCK`, see [`shares_of`].
        window: rows, about, that are shuffled together.
    """
    block, offset = divmod(position, BLOCK)
    sets = sets_of_block(shares, seed, block)[offset:]
    # Every block has the same shares, so that what each set has given before needs no counting.
    starts = (block + 1) * shares - np.bincount(sets, minlength=len(shares))  # (sets,)
    streams = [set_draws(counts, number, seed, window, int(start)) for number, start in enumerate(starts)]
    while True:
        for number in sets:
            yield next(streams[number])
        block += 1
        sets = sets_of_block(shares, seed, block)


def sets_of_block(shares: np.ndarray, seed: int, block: int) -> np.ndarray:
    """The set of each draw of a block, int64 `(BLOCK,)`."""
    return np.random.default_rng([seed, block]).permutation(np.repeat(np.arange(len(shares)), shares))


def set_draws(counts: Sequence[np.ndarray], number: int, seed: int, window: int, position: int) -> Iterator[Draw]:
    """The endless order of set `number` alone, from its draw `position` on."""
    rows = counts[number]
    first_group = sum(len(others) for others in counts[:number])
    # An epoch holds every row of the set once.
    epoch, skipped = divmod(position, int(rows.sum()))
    while True:
        for index, groups in enumerate(windows_of_epoch(rows, [seed, number, epoch], window)):
            length = int(rows[groups].sum())
            if skipped < length:  # a window that lies before the position is passed over without its order
                order = window_order(rows[groups], [seed, number, epoch, index])
                for group, row, place in zip(*(values[skipped:].tolist() for values in order), strict=True):
                    yield Draw(number, epoch, index, first_group + int(groups[group]), row, place)
            skipped = max(0, skipped - length)
        epoch += 1


def windows_of_epoch(rows: np.ndarray, seeds: list[int], window: int) -> list[np.ndarray]:
    """The permuted groups of an epoch, cut into windows: those whose first row lies in the same `window` rows."""
    groups = np.random.default_rng(seeds).permutation(len(rows))
    # The place of each group's first row in the permuted epoch, (groups,).
    starts = np.cumsum(rows[groups]) - rows[groups]
    return np.split(groups, np.flatnonzero(np.diff(starts // window)) + 1)


def window_order(rows: np.ndarray, seeds: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order of a window whose groups have these `rows`: group in the window, row in it, place; each `(n,)`."""
    rng = np.random.default_rng(seeds)
    group = np.repeat(np.arange(len(rows)), rows)
    row = np.concatenate([rng.permutation(count) for count in rows])
    # Multiples of the golden ratio, modulo 1, spread any run of them evenly: their ranks order the window.
    spread = (rng.random() + GOLDEN * np.arange(len(group))) % 1
    places = np.argsort(np.argsort(spread))
    return group[places], row[places], places / len(group)


def rows_in_order(counts: Sequence[np.ndarray], indices: np.ndarray) -> Iterator[Draw]:
    """The rows `indices`, int64 `(n,)`, of all sets one after the other, as stored; every group is a window."""
    # A window a group: the reader drops each group as soon as the next one begins.
    rows = np.concatenate(counts)
    ends = np.cumsum(rows)
    for index in indices.tolist():
        group = int(np.searchsorted(ends, index, side="right"))
        yield Draw(0, 0, group, group, index - int(ends[group] - rows[group]), 0.0)


def spread_rows(counts: Sequence[np.ndarray], first: int = 0) -> np.ndarray:
    """The rows from `first` on, int64 `(n,)`, of all sets one after the other: group by group, the groups in an order
    that is drawn once."""
    ends = np.cumsum(np.concatenate(counts))
    rows = np.arange(first, ends[-1])
    # The seed is fixed: the order is the same for all runs on these sets.
    ranks = np.random.default_rng(0).permutation(len(ends))  # of the groups
    return rows[np.argsort(ranks[np.searchsorted(ends, rows, side="right")], kind="stable")]
