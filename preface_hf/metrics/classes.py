"""Expressions, emotions and other single labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from preface_hf.metrics.base import FaceMetric
from preface_hf.metrics.intervals import Scores


class Classes(FaceMetric):
    """WAR (weighted average recall: accuracy), UAR (unweighted: the mean recall of the classes that occur), and F1,
    the mean over classes and weighted by how often each occurs.

    Predictions and references are numbers of classes. Details: `confusion`, rows are references; `classes`, the
    numbers that its rows and columns stand for.
    """

    summary = "WAR, UAR, F1 and the confusion of single labels."

    def scores(self, predictions: np.ndarray, references: np.ndarray, weights: np.ndarray, **options: Any) -> Scores:
        """Of the weighted confusion."""
        table = confusion(predictions, references, weights)
        right, truths, guesses = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
        occur = truths > 0
        # F1 of a class that neither occurs nor is guessed has no meaning, and does not count (scikit-learn).
        known = truths + guesses > 0
        f1 = np.divide(2 * right, truths + guesses, out=np.zeros_like(right), where=known)
        return {
            "war": float(right.sum() / truths.sum()),
            "uar": float((right[occur] / truths[occur]).mean()),
            "f1": float(f1[known].mean()),
            "weighted_f1": float((f1 * truths).sum() / truths.sum()),
        }

    def details(self, predictions: np.ndarray, references: np.ndarray, **options: Any) -> dict[str, Any]:
        """The confusion in whole numbers."""
        table = confusion(predictions, references, np.ones(len(predictions)))
        return {"confusion": table.astype(int).tolist(), "classes": class_numbers(predictions, references).tolist()}


def class_numbers(predictions: np.ndarray, references: np.ndarray) -> np.ndarray:
    """The classes that occur in either, ascending."""
    return np.unique(np.concatenate([predictions, references])).astype(int)


def confusion(predictions: np.ndarray, references: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights of items by reference (rows) and prediction (columns), of the classes of [`class_numbers`]."""
    numbers = class_numbers(predictions, references)
    rows, columns = (np.searchsorted(numbers, values) for values in (references, predictions))
    return np.bincount(rows * len(numbers) + columns, weights, len(numbers) ** 2).reshape(len(numbers), -1)
