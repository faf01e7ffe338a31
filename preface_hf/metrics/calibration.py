"""Whether a probability means what it says: reliability by bins, and the expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reliability:
    """Probabilities in bins of equal width over [0, 1]; means are NaN where a bin is empty.

    Attributes:
        confidence: mean probability of each bin, `(bins,)`.
        share: how often what was said came true, `(bins,)`.
        count: items, `(bins,)`.
        ece: the mean distance of the two over items (expected calibration error).
    """

    confidence: np.ndarray
    share: np.ndarray
    count: np.ndarray
    ece: float


def reliability(probabilities: np.ndarray, came_true: np.ndarray, bins: int = 10) -> Reliability:
    """Of probabilities `(n,)` and whether each came true; a bin holds its lower edge, the last one 1 too."""
    if not len(probabilities):
        raise ValueError("no probability is given: reliability needs one or more.")
    places = np.clip(np.floor(probabilities * bins).astype(int), 0, bins - 1)
    count = np.bincount(places, minlength=bins)
    sums = [np.bincount(places, values, bins) for values in (probabilities, came_true.astype(float))]
    confidence, share = (np.divide(s, count, out=np.full(bins, np.nan), where=count > 0) for s in sums)
    ece = float(np.nansum(np.abs(confidence - share) * count) / count.sum())
    return Reliability(confidence, share, count, ece)
