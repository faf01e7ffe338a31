"""Landmarks: how far points are from where they belong, in sizes of the face."""

from __future__ import annotations

from typing import Any

import numpy as np
from datasets import Sequence

from preface_hf.metrics.base import NUMBER, FaceMetric
from preface_hf.metrics.intervals import Scores


# The eyes of a scheme of so many points: outer corners, and all points of each eye (right, left).
EYES = {
    68: ((36, 45), (range(36, 42), range(42, 48))),
    98: ((60, 72), (range(60, 68), range(68, 76))),
}
NORMALIZERS = ("ocular", "pupil", "box")


class Landmarks(FaceMetric):
    """NME, the failure rate and the area under the curve of errors.

    The error of a face is the mean distance of its points over a size of it: `normalizer="ocular"`, the distance of
    the outer corners of the eyes (300-W, WFLW); `"pupil"`, that of the means of the eyes' points; `"box"`, the root
    of the area of the box around the true points. `nme` is the mean over faces; `failure_rate` the share of faces
    above `limit` (0.1: WFLW; 0.08: 300-W); `auc` the area under the share of faces below an error, from 0 to `limit`,
    over `limit`.

    Predictions and references are points `(faces, points, 2)`, of 68 (iBUG) or 98 (WFLW) a face; `"box"` takes any.
    """

    summary = "NME, failure rate and AUC of the error curve of landmarks."
    prediction = Sequence(Sequence(NUMBER))
    reference = Sequence(Sequence(NUMBER))
    options = ("normalizer", "limit")

    def items(
        self, predictions: np.ndarray, references: np.ndarray, groups: np.ndarray, **options: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The error of each face, once for all draws."""
        sizes = face_sizes(references, options.get("normalizer", "ocular"))
        errors = np.linalg.norm(predictions - references, axis=-1).mean(axis=1) / sizes  # (faces,)
        return errors, sizes, groups

    def scores(self, predictions: np.ndarray, references: np.ndarray, weights: np.ndarray, **options: Any) -> Scores:
        """Of errors `(faces,)`, which [`items`] has put in the place of the predictions."""
        errors, limit = predictions, options.get("limit", 0.1)
        # The curve is a step of a face's share at its error: its area up to the limit is what is left to its right.
        return {
            "nme": float(np.average(errors, weights=weights)),
            "failure_rate": float(np.average(errors > limit, weights=weights)),
            "auc": float(np.average(np.clip(limit - errors, 0, None) / limit, weights=weights)),
        }


def face_sizes(points: np.ndarray, normalizer: str) -> np.ndarray:
    """The size `(faces,)` of faces with points `(faces, points, 2)`, by which errors are divided."""
    if normalizer not in NORMALIZERS:
        raise ValueError(f"normalizer={normalizer!r} is unknown: choose one of {', '.join(NORMALIZERS)}.")
    if normalizer == "box":
        sizes = np.sqrt(np.ptp(points, axis=1).prod(axis=-1))
    elif points.shape[1] not in EYES:
        raise ValueError(
            f"the eyes among {points.shape[1]} points are not known: give 68 or 98 points, or normalizer='box'."
        )
    else:
        corners, eyes = EYES[points.shape[1]]
        ends = [points[:, c] for c in corners] if normalizer == "ocular" else [points[:, eye].mean(1) for eye in eyes]
        sizes = np.linalg.norm(ends[0] - ends[1], axis=-1)
    if not (sizes > 0).all():
        raise ValueError(f"face {int(np.argmin(sizes))} has no size by normalizer={normalizer!r}: leave it out.")
    return sizes
