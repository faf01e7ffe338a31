"""The brush that draws shapes given in face units, and the curves that shapes are made of."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from preface_hf.synthetic.appearance import Color
from preface_hf.synthetic.camera import Camera
from preface_hf.synthetic.parsing import shrink


# The unit circle as 32 points `(32, 2)`.
CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 33)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 33)[:-1])], axis=1)


@lru_cache(maxsize=32)
def curve_basis(count: int, steps: int) -> np.ndarray:
    """Matrix `((count - 1) * steps + 1, count)` of an open Catmull-Rom curve through its points."""
    # The curve is linear in its points, so the matrix is the curve through the unit vectors.
    eye = np.eye(count)
    # A point beyond each end, mirrored at it, lets the curve reach its first and last point.
    padded = np.vstack([2 * eye[0] - eye[1], eye, 2 * eye[-1] - eye[-2]])
    t = (np.arange(steps) / steps)[:, None]
    rows = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
    ]
    return np.vstack([*rows, eye[-1:]])


def curve(points: np.ndarray, steps: int = 4) -> np.ndarray:
    """A smooth open curve `((n - 1) * steps + 1, d)` through points `(n, d)`."""
    return curve_basis(len(points), steps) @ points


def between(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """The outline of what lies between two lines of points that run the same way."""
    return np.concatenate([upper, lower[::-1]])


def both_sides(points: np.ndarray) -> np.ndarray:
    """Points `(n, 3)` of the left side of the picture or the right, and their mirror images."""
    return np.concatenate([points, points * [-1, 1, 1]])


def hull(points: np.ndarray) -> np.ndarray:
    """The convex hull of points `(n, 2)`, in order (monotone chain)."""
    ordered = sorted(points.tolist())
    return np.array(half_hull(ordered) + half_hull(ordered[::-1]))


def half_hull(ordered: list[list[float]]) -> list[list[float]]:
    """The hull's lower side, without its end, of points in order of x; its upper side of points in reverse order."""
    chain: list[list[float]] = []
    for point in ordered:
        x, y = point
        while len(chain) > 1:
            (ax, ay), (bx, by) = chain[-2], chain[-1]
            # Cross product: above 0 where the way from a over b to the point turns, so that b is a corner.
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                break
            chain.pop()
        chain.append(point)
    return chain[:-1]


class Brush:
    """Draws shapes given in face units on a canvas of twice the picture's size, and their outline on a mask.

    background: the canvas to draw on a copy of. camera: from face units to pixels of the picture. labeled: keep a
    parsing map of the same shapes: a shape with a label covers what was there, one without leaves it.
    """

    def __init__(self, background: Image.Image, camera: Camera, labeled: bool = False) -> None:
        self.canvas, self.mask = background.copy(), Image.new("L", background.size)
        self.labels = Image.new("L", background.size) if labeled else None
        self._color, self._cover = ImageDraw.Draw(self.canvas), ImageDraw.Draw(self.mask)
        self._label = ImageDraw.Draw(self.labels) if self.labels else None
        # Pixel centers are at whole numbers: center i of the picture is at 2 i + 0.5 on a canvas twice as large.
        self.camera = Camera(2 * camera.matrix, 2 * camera.offset + 0.5)
        self.scale = float(np.sqrt((self.camera.matrix**2).sum() / 2))

    def fill(self, points: np.ndarray, color: Color, lit: bool = False, label: int | None = None) -> None:
        """Fill the polygon of points `(n, 3)` in face units or `(n, 2)` in canvas pixels; lit: light falls on it."""
        flat = self._flat(points)
        self._color.polygon(flat, fill=color)
        if lit:
            self._cover.polygon(flat, fill=255)
        if self._label and label is not None:
            self._label.polygon(flat, fill=label)

    def mark(self, points: np.ndarray, label: int) -> None:
        """Give the polygon of points a label without drawing it."""
        if self._label:
            self._label.polygon(self._flat(points), fill=label)

    def line(self, points: np.ndarray, color: Color, width: float) -> None:
        """Draw a line through points `(n, 3)`, `width` face units wide."""
        flat = self._flat(points)
        self._color.line(flat, fill=color, width=max(1, round(width * self.scale)), joint="curve")

    def dots(self, centers: np.ndarray, radius: float, color: Color, flat: float = 1.0) -> None:
        """Draw a dot about each point `(n, 3)`, `flat` times as high as wide; radius in face units."""
        wide, high = radius * self.scale, radius * flat * self.scale
        for x, y in self.camera(centers).tolist():
            self._color.ellipse((x - wide, y - high, x + wide, y + high), fill=color)

    def ball(self, center: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Outline `(32, 2)` in canvas pixels of an ellipsoid in face units."""
        # An ellipsoid is seen as an ellipse: the unit circle times a root of across @ across.T.
        across = self.camera.matrix * radii
        (a, b), (_, c) = (across @ across.T).tolist()
        high = b / a**0.5  # the lower row of the Cholesky factor
        return self.camera(center) + CIRCLE @ np.array([[a**0.5, high], [0, (c - high * high) ** 0.5]])

    def parsing(self) -> np.ndarray:
        """The parsing map at the picture's size, uint8 `(size, size)`; ValueError for a brush without labels."""
        if self.labels is None:
            raise ValueError("this brush keeps no labels: make it with labeled=True")
        return shrink(np.asarray(self.labels))

    def _flat(self, points: np.ndarray) -> list[float]:
        return (self.camera(points) if points.shape[1] == 3 else points).ravel().tolist()
