"""Facial attributes: many yes-or-no labels a clip."""

from __future__ import annotations

from typing import Any

import numpy as np
from datasets import Sequence

from preface_hf.metrics.base import NUMBER, FaceMetric
from preface_hf.metrics.intervals import Scores
from preface_hf.metrics.ranking import auc


class Attributes(FaceMetric):
    """Accuracy and AUC of attributes: flattened over clips and attributes (micro: MARLIN), and averaged over
    attributes (PrefAce: "over all attributes").

    Predictions are probabilities `(clips, attributes)`, references 0, 1, or NaN where nobody looked. `threshold` is
    the probability from which an attribute counts as there. Details: `accuracy_of` and `auc_of`, lists over
    attributes.
    """

    summary = "Accuracy and AUC of facial attributes, micro and by attribute."
    prediction = Sequence(NUMBER)
    reference = Sequence(NUMBER)
    options = ("threshold",)

    def covered(self, predictions: np.ndarray, references: np.ndarray) -> np.ndarray:
        """A clip with some attributes labeled counts by these."""
        return np.isfinite(predictions).all(axis=1) & np.isfinite(references).any(axis=1)

    def scores(self, predictions: np.ndarray, references: np.ndarray, weights: np.ndarray, **options: Any) -> Scores:
        """Both, micro and macro."""
        looked = np.isfinite(references)
        flat = predictions[looked], references[looked], np.broadcast_to(weights[:, None], looked.shape)[looked]
        accuracies, areas = self.by_attribute(predictions, references, weights, **options)
        right = (flat[0] >= options.get("threshold", 0.5)) == (flat[1] == 1)
        return {
            "accuracy": float(np.average(right, weights=flat[2])),
            "auc": auc(*flat),
            "mean_accuracy": mean(accuracies),
            "mean_auc": mean(areas),
        }

    def by_attribute(
        self, predictions: np.ndarray, references: np.ndarray, weights: np.ndarray, threshold: float = 0.5
    ) -> tuple[list[float], list[float]]:
        """Accuracy and AUC of each attribute; NaN where no clip, or only one answer, is there."""
        accuracies, areas = [], []
        for guess, truth in zip(predictions.T, references.T, strict=True):
            looked = np.isfinite(truth)
            weight = weights[looked]
            right = (guess[looked] >= threshold) == (truth[looked] == 1)
            accuracies.append(float(np.average(right, weights=weight)) if weight.sum() else float("nan"))
            areas.append(auc(guess[looked], truth[looked], weight))
        return accuracies, areas

    def details(self, predictions: np.ndarray, references: np.ndarray, **options: Any) -> dict[str, Any]:
        """Each attribute by itself."""
        accuracies, areas = self.by_attribute(predictions, references, np.ones(len(predictions)), **options)
        return {"accuracy_of": accuracies, "auc_of": areas}


def mean(values: list[float]) -> float:
    """The mean of those that are numbers; NaN where none is."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
