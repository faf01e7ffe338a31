"""Scores of how well numbers rank positives above negatives, weighted; agrees with scikit-learn (tests/metrics)."""

from __future__ import annotations

import numpy as np


def auc(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Area under the ROC curve: the share of pairs whose positive has the higher score, ties count half.

    Written out, as intervals ask for it a thousand times for each of 40 attributes: of 3,567 clips it takes 0.3 ms,
    scikit-learn's 15 ms. NaN without a positive or a negative.
    """
    positive, negative = weights * (labels == 1), weights * (labels == 0)
    pairs = positive.sum() * negative.sum()
    if not pairs:
        return float("nan")
    # Weight of each distinct score, ascending.
    values, places = np.unique(scores, return_inverse=True)
    above, below = (np.bincount(places, some, len(values)) for some in (positive, negative))
    return float((above * (below.cumsum() - below / 2)).sum() / pairs)


def average_precision(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Average precision as scikit-learn's: precision at each distinct score, by the recall that it adds."""
    from sklearn.metrics import average_precision_score

    if not (weights * (labels == 1)).sum() or not (weights * (labels == 0)).sum():
        return float("nan")
    return float(average_precision_score(labels, scores, sample_weight=weights))


def equal_error_rate(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Where as many negatives are accepted as positives rejected, in shares; straight lines between thresholds."""
    from sklearn.metrics import roc_curve

    if not (weights * (labels == 1)).sum() or not (weights * (labels == 0)).sum():
        return float("nan")
    accepted, found, _ = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    gap = accepted - (1 - found)  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    if gap[after] == 0 or after == 0:
        return float(accepted[after])
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(accepted[after - 1] + share * (accepted[after] - accepted[after - 1]))
