"""Squares at any angle: cutting them out of a frame, and carrying points back. Pixel centers are at integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preface_hf.faces.squares import import_cv2


@dataclass(frozen=True)
class TurnedSquare:
    """A square about `center` `(2,)` with sides of `side` pixels, turned by `angle` radians (clockwise as seen)."""

    center: np.ndarray
    side: float
    angle: float = 0.0

    def matrix(self, size: int) -> np.ndarray:
        """The map from pixels of the square, cut out as `size` by `size` pixels, to the frame's: float64 `(2, 3)`."""
        step, middle = self.side / size, (size - 1) / 2
        cos, sin = step * np.cos(self.angle), step * np.sin(self.angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        return np.concatenate([turn, (self.center - turn @ [middle, middle])[:, None]], axis=1)


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
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    upright = points @ turn
    low, high = upright.min(axis=0), upright.max(axis=0)
    return TurnedSquare(turn @ (low + high) / 2, scale * float((high - low).max()), angle)


class Surroundings:
    """What lies about a face, averaged over blocks of pixels where the face is large.

    Several squares are cut out of it, each at one sample a pixel: to average anew for each would take most of the
    time. `square` must lie within `ROOM` times the box's longer side.
    """

    # how far the surroundings reach from the box's center, in the box's longer side; a block's pixels a side
    ROOM = 1.5

    def __init__(self, frame: np.ndarray, box: np.ndarray, size: int):
        """The surroundings of a box `(4,)`, for squares of `size` pixels."""
        cv2 = import_cv2()
        center, side = (box[:2] + box[2:4]) / 2, float(max(box[2] - box[0], box[3] - box[1]))
        self.block = max(1, int(side / size))
        height, width = frame.shape[:2]
        low = np.clip(np.floor(center - self.ROOM * side), 0, [width - 1, height - 1]).astype(int)
        high = np.clip(np.ceil(center + self.ROOM * side), low + 1, [width, height]).astype(int)
        self.offset = low
        part = frame[low[1] : high[1], low[0] : high[0]]
        if self.block > 1:
            small = np.maximum((high - low) // self.block, 1)
            part = np.ascontiguousarray(part[: small[1] * self.block, : small[0] * self.block])
            part = cv2.resize(part, tuple(small.tolist()), interpolation=cv2.INTER_AREA)
        self.pixels = part

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Points of the frame in pixels of the surroundings."""
        return (points - self.offset + 0.5) / self.block - 0.5

    def outside(self, points: np.ndarray) -> np.ndarray:
        """Points of the surroundings in pixels of the frame."""
        return (points + 0.5) * self.block - 0.5 + self.offset
