"""What all metrics share: `evaluate.Metric`s that need no network, with intervals and the number of items covered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import datasets
import evaluate
import numpy as np

from preface_hf.metrics.intervals import Scores, bootstrap, group_numbers


NUMBER = datasets.Value("float64")


class FaceMetric(evaluate.Metric, ABC):  # abstract: `evaluate.load` takes the first class of a file that is not
    """A metric of items with predictions and references. A subclass says of what shape they are, and its scores.

    `compute(predictions=…, references=…)` returns each score, `count` (how many items it covers) and `left_out` (how
    many had no reference, or no number for a prediction). More arguments:

    * `groups`: who or what each item is of (a person, a video), one for each item; intervals draw these.
    * `samples`: draws for the intervals; 0 leaves them out. With them each score has `…_low` and `…_high`, 95 % wide,
      unless all items are of one group.
    * `seed`: of the draws.
    """

    summary: ClassVar[str]
    prediction: ClassVar[Any] = NUMBER  # features of one item
    reference: ClassVar[Any] = NUMBER
    options: ClassVar[tuple[str, ...]] = ()  # more arguments of `compute`

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"predictions": self.prediction, "references": self.reference})
        return evaluate.MetricInfo(description=self.summary, citation="", features=features)

    def _compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        groups: Sequence[Any] | None = None,
        samples: int = 0,
        seed: int = 0,
        **options: Any,
    ) -> dict[str, Any]:
        for name in options:
            if name not in self.options:
                known = ", ".join(("groups", "samples", "seed", *self.options))
                raise ValueError(f"{type(self).__name__} takes no {name!r}: choose of {known}.")
        guesses, truths = (np.asarray(values, dtype=float) for values in (predictions, references))
        kept = self.covered(guesses, truths)
        if not kept.any():
            raise ValueError(f"none of {len(kept)} items has a prediction and a reference: give some that have both.")
        numbers = group_numbers(groups, len(kept))
        items = self.items(guesses[kept], truths[kept], numbers[kept], **options)
        found: dict[str, Any] = {**self.scores(*items[:2], np.ones(len(items[0])), **options)}
        joined = np.unique(items[2], return_inverse=True)[1]
        # Of one person every draw is the same: an interval of no width would look like certainty.
        if samples and joined.max() > 0:
            intervals = bootstrap(
                lambda weights: self.scores(*items[:2], weights, **options), joined, samples, seed=seed
            )
            for name, (low, high) in intervals.items():
                found |= {f"{name}_low": low, f"{name}_high": high}
        return {**found, **self.details(*items[:2], **options), "count": len(items[0]), "left_out": int((~kept).sum())}

    def covered(self, predictions: np.ndarray, references: np.ndarray) -> np.ndarray:
        """Which items `(n,)` have numbers for both."""
        both = [np.isfinite(values.reshape(len(values), -1)).all(axis=1) for values in (predictions, references)]
        return both[0] & both[1]

    def items(
        self, predictions: np.ndarray, references: np.ndarray, groups: np.ndarray, **options: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What scores are of: the items as they are, unless a subclass joins some."""
        return predictions, references, groups

    @abstractmethod
    def scores(self, predictions: np.ndarray, references: np.ndarray, weights: np.ndarray, **options: Any) -> Scores:
        """Every score of items with weights `(n,)`; NaN where it has no meaning."""

    def details(self, predictions: np.ndarray, references: np.ndarray, **options: Any) -> dict[str, Any]:
        """What is told beside the scores, without intervals."""
        return {}
