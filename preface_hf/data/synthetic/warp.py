"""Smooth warps between two sets of landmarks: thin-plate splines, which bend where triangles would fold and tear."""

from __future__ import annotations

import numpy as np


_STIFFNESS = 0.02  # how much bending counts beside missing a landmark; 0 would meet every landmark
_CELLS = 24  # the spline is evaluated this often across a picture, and interpolated in between


def warp_places(places: np.ndarray, sources: np.ndarray, height: int, width: int) -> np.ndarray:
    """For each pixel, where in the other picture it comes from: `(height, width, 2)`, x and y in pixels.

    places: landmarks `(n, 2)` in the picture to make; sources: the same landmarks in the picture to take from.
    """
    middle, scale = places.mean(axis=0), float(np.ptp(places, axis=0).max())
    knots = (places - middle) / scale
    weights = _solve(knots, sources)
    columns, rows = (np.linspace(0, length - 1, _CELLS + 1) for length in (width, height))
    points = (np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2) - middle) / scale
    basis = np.concatenate([_bending(points, knots), np.ones((len(points), 1)), points], axis=1)
    values = (basis @ weights).reshape(len(rows), len(columns), 2)
    return _between_rows(_between_rows(values, height).swapaxes(0, 1), width).swapaxes(0, 1)


def sample(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Pixels `(n, channels)`, float32, of a picture `(height, width, channels)` at places `(n, 2)`, bilinear; beyond
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


def _between_rows(values: np.ndarray, length: int) -> np.ndarray:
    """Values `(_CELLS + 1, ...)` interpolated to `length` rows, from the first to the last."""
    places = np.linspace(0, _CELLS, length)
    low = places.astype(int).clip(0, _CELLS - 1)
    share = (places - low)[:, None, None]
    return values[low] * (1 - share) + values[low + 1] * share
