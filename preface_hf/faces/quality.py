"""How well a face can be seen, frame by frame: large, sharp, turned to the camera, whole."""

from __future__ import annotations

import numpy as np

from preface_hf.faces.landmarks import face_heights
from preface_hf.faces.squares import import_cv2


# Face height (brow line to chin) from which more pixels do not help, and the variance of the Laplacian of the face at
# 64 pixels that counts as half sharp (not stated by a paper; chosen on clips that were shrunk and blurred).
FULL_HEIGHT, HALF_SHARP, SIDE = 100.0, 60.0, 64
NOSE_TIP, JAW_ENDS = 30, (0, 16)


def frontality(landmarks: np.ndarray) -> np.ndarray:
    """1 for a face turned to the camera, 0 for a profile, `(frames,)`: where the tip of the nose lies between the ends
    of the jaw, for landmarks `(frames, 68, 2)`."""
    right, left = landmarks[:, JAW_ENDS[0]], landmarks[:, JAW_ENDS[1]]  # (F, 2) each
    across = (left - right) / 2
    # Of the way from the middle between the ends to one of them, along the line through both: roll does not matter.
    off = ((landmarks[:, NOSE_TIP] - (left + right) / 2) * across).sum(axis=1) / ((across**2).sum(axis=1) + 1e-6)
    return (1 - np.abs(off)).clip(0, 1)


def visibility(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Share of each box `(frames, 4)` that lies in the picture, `(frames,)`."""
    inside = boxes.clip(0, [width, height, width, height])
    return (inside[:, 2:] - inside[:, :2]).prod(axis=1) / ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + 1e-6)


def sharpness(crop: np.ndarray, landmarks: np.ndarray) -> float:
    """0 for a blurred face, towards 1 for a sharp one: detail of the face, by its landmarks `(68, 2)`, in its crop."""
    cv2 = import_cv2()
    low = landmarks.min(axis=0).clip(0, crop.shape[0] - 2).astype(int)
    high = np.maximum(landmarks.max(axis=0).clip(0, crop.shape[0]).astype(int), low + 2)
    face = cv2.resize(crop[low[1] : high[1], low[0] : high[0]], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    detail = float(cv2.Laplacian(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())
    return detail / (detail + HALF_SHARP)


def track_quality(landmarks: np.ndarray, scores: np.ndarray, visible: np.ndarray, sharp: np.ndarray) -> float:
    """Mean over a track of the geometric mean of size, sharpness, frontality and visibility times detector score.

    landmarks `(frames, 68, 2)` in pixels of the video; the others `(frames,)` in [0, 1]. Returns a number in [0, 1],
    rounded to 4 digits.
    """
    size = (face_heights(landmarks) / FULL_HEIGHT).clip(0, 1)
    parts = np.stack([size, sharp, frontality(landmarks), visible * scores])  # (4, F)
    return round(float((parts.clip(0, 1).prod(axis=0) ** (1 / len(parts))).mean()), 4)
