"""Cutting squares out of frames, and carrying points there and back. Pixel centers are at integers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def import_cv2() -> Any:
    """OpenCV, or a `ValueError` that names the extra to install."""
    try:
        import cv2
    except ImportError as error:
        raise ValueError("OpenCV is not installed: pip install 'preface-hf[faces]'") from error
    return cv2


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV on one thread: tasks are processes, and share the cores."""
    try:
        import cv2
    except ImportError:  # whoever needs it says so
        yield
        return
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def cut_square(frame: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    """The square `box` (x0, y0, x1, y1 in pixels, may leave the picture) of a frame as `(side, side, 3)` pixels.

    Exact to a fraction of a pixel and antialiased: sampled finely enough to meet every source pixel, then averaged.
    Beyond the border the edge pixels are repeated. `to_square` maps points the same way.
    """
    cv2 = import_cv2()
    finer = max(1, int(np.ceil((box[2] - box[0]) / side)))
    step = float(box[2] - box[0]) / (side * finer)
    inverse = np.array([[step, 0, box[0] + step / 2], [0, step, box[1] + step / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fine = cv2.warpAffine(frame, inverse, (side * finer,) * 2, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA) if finer > 1 else fine


def to_square(points: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    """Points `(..., 2)` in pixels of the frame to pixels of the square that `cut_square` makes of `box`."""
    return ((points - box[:2]) * (side / (box[2] - box[0])) - 0.5).astype(np.float32)


def from_square(points: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    """The inverse of `to_square`."""
    return ((points + 0.5) * ((box[2] - box[0]) / side) + box[:2]).astype(np.float32)


def resized(frame: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """A frame resized to a long side of `side` pixels, and the factor."""
    cv2 = import_cv2()
    height, width = frame.shape[:2]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR), factor


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes `(4,)`."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    return common / (float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - common)
