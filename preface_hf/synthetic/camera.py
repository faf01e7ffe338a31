"""The weak perspective camera that puts faces into the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preface_hf.faces.landmarks import part_boxes
from preface_hf.synthetic.motion import Wander


# Pixels of a face unit in sides of the picture, between these; room about the face, likewise.
SCALES, MARGIN = (0.27, 0.34), 0.03


@dataclass(frozen=True)
class Camera:
    """Weak perspective: matrix `(2, 3)` and offset `(2,)` take face units to pixels."""

    matrix: np.ndarray
    offset: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Pixels `(..., 2)` of points `(..., 3)`."""
        return points @ self.matrix.T + self.offset


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Matrix `(3, 3)` that turns points of the face, angles in degrees, signs as in `SyntheticClip`."""
    # Sines and cosines; the head turns first, then nods, then tilts.
    (sy, sp, sr), (cy, cp, cr) = np.sin(np.radians([yaw, pitch, roll])), np.cos(np.radians([yaw, pitch, roll]))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return tilt @ nod @ turn


def draw_cameras(
    rng: np.random.Generator, times: np.ndarray, pose: np.ndarray, points: np.ndarray, size: int
) -> list[Camera]:
    """One camera a frame, for a picture of size x size pixels.

    times: seconds `(frames,)`. pose: degrees `(frames, 3)`. points: `(frames, 68, 3)` in face units; the clip's place
    is drawn at random where all of them, and the hair above them, stay in the picture.
    """
    scales = size * rng.uniform(*SCALES) * (1 + 0.02 * Wander.draw(rng, 0.1, 0.5)(times))
    matrices = np.stack([scale * rotation(*angles)[:2] for scale, angles in zip(scales, pose, strict=True)])
    offsets = np.stack([Wander.draw(rng, 0.1, 0.6)(times) for _ in range(2)], axis=1) * 0.012 * size
    low, high = extent(points, matrices, offsets)
    # A head that is thrown back or held aslant takes more room: it is filmed from further away.
    matrices *= min(1.0, ((1 - 2 * MARGIN) * size - 1) / float((high - low).max()))
    low, high = extent(points, matrices, offsets)
    # Offsets between `lowest` and `highest` keep face and hair in the picture.
    lowest, highest = MARGIN * size - low, (1 - MARGIN) * (size - 1) - high
    place = size * (np.array([0.5, 0.46]) + rng.uniform(-0.08, 0.08, 2))
    offsets += np.minimum(np.maximum(place, lowest), highest)
    return [Camera(matrix, offset) for matrix, offset in zip(matrices, offsets, strict=True)]


def extent(points: np.ndarray, matrices: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest x and y, `(2,)` each in pixels, of all points `(frames, 68, 3)` and of the hair's tube
    above them, through a matrix `(2, 3)` and an offset `(2,)` a frame."""
    places = points @ matrices.transpose(0, 2, 1) + offsets[:, None]  # (frames, 68, 2)
    low, high = places.min(axis=(0, 1)), places.max(axis=(0, 1))
    low[1] = min(low[1], float(part_boxes(places, "hair")[:, 1].min()))
    return low, high
