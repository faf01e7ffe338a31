"""YuNet, the detector of whole pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from preface_hf.faces.networks import FOLDER, quiet
from preface_hf.faces.squares import import_cv2, resized


# The detector sees the picture with its long side at the first of these; at the next where that shows no face. Always
# at the larger takes five times as long and finds no more in real videos (benchmarks/results/2026-11-23-detection.md).
DETECTION_SIDES = (256, 640)
MIN_SCORE = 0.6


class YuNet:
    """The detector in `file`, without it the one that ships with the package.

    Raises `ValueError` where the file is not a YuNet network that OpenCV reads.
    """

    def __init__(self, file: Path = FOLDER / "yunet_n_640_640.onnx"):
        cv2 = import_cv2()
        quiet(cv2)
        try:
            self._detector = cv2.FaceDetectorYN.create(str(file), "", (320, 320), MIN_SCORE)
            self.at(np.zeros((64, 64, 3), np.uint8), 64)  # a network of another kind fails only when it runs
        except cv2.error as error:
            raise ValueError(f"{file} is not a YuNet detector that OpenCV can read: copy the file again") from error

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Faces in an RGB frame, float32 `(faces, 5)`: x0, y0, x1, y1 in pixels and the score in [0, 1]."""
        for side in DETECTION_SIDES:
            faces = self.at(frame, side)
            if len(faces):
                return faces
        return faces

    def at(self, frame: np.ndarray, side: int) -> np.ndarray:
        """Faces as by a call, found in the picture with a long side of `side` pixels."""
        small, factor = resized(frame, side)
        self._detector.setInputSize(small.shape[1::-1])
        found = self._detector.detect(np.ascontiguousarray(small[..., ::-1]))[1]
        if found is None:
            return np.zeros((0, 5), np.float32)
        # a row is x, y, width, height, ten coordinates of five points, and the score
        corners = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:4]], axis=1) / factor
        return np.concatenate([corners, found[:, -1:]], axis=1).astype(np.float32)

    def turned(self, frame: np.ndarray, side: int) -> np.ndarray:
        """Faces found in the frame turned by 90, 180 or 270 degrees, whichever shows the surest face."""
        best = np.zeros((0, 5), np.float32)
        for quarters in (1, 3, 2):
            faces = self.at(np.rot90(frame, quarters), side)
            if len(faces) and (not len(best) or faces[:, 4].max() > best[:, 4].max()):
                best = turn_back(faces, quarters, *frame.shape[:2])
        return best


def turn_back(faces: np.ndarray, quarters: int, height: int, width: int) -> np.ndarray:
    """Boxes `(n, 5)` of a `height` by `width` picture that `np.rot90` turned by `quarters`, in the picture itself."""
    x0, y0, x1, y1, scores = faces.T
    if quarters == 1:  # the turned picture's rows are the picture's columns from right to left
        corners = width - y1, x0, width - y0, x1
    elif quarters == 2:
        corners = width - x1, height - y1, width - x0, height - y0
    else:
        corners = y0, height - x1, y1, height - x0
    return np.stack([*corners, scores], axis=1)
