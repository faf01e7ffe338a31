"""Drawing of synthetic faces with Pillow: who they are to look at, what stands behind them, how they are lit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


Colour = tuple[int, int, int]

_SKINS = [(255, 224, 200), (244, 205, 172), (229, 184, 143), (205, 152, 108)]
_SKINS += [(172, 118, 78), (132, 86, 56), (92, 58, 40)]
_HAIRS = [(28, 22, 22), (62, 40, 28), (104, 68, 40), (196, 156, 92)]
_HAIRS += [(150, 66, 36), (160, 160, 162), (226, 222, 214)]
_IRISES = [(70, 44, 26), (112, 76, 40), (66, 120, 84), (72, 116, 170), (110, 124, 134)]
_LIPS = [(190, 92, 88), (168, 62, 72), (150, 84, 76), (206, 110, 110)]
_CLOTHES = [(52, 62, 92), (150, 52, 52), (74, 110, 84), (216, 210, 200), (44, 44, 48), (206, 160, 70)]
_RIMS = [(30, 28, 30), (120, 70, 40)]
_STYLES = ["bald", "short", "short", "afro", "fringe", "sweep", "long", "long_fringe", "bun"]
_BEARDS = ["none", "none", "none", "none", "stubble", "moustache", "goatee", "beard"]
_MARKS = ["none", "none", "freckles", "right_mole", "left_mole"]

_SKULL_CENTRE, _SKULL_RADII = np.array([0, -0.35, -0.2]), np.array([0.76, 0.8, 0.78])
_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 33)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 33)[:-1])], axis=1)
_LOCK = np.array([[0.6, -0.8, -0.1], [0.8, -0.3, 0.0], [0.86, 0.7, 0.0], [0.74, 0.9, 0.1], [0.7, -0.2, 0.22]])
_TAIL = np.array([[0.78, 0.3, -0.1], [0.9, 0.9, -0.25], [0.72, 1.35, -0.2]])
# Half of the shoulders' outline, in face units from the neck, flat.
_BODY = np.array([[-0.4, 0.7], [-1.1, 0.9], [-1.6, 1.25], [-1.7, 4]])
# Cheekbones and temples: with them the outline of a turned head encloses its eyes and brows.
_CHEEKS = np.array([[0.69, -0.44, 0.3], [0.72, -0.2, 0.22], [0.69, 0.1, 0.32], [0.62, 0.36, 0.36]])
_EYES = [((36, 37, 38, 39), (36, 41, 40, 39)), ((42, 43, 44, 45), (42, 47, 46, 45))]


@dataclass(frozen=True)
class Camera:
    """Weak perspective: matrix `(2, 3)` and offset `(2,)` take face units to pixels."""

    matrix: np.ndarray
    offset: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Pixels `(..., 2)` of points `(..., 3)`."""
        return points @ self.matrix.T + self.offset


@dataclass(frozen=True)
class Appearance:
    """What a person looks like beside the shape of the face: traits from small palettes, so that people share them."""

    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    clothes: Colour
    style: str
    beard: str
    marks: str
    brow: float
    rims: Colour | None


def appearance(identity: int) -> Appearance:
    """The appearance of a person, always the same."""
    rng = np.random.default_rng([identity, 2])
    skin, hair, iris, lips, clothes = (palette[rng.integers(len(palette))] for palette in _PALETTES)
    style, beard, marks = (names[rng.integers(len(names))] for names in (_STYLES, _BEARDS, _MARKS))
    brow = (0.026, 0.038, 0.05)[rng.integers(3)]
    rims = _RIMS[rng.integers(2)] if rng.random() < 0.3 else None
    return Appearance(skin, hair, iris, _mix(lips, skin, 0.35), clothes, style, beard, marks, brow, rims)


_PALETTES = (_SKINS, _HAIRS, _IRISES, _LIPS, _CLOTHES)


def _mix(first: Colour, second: Colour, amount: float) -> Colour:
    red, green, blue = (round(a + (b - a) * amount) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _dark(colour: Colour, amount: float) -> Colour:
    return _mix(colour, (24, 10, 8), amount)


def _light(colour: Colour, amount: float) -> Colour:
    return _mix(colour, (255, 246, 236), amount)


@lru_cache(maxsize=32)
def _basis(count: int, steps: int) -> np.ndarray:
    """Matrix `((count - 1) * steps + 1, count)` of an open Catmull-Rom curve through its points."""
    eye = np.eye(count)
    padded = np.vstack([2 * eye[0] - eye[1], eye, 2 * eye[-1] - eye[-2]])
    t = (np.arange(steps) / steps)[:, None]
    rows = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
    ]
    return np.vstack([*rows, eye[-1:]])


def _curve(points: np.ndarray, steps: int = 4) -> np.ndarray:
    return _basis(len(points), steps) @ points


def _between(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    return np.concatenate([upper, lower[::-1]])


def _both_sides(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, points * [-1, 1, 1]])


def _hull(points: np.ndarray) -> np.ndarray:
    """The convex hull of points `(n, 2)`, in order (monotone chain)."""
    ordered = sorted(map(tuple, points.tolist()))
    chain: list[tuple[float, float]] = []
    for side in (ordered, ordered[::-1]):
        start = len(chain)
        for x, y in side:
            while len(chain) > start + 1:
                (ax, ay), (bx, by) = chain[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        chain.pop()
    return np.array(chain)


class _Brush:
    """Draws shapes given in face units on a canvas of twice the picture's size, and their outline on a mask."""

    def __init__(self, background: Image.Image, camera: Camera) -> None:
        self.canvas, self.mask = background.copy(), Image.new("L", background.size)
        self.colour, self.cover = ImageDraw.Draw(self.canvas), ImageDraw.Draw(self.mask)
        self.camera = Camera(2 * camera.matrix, 2 * camera.offset + 0.5)
        self.scale = float(np.sqrt((self.camera.matrix**2).sum() / 2))

    def fill(self, points: np.ndarray, colour: Colour, lit: bool = False) -> None:
        """Fill the polygon of points `(n, 3)` in face units or `(n, 2)` in canvas pixels; lit: light falls on it."""
        flat = (self.camera(points) if points.shape[1] == 3 else points).ravel().tolist()
        self.colour.polygon(flat, fill=colour)
        if lit:
            self.cover.polygon(flat, fill=255)

    def line(self, points: np.ndarray, colour: Colour, width: float) -> None:
        flat = self.camera(points).ravel().tolist()
        self.colour.line(flat, fill=colour, width=max(1, round(width * self.scale)), joint="curve")

    def dot(self, centre: np.ndarray, radius: float, colour: Colour, flat: float = 1.0) -> None:
        x, y = self.camera(centre)
        wide, high = radius * self.scale, radius * flat * self.scale
        self.colour.ellipse((x - wide, y - high, x + wide, y + high), fill=colour)

    def ball(self, centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Outline `(32, 2)` in canvas pixels of an ellipsoid in face units."""
        across = self.camera.matrix * radii
        return self.camera(centre) + _CIRCLE @ np.linalg.cholesky(across @ across.T).T


class Painter:
    """Draws the frames of one clip of one person: `paint` for each frame, in order.

    identity: who. rest: their face at rest, `(68, 3)`. rng: decides background, light and noise. size: pixels a side.
    """

    def __init__(self, identity: int, rest: np.ndarray, rng: np.random.Generator, size: int) -> None:
        self.look, self.rest, self.rng, self.size = appearance(identity), rest, rng, size
        self.wide = float(rest[16, 0] / 0.74)
        own = np.random.default_rng([identity, 3])
        self.freckles = own.uniform([0.14, -0.06, 0], [0.46, 0.24, 0], (9, 3)) * [1, 1, 0] + [0, 0, 0.55]
        self.strands = own.uniform(-0.05, 0.05, 13)
        self.skin = _mix(self.look.skin, _dark(self.look.skin, 0.3), float(own.uniform(0, 0.3)))
        self.background = _background(rng, size)
        self.light = _unit(rng.normal(size=3) * [1, 0.7, 0] + [0, -0.35, 0.9])
        self.contrast, self.blur = rng.uniform(0.25, 0.65), rng.uniform(0.0, 0.7)
        self.cast = (rng.uniform(0.82, 1.12) * rng.uniform(0.96, 1.04, 3)).astype(np.float32)
        self.noise = (rng.normal(size=(size + 32, size + 32, 3)) * rng.uniform(1, 7)).astype(np.float32)

    def paint(self, points: np.ndarray, camera: Camera, gaze: np.ndarray) -> np.ndarray:
        """One frame, uint8 `(size, size, 3)`: points `(68, 3)` in face units, gaze `(2,)` moves the irises in them."""
        brush = _Brush(self.background, camera)
        self._behind(brush, points)
        self._head(brush, points)
        self._beard(brush, points)
        self._nose(brush, points)
        self._mouth(brush, points)
        for upper, lower in _EYES:
            self._eye(brush, points[list(upper)], points[list(lower)], gaze)
        self._front_hair(brush)
        self._brows(brush, points)
        self._glasses(brush)
        return self._develop(brush)

    def _behind(self, brush: _Brush, points: np.ndarray) -> None:
        look, neck = self.look, brush.camera(np.array([0, 0.55, -0.15]))
        if "long" in look.style:
            tail = brush.camera(_both_sides(_TAIL * [self.wide, 1, 1]))
            outline = np.concatenate([tail, self._skull(brush, 1.1)])
            brush.fill(_hull(outline), _dark(look.hair, 0.15), lit=True)
        if look.style == "bun":
            brush.fill(brush.ball(np.array([0, -1.2, -0.35]), np.array([0.3, 0.26, 0.3])), look.hair, lit=True)
        body = np.concatenate([_BODY, _BODY[::-1] * [-1, 1]])
        brush.fill(neck + brush.scale * body, look.clothes, lit=True)
        column = np.array([[-0.36, -0.3], [-0.36, 0.7], [0, 0.98], [0.36, 0.7], [0.36, -0.3]])
        column = neck + brush.scale * column * [self.wide, 1]
        brush.fill(column, _dark(self.skin, 0.12), lit=True)
        shadow = brush.camera(points[3:14] + [0, 0.12, -0.2])
        brush.fill(np.clip(shadow, column.min(axis=0), column.max(axis=0)), _dark(self.skin, 0.3))

    def _skull(self, brush: _Brush, grown: float) -> np.ndarray:
        return brush.ball(_SKULL_CENTRE, _SKULL_RADII * [self.wide, 1, 1] * grown)

    def _on_skull(self, x: np.ndarray, y: np.ndarray, grown: float = 1.0) -> np.ndarray:
        """Points `(n, 3)` on the front of the skull at x and y."""
        place = np.stack([x * self.wide, y, np.zeros_like(x)], axis=1)
        around = (place - _SKULL_CENTRE)[:, :2] / (_SKULL_RADII[:2] * [self.wide, 1] * grown)
        place[:, 2] = _SKULL_CENTRE[2] + _SKULL_RADII[2] * grown * np.sqrt((1 - (around**2).sum(axis=1)).clip(0))
        return place

    def _head(self, brush: _Brush, points: np.ndarray) -> None:
        bald = self.look.style == "bald"
        grown = {"bald": 1.0, "afro": 1.24, "bun": 1.04}.get(self.look.style, 1.09)
        brush.fill(self._skull(brush, grown), self.skin if bald else self.look.hair, lit=True)
        if "long" not in self.look.style:
            self._ears(brush)
        line = np.linspace(-0.62, 0.62, 9)
        forehead = self._on_skull(line, -0.86 + 0.75 * line**2)
        cheeks = _both_sides(_CHEEKS * [self.wide, 1, 1])
        outline = np.concatenate([_curve(points[:17], 3), points[17:27], forehead, cheeks])
        brush.fill(_hull(brush.camera(outline)), self.skin, lit=True)
        for side, corner in ((-1, 48), (1, 54)):
            cheek = points[corner] * [0.6, 0, 0.6] + [side * 0.2, 0.16, 0.2]
            brush.dot(cheek, 0.11, _mix(self.skin, (214, 96, 84), 0.1), 0.8)
        self._spots(brush)

    def _ears(self, brush: _Brush) -> None:
        for side in (-1, 1):
            ear = np.array([side * 0.77 * self.wide, -0.06, -0.06])
            brush.fill(brush.ball(ear, np.array([0.09, 0.19, 0.12])), _dark(self.skin, 0.06), lit=True)
            brush.fill(brush.ball(ear + [side * 0.03, 0, 0.03], np.array([0.04, 0.11, 0.06])), _dark(self.skin, 0.22))

    def _spots(self, brush: _Brush) -> None:
        if self.look.marks == "freckles":
            for spot in _both_sides(self.freckles):
                brush.dot(spot, 0.013, _dark(self.skin, 0.3))
        elif self.look.marks != "none":
            side = -1 if self.look.marks == "right_mole" else 1
            brush.dot(np.array([side * 0.36, 0.36, 0.5]), 0.026, _dark(self.skin, 0.6))

    def _beard(self, brush: _Brush, points: np.ndarray) -> None:
        look, lip, out = self.look, points[48:55], np.array([0.06, 0, 0])
        sides = np.array([lip[0] - out, lip[6] + out])
        above = points[31:36] * [1.4, 0.3, 1] + lip[1:6] * [0, 0.7, 0]
        if look.beard in ("beard", "stubble"):
            high = np.concatenate([points[2:3], sides[:1], above, sides[1:], points[14:15]])
            colour = look.hair if look.beard == "beard" else _mix(self.skin, look.hair, 0.25)
            brush.fill(_between(_curve(high), _curve(points[2:15], 2)), colour)
            for jaw, side in ((points[[2, 4]], -1), (points[[14, 12]], 1)):
                brush.fill(np.vstack([jaw, _CHEEKS[3] * [side * self.wide, 1, 1]]), colour)
        if look.beard == "moustache":
            brush.fill(_curve(np.concatenate([sides[:1], above, sides[1:], lip[::-1], sides[:1]])), look.hair)
        if look.beard == "goatee":
            chin = points[[6, 7, 8, 9, 10]] * [0.8, 0.985, 1]
            top = np.array([points[59], points[57], points[55]]) + [0, 0.06, 0]
            brush.fill(_curve(np.concatenate([top, chin[::-1], top[:1]])), look.hair)

    def _nose(self, brush: _Brush, points: np.ndarray) -> None:
        away = points[35] if self.light[0] < 0 else points[31]
        brush.fill(
            np.array([points[27], points[30], points[33], away, (points[27] + away) / 2]), _dark(self.skin, 0.13)
        )
        wings = points[31:36] + [0, -0.035, 0]
        for wing in (wings[0], wings[-1]):
            brush.dot(wing * [0.85, 1, 1], 0.06, _dark(self.skin, 0.1))
        brush.dot((points[30] + points[33]) / 2, 0.085, self.skin)
        brush.line(points[27:31], _light(self.skin, 0.14), 0.05)
        brush.dot(points[30], 0.045, _light(self.skin, 0.3))
        brush.line(_curve(points[31:36]), _dark(self.skin, 0.4), 0.022)
        for nostril in (points[32], points[34]):
            brush.dot(nostril + [0, -0.012, 0], 0.026, _dark(self.skin, 0.65), 0.7)

    def _mouth(self, brush: _Brush, points: np.ndarray) -> None:
        lips, upper, lower = self.look.lips, _curve(points[60:65]), _curve(points[[60, 67, 66, 65, 64]])
        brush.fill(_between(_curve(points[48:55]), upper), _dark(lips, 0.15))
        brush.fill(_between(lower, _curve(points[[48, 59, 58, 57, 56, 55, 54]])), lips)
        brush.line(_curve(points[[58, 57, 56]] + [0, -0.045, 0]), _light(lips, 0.25), 0.02)
        brush.fill(_between(upper, lower), (62, 18, 22))
        gap = lower[:, 1] - upper[:, 1]
        tongue, teeth = lower.copy(), upper.copy()
        tongue[:, 1] -= (0.45 * gap - 0.02).clip(0)
        teeth[:, 1] += (0.6 * gap).clip(0, 0.045)
        brush.fill(_between(tongue[3:-3], lower[3:-3]), (176, 82, 84))
        brush.fill(_between(upper[3:-3], teeth[3:-3]), (236, 230, 218))
        brush.line(upper, _dark(lips, 0.55), 0.014)

    def _eye(self, brush: _Brush, upper: np.ndarray, lower: np.ndarray, gaze: np.ndarray) -> None:
        above, below = _curve(upper, 5), _curve(lower, 5)
        brush.line(above + [0, -0.035, 0], _dark(self.skin, 0.25), 0.02)
        brush.line(below + [0, 0.03, 0], _dark(self.skin, 0.12), 0.016)
        brush.fill(_between(above, below), (244, 242, 238))
        centre = (upper[0] + upper[3]) / 2 + [gaze[0], gaze[1] - 0.01, 0.03]
        for radius, colour in ((0.082, _dark(self.look.iris, 0.35)), (0.07, self.look.iris), (0.036, (14, 12, 12))):
            disc = centre + np.column_stack([_CIRCLE[::2] * radius, np.zeros(16)])
            lids = [np.interp(disc[:, 0], lid[:, 0], lid[:, 1]) for lid in (above, below)]
            disc[:, 1] = np.minimum(np.maximum(disc[:, 1], lids[0]), lids[1])
            brush.fill(disc, colour)
        if below[7, 1] - above[7, 1] > 0.06:
            brush.dot(centre + [0.024, -0.024, 0], 0.016, (250, 250, 250))
        brush.line(above, _dark(self.skin, 0.85), 0.028)

    def _brows(self, brush: _Brush, points: np.ndarray) -> None:
        colour = _mix(_dark(self.look.hair, 0.3), self.skin, 0.1)
        taper = np.array([0.3, 0.75, 1, 1, 0.8])[:, None] * [0, self.look.brow, 0]
        for brow in (points[17:22], points[26:21:-1]):
            brush.fill(_between(_curve(brow - taper), _curve(brow + taper)), colour)

    def _front_hair(self, brush: _Brush) -> None:
        style, hair = self.look.style, self.look.hair
        across = np.linspace(-0.66, 0.66, 13)
        top = self._on_skull(across, -0.95 + 0.5 * across**2, 1.06)
        if "fringe" in style:
            ends = self._on_skull(across, -0.6 + self.strands + 0.3 * across**2, 1.06)
            brush.fill(_between(top, ends), hair)
            for start, end in zip(top[1::2], ends[1::2], strict=True):
                brush.line(np.array([start, end]), _dark(hair, 0.25), 0.014)
        if style == "sweep":
            ends = self._on_skull(across, -0.72 + 0.28 * across + 0.2 * self.strands, 1.06)
            brush.fill(_between(top, ends), hair)
            brush.line(_curve(ends[2:11:2] + [0, -0.08, 0]), _light(hair, 0.15), 0.02)
        if "long" in style:
            for side in (-1, 1):
                brush.fill(_LOCK * [side * self.wide, 1, 1], hair, lit=True)

    def _glasses(self, brush: _Brush) -> None:
        if self.look.rims is None:
            return
        centres = [self.rest[36:42].mean(axis=0), self.rest[42:48].mean(axis=0)]
        for centre, side in zip(centres, (-1, 1), strict=True):
            centre = centre + [0, 0.02, 0.1]
            ring = centre + np.column_stack([_CIRCLE * [0.205, 0.17], np.zeros(32)])
            brush.line(np.concatenate([ring, ring[:2]]), self.look.rims, 0.028)
            brush.line(
                np.array([centre + [side * 0.205, 0, 0], [side * 0.76 * self.wide, -0.16, 0]]), self.look.rims, 0.028
            )
        bridge = np.array([centres[0] + [0.2, 0, 0.1], [0, -0.22, 0.66], centres[1] + [-0.2, 0, 0.1]])
        brush.line(_curve(bridge), self.look.rims, 0.028)

    def _develop(self, brush: _Brush) -> np.ndarray:
        """The picture at its own size, with light on the person, colour cast, blur and noise."""
        picture = brush.canvas.reduce(2).filter(ImageFilter.BoxBlur(self.blur))
        cover = np.asarray(brush.mask.reduce(2), dtype=np.float32) / 255
        centre, radius = brush.camera(np.array([0, 0, 0.1])) / 2, brush.scale / 2 * 1.25
        x, y = ((np.arange(self.size, dtype=np.float32) - middle) / radius for middle in centre)
        x, y = x[None].clip(-1, 1), y[:, None].clip(-1, 1)
        facing = np.sqrt((1 - x * x - y * y).clip(0))
        lit = self.light[0] * x + self.light[1] * y + self.light[2] * facing
        gain = 1 + cover * (self.contrast * (lit - 0.75))
        shift = self.rng.integers(0, 32, 2)
        noise = self.noise[shift[0] : shift[0] + self.size, shift[1] : shift[1] + self.size]
        frame = np.asarray(picture, dtype=np.float32) * gain[..., None].astype(np.float32)
        return (frame * self.cast + noise).clip(0, 255).astype(np.uint8)


def _unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _muted(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random colours, uint8 `(*shape, 3)`, half way to grey."""
    return (0.5 * rng.uniform(10, 245, (*shape, 1)) + 0.5 * rng.uniform(10, 245, (*shape, 3))).astype(np.uint8)


def _background(rng: np.random.Generator, size: int) -> Image.Image:
    """A canvas of twice the size: a gradient, some shapes, a coarse texture, out of focus."""
    corners = _muted(rng, (2, 2))
    canvas = Image.fromarray(corners).resize((2 * size, 2 * size), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(0, 9)):
        (x, y), (wide, high) = rng.uniform(-0.2, 1, 2) * 2 * size, rng.uniform(0.1, 0.9, 2) * size
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x, y, x + wide, y + high), fill=tuple(_muted(rng, ()).tolist()))
    cells = int(rng.integers(4, 24))
    grain = Image.fromarray(_muted(rng, (cells, cells)))
    canvas = Image.blend(canvas, grain.resize(canvas.size, Image.Resampling.BICUBIC), float(rng.uniform(0, 0.35)))
    return canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 5)) * size / 64))
