"""Cutting squares out of frames, and carrying points there and back. Pixel centers are at integers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


# Beyond the picture a square is blurred over this width, most from this distance on, in sides of the square. A share
# of what is mirrored there stays: some grain belongs to a picture.
BLUR_WIDTH, BLURRED_FROM, BLUR_SHARE = 1 / 8, 0.1, 0.85


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
    Beyond its border the picture is mirrored, as by `mirrored`, and soon blurred. `to_square` maps points alike.
    """
    cv2 = import_cv2()
    finer = max(1, int(np.ceil((box[2] - box[0]) / side)))
    step = float(box[2] - box[0]) / (side * finer)
    # The center of the square's first fine pixel lies half a step inside the box.
    inverse = np.array([[step, 0, box[0] + step / 2], [0, step, box[1] + step / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fine = cv2.warpAffine(frame, inverse, (side * finer,) * 2, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    square = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA) if finer > 1 else fine
    return blurred_beyond(square, box, frame.shape[1], frame.shape[0])


def blurred_beyond(square: np.ndarray, box: np.ndarray, width: int, height: int) -> np.ndarray:
    """A square `(side, side, 3)` cut at `box`, blurred where it shows what lies beyond a picture of `width` x `height`
    pixels: more with the distance, so that a face cut tightly has no second, mirrored face beside it."""
    side, length = len(square), float(box[2] - box[0])
    centers = box[:2, None] + (np.arange(side) + 0.5) * (length / side)  # (2, side): x of columns, y of rows
    ends = np.array([[width - 1], [height - 1]])
    beyond = np.maximum(-centers, centers - ends).clip(0) / length  # in sides of the square
    if not beyond.any():
        return square
    cv2 = import_cv2()
    distance = np.maximum(beyond[1][:, None], beyond[0])  # (side, side)
    share = BLUR_SHARE * (distance / BLURRED_FROM).clip(0, 1).astype(np.float32)
    kernel = (max(1, round(BLUR_WIDTH * side)),) * 2
    blurred = cv2.blur(cv2.blur(square, kernel), kernel)  # of a box twice: near to a Gaussian, and fast
    return cv2.blendLinear(square, blurred, 1 - share, share)


def mirrored(places: np.ndarray, length: int) -> np.ndarray:
    """Places `(n,)` along a side of `length` pixels, those beyond it mirrored at its first and last pixel, back and
    forth where they lie further out than the side is long (OpenCV's BORDER_REFLECT_101)."""
    # Repeating the edge instead would draw it out to streaks, which fill the hair's tube of a tightly cut face.
    period = max(2 * (length - 1), 1)
    there = np.abs(places) % period  # mirrored at 0
    return np.minimum(there, period - there) if length > 1 else np.zeros_like(places)


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
