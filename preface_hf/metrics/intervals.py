"""Confidence intervals that draw whole groups: faces of one person, or windows of one video, are not independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


Scores = dict[str, float]


def group_numbers(groups: Sequence[Any] | None, count: int) -> np.ndarray:
    """The group of each of `count` items as a number `(count,)`; without `groups` each item is one."""
    if groups is None:
        return np.arange(count)
    if len(groups) != count:
        raise ValueError(f"groups has {len(groups)} entries for {count} items: give one for each.")
    return np.unique(np.asarray([str(group) for group in groups]), return_inverse=True)[1]


def bootstrap(
    scores: Callable[[np.ndarray], Scores],
    groups: np.ndarray,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """The interval that holds `level` of each score over `samples` draws of as many groups, with replacement
    (percentiles; Efron 1979).

    Args:
        scores: of items weighted by `(n,)`: how often each was drawn. NaN where a draw has no such score (one class).
        groups: the group of each item, `(n,)`, from 0 on.
        samples: how many draws.
        level: share of them inside.
        seed: of the draws.
    """
    rng, number = np.random.default_rng(seed), int(groups.max()) + 1
    drawn = [np.bincount(rng.integers(number, size=number), minlength=number)[groups] for _ in range(samples)]
    rows = [scores(weights.astype(float)) for weights in drawn]
    edges = [50 * (1 - level), 50 * (1 + level)]
    found = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows], dtype=float)
        low, high = np.nanpercentile(values, edges) if np.isfinite(values).any() else (np.nan, np.nan)
        found[name] = float(low), float(high)
    return found
