"""Generated mouths beside true ones: distance of their landmarks, PSNR and SSIM of their pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from datasets import Sequence

from preface_hf.faces.landmarks import INDICES, face_heights
from preface_hf.metrics.base import NUMBER, FaceMetric
from preface_hf.metrics.intervals import Scores


class MouthDistance(FaceMetric):
    """LMD: the mean distance of the mouth's landmarks of a generated face from those of the true one.

    Predictions and references are iBUG-68 points `(faces, 68, 2)`. `lmd` is in face heights of the true face (brow
    line to chin), `lmd_pixels` in pixels; with `centered=True` (Chen et al. 2018) the place of the mouth is taken out,
    so that its shape alone counts.
    """

    summary = "Distance of the landmarks of generated mouths."
    prediction = Sequence(Sequence(NUMBER))
    reference = Sequence(Sequence(NUMBER))
    options = ("centered",)

    def items(
        self, predictions: np.ndarray, references: np.ndarray, groups: np.ndarray, **options: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The distance of each face in pixels, and its height."""
        found, true = (points[:, INDICES["mouth"]] for points in (predictions, references))
        if options.get("centered", False):
            found, true = (points - points.mean(axis=1, keepdims=True) for points in (found, true))
        return np.linalg.norm(found - true, axis=-1).mean(axis=1), face_heights(references), groups

    def scores(self, predictions: np.ndarray, references: np.ndarray, weights: np.ndarray, **options: Any) -> Scores:
        """Of distances and heights `(faces,)`, which [`items`] has put in the place of the points."""
        return {
            "lmd": float(np.average(predictions / references, weights=weights)),
            "lmd_pixels": float(np.average(predictions, weights=weights)),
        }


def mouth_pictures(predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
    """PSNR (dB) and SSIM of generated mouths, uint8 `(frames, height, width[, 3])`, beside true ones of the same
    shape; means over frames. Cut both by the box of the true face (`preface_hf.faces.crops.mouth_boxes`).

    Raises `ValueError` for shapes that differ, and for pictures smaller than SSIM's window of 11 pixels.
    """
    import torch
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    if predictions.shape != references.shape or predictions.ndim not in (3, 4) or min(predictions.shape[1:3]) < 11:
        raise ValueError(
            f"mouths of shape {predictions.shape} and {references.shape} cannot be compared: give two of one shape, "
            f"(frames, height, width) and of 11 pixels or more."
        )
    found, true = (
        torch.from_numpy(mouths.reshape(*mouths.shape[:3], -1)).permute(0, 3, 1, 2).double() / 255  # (frames, C, H, W)
        for mouths in (predictions, references)
    )
    psnr = peak_signal_noise_ratio(found, true, data_range=1.0, reduction="none", dim=(1, 2, 3))
    ssim: Any = structural_similarity_index_measure(found, true, data_range=1.0, reduction="none")
    return {"psnr": float(psnr.mean()), "ssim": float(ssim.mean()), "count": len(predictions)}
