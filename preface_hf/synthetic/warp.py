"""Smooth warps between two sets of landmarks: thin-plate splines, which bend where triangles would fold and tear."""

from __future__ import annotations

import numpy as np


_STIFFNESS = 0.02  # how much bending counts beside missing a landmark; 0 would meet every landmark
_CELLS = 16  # the spline is evaluated this often across the pixels' box, and interpolated in between


def warp_places(places: np.ndarray, sources: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """For each of pixels `(n, 2)`, x and y, where in the other picture it comes from: `(n, 2)`.

    places: landmarks `(k, 2)` in the picture to make; sources: the same landmarks in the picture to take from.
    """
    if not len(pixels):
        return np.zeros((0, 2))
    middle, scale = places.mean(axis=0), float(np.ptp(places, axis=0).max())
    knots = (places - middle) / scale
    weights = _solve(knots, sources)
    low, step = pixels.min(axis=0), np.ptp(pixels, axis=0).clip(1) / _CELLS
    cells = np.arange(_CELLS + 1)
    grid = np.stack(np.meshgrid(cells, cells), axis=-1).reshape(-1, 2)
    points = (low + grid * step - middle) / scale
    values = np.concatenate([_bending(points, knots), np.ones((len(points), 1)), points], axis=1) @ weights
    return sample(values.reshape(_CELLS + 1, _CELLS + 1, 2), (pixels - low) / step)


def sample(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Pixels `(n, channels)` of a picture `(height, width, channels)` at places `(n, 2)`, bilinear; beyond
    the border the edge is repeated."""
    height, width = picture.shape[:2]
    places = places.clip(0, [width - 1, height - 1])
    corner = places.astype(int).clip(0, [max(width - 2, 0), max(height - 2, 0)])
    fx, fy = (places - corner).astype(np.float32).T[..., None]
    (x, y), right, below = corner.T, int(width > 1), int(height > 1)
    top = picture[y, x] * (1 - fx) + picture[y, x + right] * fx
    return top * (1 - fy) + (picture[y + below, x] * (1 - fx) + picture[y + below, x + right] * fx) * fy


def _solve(knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weights `(n + 3, 2)` of the stiff thin-plate spline through values `(n, 2)` at knots `(n, 2)`."""
    count = len(knots)
    system, wanted = np.zeros((count + 3, count + 3)), np.zeros((count + 3, 2))
    system[:count, :count] = _bending(knots, knots) + _STIFFNESS * np.eye(count)
    system[:count, count], system[:count, count + 1 :] = 1, knots
    system[count:, :count] = system[:count, count:].T
    wanted[:count] = values
    return np.linalg.solve(system, wanted)


def _bending(points: np.ndarray, knots: np.ndarray) -> np.ndarray:
    x, y = (points[:, None, axis] - knots[:, axis] for axis in (0, 1))
    squares = x * x + y * y
    return squares * np.log(squares + 1e-12)
