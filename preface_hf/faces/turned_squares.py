"""Squares at any angle: cutting them out of a frame, and carrying points back. Pixel centers are at integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preface_hf.faces.squares import import_cv2


# How far a face's surroundings reach from the center of its box, in the longer side of the box. A square of 1.5 times
# that side reaches 1.06 of it at any angle.
ROOM = 1.5


@dataclass(frozen=True)
class TurnedSquare:
    """A square about `center` `(2,)` with sides of `side` pixels, turned by `angle` radians (clockwise as seen)."""

    center: np.ndarray
    side: float
    angle: float = 0.0

    def matrix(self, size: int) -> np.ndarray:
        """The map from pixels of the square, cut out as `size` by `size` pixels, to the frame's: float64 `(2, 3)`."""
        step = self.side / size  # pixels of the frame to one of the square
        middle = (size - 1) / 2
        turn = step * rotation(self.angle)
        return np.concatenate([turn, (self.center - turn @ [middle, middle])[:, None]], axis=1)


def rotation(angle: float) -> np.ndarray:
    """The matrix `(2, 2)` that turns by `angle` radians, clockwise as seen, for y grows downwards."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def carry(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points `(n, 2)` through a map `(2, 3)`."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def cut_turned(frame: np.ndarray, square: TurnedSquare, size: int) -> np.ndarray:
    """The square as `(size, size, 3)` pixels; beyond the border the edge pixels are repeated.

    One sample a pixel: right where a pixel of the square is no more than two of the frame (see `Surroundings`).
    """
    cv2 = import_cv2()
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE
    return cv2.warpAffine(frame, square.matrix(size), (size, size), flags=flags, borderMode=border)


def square_about(points: np.ndarray, angle: float, scale: float) -> TurnedSquare:
    """The square at `angle` about points `(n, 2)`, `scale` times as long as they extend in its directions."""
    turn = rotation(angle)
    upright = points @ turn  # in the directions of the square
    low, high = upright.min(axis=0), upright.max(axis=0)
    return TurnedSquare(turn @ (low + high) / 2, scale * float((high - low).max()), angle)


class Surroundings:
    """What lies about a face, averaged over blocks of pixels where the face is large.

    Several squares are cut out of it, each with one sample a pixel. To average anew for every square would take more
    time than the networks.

    Args:
        frame: an RGB frame.
        box: the face, `(4,)` x0, y0, x1, y1 in pixels; may leave the frame.
        size: pixels a side of the squares that will be cut out. A face is then 1 to 2 times as large in `pixels`, or
            as large as in the frame where that is less.
    """

    def __init__(self, frame: np.ndarray, box: np.ndarray, size: int):
        center, side = (box[:2] + box[2:4]) / 2, float(max(box[2] - box[0], box[3] - box[1]))
        limits = np.array(frame.shape[1::-1])  # width, height
        low = np.clip(np.floor(center - ROOM * side), 0, limits - 1).astype(int)
        high = np.clip(np.ceil(center + ROOM * side), low + 1, limits).astype(int)
        self.offset, self.block = low, max(1, int(side / size))
        self.pixels = averaged(frame[low[1] : high[1], low[0] : high[0]], self.block)

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Points of the frame in pixels of the surroundings."""
        return (points - self.offset + 0.5) / self.block - 0.5

    def outside(self, points: np.ndarray) -> np.ndarray:
        """Points of the surroundings in pixels of the frame."""
        return (points + 0.5) * self.block - 0.5 + self.offset


def averaged(pixels: np.ndarray, block: int) -> np.ndarray:
    """Pixels `(height, width, 3)` averaged over blocks of `block` pixels a side, without an incomplete last one."""
    if block == 1:
        return pixels
    cv2 = import_cv2()
    rows, columns = (max(1, length // block) for length in pixels.shape[:2])
    return cv2.resize(pixels[: rows * block, : columns * block], (columns, rows), interpolation=cv2.INTER_AREA)
