"""Lip synchronization: LSE-D, LSE-C and found offsets, of the distances that an expert gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from datasets import Sequence

from preface_hf.metrics.base import NUMBER, FaceMetric
from preface_hf.metrics.intervals import Scores


class LipSync(FaceMetric):
    """LSE-D, LSE-C (Prajwal et al. 2020), and how often the right offset is found.

    Predictions are mean distances of mouths and sounds `(clips, 2 n + 1)` at offsets of -n to n frames, references the
    true offsets in frames, 0 for clips in sync. `lse_d` is the mean over clips of the least distance, `lse_c` that of
    the median distance minus the least; `within_one` the share of clips whose offset is found to a frame,
    `offset_error` the mean error in frames.

    Distances are of the expert that made them, which `expert` names: those of two experts, ours and SyncNet's, are not
    to be compared. `offsets` among the details counts the clips by found offset.
    """

    summary = "LSE-D, LSE-C and found offsets of lip synchronization."
    prediction = Sequence(NUMBER)
    options = ("expert",)

    def covered(self, predictions: np.ndarray, references: np.ndarray) -> np.ndarray:
        """Clips with a distance at some offset: at the ends of a short clip there is no sound to compare with."""
        return np.isfinite(predictions).any(axis=1) & np.isfinite(references)

    def scores(self, predictions: np.ndarray, references: np.ndarray, weights: np.ndarray, **options: Any) -> Scores:
        """Of clips."""
        errors = np.abs(found_offsets(predictions) - references)
        least = np.nanmin(predictions, axis=1)
        return {
            "lse_d": float(np.average(least, weights=weights)),
            "lse_c": float(np.average(np.nanmedian(predictions, axis=1) - least, weights=weights)),
            "within_one": float(np.average(errors <= 1, weights=weights)),
            "offset_error": float(np.average(errors, weights=weights)),
        }

    def details(self, predictions: np.ndarray, references: np.ndarray, **options: Any) -> dict[str, Any]:
        """How many clips have each found offset, and whose distances these are."""
        offsets, counts = np.unique(found_offsets(predictions), return_counts=True)
        found = {str(offset): int(count) for offset, count in zip(offsets, counts, strict=True)}
        return {"offsets": found, "expert": options.get("expert", "unnamed")}


def found_offsets(distances: np.ndarray) -> np.ndarray:
    """The offset of the least distance, int64 `(clips,)`, of distances `(clips, 2 n + 1)` from -n to n."""
    return np.nanargmin(distances, axis=1) - distances.shape[1] // 2
