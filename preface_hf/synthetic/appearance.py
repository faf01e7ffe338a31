"""What a person looks like beside the shape of the face: colors, hair, beard, marks and glasses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


Color = tuple[int, int, int]

# Palettes, RGB from 0 to 255. A name that stands twice in a list below is twice as likely.
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
_PALETTES = (_SKINS, _HAIRS, _IRISES, _LIPS, _CLOTHES)


@lru_cache(maxsize=4096)
def mix(first: Color, second: Color, amount: float) -> Color:
    """A color between two, `amount` (0 to 1) of the way to the second."""
    red, green, blue = (round(a + (b - a) * amount) for a, b in zip(first, second, strict=True))
    return red, green, blue


def dark(color: Color, amount: float) -> Color:
    """A color darkened, 0 not at all to 1 (near black)."""
    return mix(color, (24, 10, 8), amount)


def light(color: Color, amount: float) -> Color:
    """A color lightened, 0 not at all to 1 (near white)."""
    return mix(color, (255, 246, 236), amount)


@dataclass(frozen=True)
class Appearance:
    """What a person looks like beside the shape of the face: traits from small palettes, so that people share them."""

    skin: Color
    hair: Color
    iris: Color
    lips: Color
    clothes: Color
    style: str
    beard: str
    marks: str
    brow: float
    rims: Color | None


def appearance(identity: int) -> Appearance:
    """The appearance of a person, always the same."""
    # The second number keeps streams of one identity apart: 1 shape, 2 appearance, 3 marks and hair, 5 voice.
    # The order of draws is part of who somebody is: a new trait is drawn last, or every person changes.
    rng = np.random.default_rng([identity, 2])
    skin, hair, iris, lips, clothes = (palette[rng.integers(len(palette))] for palette in _PALETTES)
    style, beard, marks = (names[rng.integers(len(names))] for names in (_STYLES, _BEARDS, _MARKS))
    brow = (0.026, 0.038, 0.05)[rng.integers(3)]
    rims = _RIMS[rng.integers(2)] if rng.random() < 0.3 else None
    return Appearance(skin, hair, iris, mix(lips, skin, 0.35), clothes, style, beard, marks, brow, rims)


class Person:
    """Somebody to draw. identity: who. rest: their face at rest, `(68, 3)` in face units.

    look: their `Appearance`. skin: its color, with their own tan. wide: width of the head beside the mean face's.
    freckles `(9, 3)`: places of one side in face units; strands `(13,)`: how uneven the hair's ends are.
    """

    def __init__(self, identity: int, rest: np.ndarray) -> None:
        own = np.random.default_rng([identity, 3])
        # 0.74 is the x of point 16, the jaw's upper end, in the mean face.
        self.look, self.rest, self.wide = appearance(identity), rest, float(rest[16, 0] / 0.74)
        # Freckles lie on the cheek: x and y are drawn, z is flat.
        self.freckles = own.uniform([0.14, -0.06, 0], [0.46, 0.24, 0], (9, 3)) * [1, 1, 0] + [0, 0, 0.55]
        self.strands = own.uniform(-0.05, 0.05, 13)
        self.skin = mix(self.look.skin, dark(self.look.skin, 0.3), float(own.uniform(0, 0.3)))
