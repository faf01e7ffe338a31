"""The painter of a clip: who is in front of which background, in which light, through which lens."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from preface_hf.synthetic import head, parts
from preface_hf.synthetic.appearance import Person
from preface_hf.synthetic.brush import Brush
from preface_hf.synthetic.camera import Camera


class Painter:
    """Draws the frames of one clip of one person: `paint` for each frame, in order.

    identity: who. rest: their face at rest, `(68, 3)`. rng: decides background, light and noise. size: pixels a side.
    """

    def __init__(self, identity: int, rest: np.ndarray, rng: np.random.Generator, size: int) -> None:
        self.person, self.rng, self.size = Person(identity, rest), rng, size
        # Drawn once a clip, in this order: the generator's later draws depend on it.
        self.background = draw_background(rng, size)
        self.light = unit(rng.normal(size=3) * [1, 0.7, 0] + [0, -0.35, 0.9])
        self.contrast, self.blur = rng.uniform(0.25, 0.65), rng.uniform(0.0, 0.7)
        self.cast = (rng.uniform(0.82, 1.12) * rng.uniform(0.96, 1.04, 3)).astype(np.float32)
        # Larger than a frame: each frame cuts its own window out, which is cheaper than new noise.
        self.noise = (rng.normal(size=(size + 32, size + 32, 3)) * rng.uniform(1, 7)).astype(np.float32)

    def paint(self, points: np.ndarray, camera: Camera, gaze: np.ndarray) -> np.ndarray:
        """One frame, uint8 `(size, size, 3)`: points `(68, 3)` in face units, gaze `(2,)` moves the irises in them."""
        return self._develop(self._draw(points, camera, gaze, labeled=False))

    def paint_with_parsing(
        self, points: np.ndarray, camera: Camera, gaze: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The frame that `paint` gives, and its parsing map, uint8 `(size, size)` (see `PARSING_CLASSES`)."""
        brush = self._draw(points, camera, gaze, labeled=True)
        return self._develop(brush), brush.parsing()

    def _draw(self, points: np.ndarray, camera: Camera, gaze: np.ndarray, labeled: bool) -> Brush:
        # From back to front: what is drawn later covers what is there.
        brush, person = Brush(self.background, camera, labeled), self.person
        head.draw_behind(brush, person, points)
        head.draw_head(brush, person, points)
        parts.draw_beard(brush, person, points)
        parts.draw_nose(brush, person, points, bool(self.light[0] >= 0))
        parts.draw_mouth(brush, person, points)
        parts.draw_eyes(brush, person, points, gaze)
        head.draw_front_hair(brush, person)
        parts.draw_brows(brush, person, points)
        parts.draw_glasses(brush, person)
        return brush

    def _develop(self, brush: Brush) -> np.ndarray:
        """The picture at its own size, with light on the person, color cast, blur and noise."""
        picture = brush.canvas.reduce(2).filter(ImageFilter.BoxBlur(self.blur))
        frame = np.asarray(picture, dtype=np.float32).reshape(self.size, -1)  # rows of 3 x size: faster by far
        frame = frame * np.repeat(self._gain(brush), 3, axis=1)
        frame *= np.tile(self.cast, self.size)
        row, column = self.rng.integers(0, 32, 2)
        frame += self.noise[row : row + self.size, column : column + self.size].reshape(self.size, -1)
        return frame.clip(0, 255, out=frame).astype(np.uint8).reshape(self.size, self.size, 3)

    def _gain(self, brush: Brush) -> np.ndarray:
        """How bright each pixel is beside its own color, float32 `(size, size)`: a lit ball where the person is."""
        cover = np.asarray(brush.mask.reduce(2), dtype=np.float32) / 255
        center, radius = brush.camera(np.array([0, 0, 0.1])) / 2, brush.scale / 2 * 1.25
        # A ball about the head: `facing` is the z of its surface, x and y are in radii from its center.
        x, y = ((np.arange(self.size, dtype=np.float32) - middle) / radius for middle in center)
        x, y = x[None].clip(-1, 1), y[:, None].clip(-1, 1)
        facing = np.sqrt((1 - x * x - y * y).clip(0))
        lit = self.light[0] * x + self.light[1] * y + self.light[2] * facing
        return (1 + cover * (self.contrast * (lit - 0.75))).astype(np.float32)


def unit(vector: np.ndarray) -> np.ndarray:
    """The vector at length 1, float32."""
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def muted_colors(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random colors, uint8 `(*shape, 3)`, half way to gray."""
    return (0.5 * rng.uniform(10, 245, (*shape, 1)) + 0.5 * rng.uniform(10, 245, (*shape, 3))).astype(np.uint8)


def draw_background(rng: np.random.Generator, size: int) -> Image.Image:
    """A canvas of twice the size: a gradient, some shapes, a coarse texture, out of focus."""
    # Four colors, one for each corner, blended in between.
    corners = muted_colors(rng, (2, 2))
    canvas = Image.fromarray(corners).resize((2 * size, 2 * size), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(0, 9)):
        (x, y), (wide, high) = rng.uniform(-0.2, 1, 2) * 2 * size, rng.uniform(0.1, 0.9, 2) * size
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x, y, x + wide, y + high), fill=tuple(muted_colors(rng, ()).tolist()))
    cells = int(rng.integers(4, 24))
    grain = Image.fromarray(muted_colors(rng, (cells, cells)))
    canvas = Image.blend(canvas, grain.resize(canvas.size, Image.Resampling.BICUBIC), float(rng.uniform(0, 0.35)))
    return canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 5)) * size / 64))
