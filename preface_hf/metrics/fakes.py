"""Deepfakes: a score for each video, from those of its windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from preface_hf.metrics.base import FaceMetric
from preface_hf.metrics.intervals import Scores
from preface_hf.metrics.ranking import auc, average_precision, equal_error_rate


class Fakes(FaceMetric):
    """AUC, equal error rate, average precision and accuracy of videos: the score of a video is the mean over its
    windows.

    Predictions are probabilities that a window is fake, references 1 (fake) or 0. `videos` says of which video each
    window is, one for each (without it each is its own); `threshold` is the probability from which a video counts as
    fake, and stands beside the scores. `count` is that of videos. A video without a window with a number is in
    `left_out` by its windows.
    """

    summary = "AUC, EER, average precision and accuracy of deepfake detection, by video."
    options = ("threshold",)

    def _compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        groups: Sequence[Any] | None = None,
        samples: int = 0,
        seed: int = 0,
        videos: Sequence[Any] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        if videos is None:
            return super()._compute(predictions, references, groups, samples, seed, **options)
        if len(videos) != len(predictions):
            raise ValueError(f"videos has {len(videos)} entries for {len(predictions)} windows: give one for each.")
        scores, truths = (np.asarray(values, dtype=float) for values in (predictions, references))
        groups = videos if groups is None else groups
        kept = np.flatnonzero(self.covered(scores, truths))
        rows: dict[str, list[int]] = {}
        for place in kept.tolist():
            rows.setdefault(str(videos[place]), []).append(place)
        for video, places in rows.items():
            if len({truths[place] for place in places}) > 1:
                raise ValueError(f"the windows of the video {video!r} are fake and real: give a video one label.")
        first = [places[0] for places in rows.values()]
        found = super()._compute(
            [scores[places].mean() for places in rows.values()],
            truths[first].tolist(),
            [groups[place] for place in first],
            samples,
            seed,
            **options,
        )
        return {**found, "left_out": len(scores) - len(kept)}

    def scores(self, predictions: np.ndarray, references: np.ndarray, weights: np.ndarray, **options: Any) -> Scores:
        """Of videos."""
        right = (predictions >= options.get("threshold", 0.5)) == (references == 1)
        return {
            "auc": auc(predictions, references, weights),
            "eer": equal_error_rate(predictions, references, weights),
            "average_precision": average_precision(predictions, references, weights),
            "accuracy": float(np.average(right, weights=weights)),
        }

    def details(self, predictions: np.ndarray, references: np.ndarray, **options: Any) -> dict[str, Any]:
        """What the accuracy was counted by."""
        return {"threshold": options.get("threshold", 0.5)}


def best_threshold(predictions: np.ndarray, references: np.ndarray) -> float:
    """The probability from which on "fake" is right most often, halfway between two videos; of equal ones that
    nearest to 0.5, and 0.5 where only one answer is there."""
    known = np.unique(predictions)
    if len(np.unique(references)) < 2:
        return 0.5
    # Beyond all of them, everything is real, or fake.
    between = [known[0] / 2, *((known[:-1] + known[1:]) / 2), (known[-1] + 1) / 2]
    right = [float(np.mean((predictions >= value) == (references == 1))) for value in between]
    best = [value for value, share in zip(between, right, strict=True) if share == max(right)]
    return float(min(best, key=lambda value: abs(value - 0.5)))
