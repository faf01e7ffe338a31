"""The head and what surrounds it: skull, hair, ears, neck, shoulders, and the skin of the face."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from preface_hf.synthetic.appearance import Person, dark, light, mix
from preface_hf.synthetic.brush import Brush, between, both_sides, curve, hull
from preface_hf.synthetic.parsing import BACKGROUND, HAIR, SKIN


# The skull is an ellipsoid; a lock and the tail are one side of long hair. All in face units.
_SKULL_CENTER, _SKULL_RADII = np.array([0, -0.35, -0.2]), np.array([0.76, 0.8, 0.78])
_LOCK = np.array([[0.6, -0.8, -0.1], [0.8, -0.3, 0.0], [0.86, 0.7, 0.0], [0.74, 0.9, 0.1], [0.7, -0.2, 0.22]])
_TAIL = np.array([[0.78, 0.3, -0.1], [0.9, 0.9, -0.25], [0.72, 1.35, -0.2]])
# Half of the shoulders' outline, and the neck's, in face units from the neck, flat.
_BODY = np.array([[-0.4, 0.7], [-1.1, 0.9], [-1.6, 1.25], [-1.7, 4]])
_SHOULDERS = np.concatenate([_BODY, _BODY[::-1] * [-1, 1]])
_NECK = np.array([[-0.36, -0.3], [-0.36, 0.7], [0, 0.98], [0.36, 0.7], [0.36, -0.3]])
# Cheekbones and temples: with them the outline of a turned head encloses its eyes and brows.
CHEEKS = np.array([[0.69, -0.44, 0.3], [0.72, -0.2, 0.22], [0.69, 0.1, 0.32], [0.62, 0.36, 0.36]])
_HAIR_SCALES = {"bald": 1.0, "afro": 1.24, "bun": 1.04}  # the skull with its hair, beside the bare one; else 1.09


def draw_behind(brush: Brush, person: Person, points: np.ndarray) -> None:
    """Hair that hangs or is knotted behind the head, shoulders and neck."""
    look = person.look
    if "long" in look.style:
        tail = brush.camera(both_sides(_TAIL * [person.wide, 1, 1]))
        outline = np.concatenate([tail, skull_outline(brush, person, 1.1)])
        brush.fill(hull(outline), dark(look.hair, 0.15), lit=True, label=HAIR)
    if look.style == "bun":
        bun = brush.ball(np.array([0, -1.2, -0.35]), np.array([0.3, 0.26, 0.3]))
        brush.fill(bun, look.hair, lit=True, label=HAIR)
    # Shoulders do not turn with the head: only the neck's place goes through the camera.
    neck = brush.camera(np.array([0, 0.55, -0.15]))
    brush.fill(neck + brush.scale * _SHOULDERS, look.clothes, lit=True, label=BACKGROUND)
    column = neck + brush.scale * _NECK * [person.wide, 1]
    brush.fill(column, dark(person.skin, 0.12), lit=True, label=BACKGROUND)
    shadow = brush.camera(points[3:14] + [0, 0.12, -0.2])
    brush.fill(np.clip(shadow, column.min(axis=0), column.max(axis=0)), dark(person.skin, 0.3))


def draw_head(brush: Brush, person: Person, points: np.ndarray) -> None:
    """Skull, ears and the face's skin, whose lower edge is the jaw of the landmarks."""
    bald, scale = person.look.style == "bald", _HAIR_SCALES.get(person.look.style, 1.09)
    color, label = (person.skin, SKIN) if bald else (person.look.hair, HAIR)
    brush.fill(skull_outline(brush, person, scale), color, lit=True, label=label)
    if "long" not in person.look.style:
        draw_ears(brush, person)
    outline = np.concatenate([curve(points[:17], 3), points[17:27], upper_face(person.wide)])
    brush.fill(hull(brush.camera(outline)), person.skin, lit=True, label=SKIN)
    for side, corner in ((-1, 48), (1, 54)):
        cheek = points[corner] * [0.6, 0, 0.6] + [side * 0.2, 0.16, 0.2]
        brush.dots(cheek[None], 0.11, mix(person.skin, (214, 96, 84), 0.1), 0.8)
    draw_marks(brush, person)


def skull_outline(brush: Brush, person: Person, scale: float) -> np.ndarray:
    """The outline `(32, 2)` in canvas pixels of the skull, `scale` times as large as the bare one."""
    return brush.ball(_SKULL_CENTER, _SKULL_RADII * [person.wide, 1, 1] * scale)


@lru_cache(maxsize=64)
def upper_face(wide: float) -> np.ndarray:
    """Hairline, temples and cheekbones, `(17, 3)` in face units, of a head `wide` times the mean one's width."""
    # The hairline is an arch: highest in the middle, as y points down.
    line = np.linspace(-0.62, 0.62, 9)
    return np.concatenate([on_skull(wide, line, -0.86 + 0.75 * line**2), both_sides(CHEEKS * [wide, 1, 1])])


def on_skull(wide: float, x: np.ndarray, y: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Points `(n, 3)` on the front of the skull at x and y, all in face units; scale: times the skull's size."""
    place = np.stack([x * wide, y, np.zeros_like(x)], axis=1)
    # x and y in radii from the center; z follows from the ellipsoid's equation, 0 beyond its rim.
    around = (place - _SKULL_CENTER)[:, :2] / (_SKULL_RADII[:2] * [wide, 1] * scale)
    place[:, 2] = _SKULL_CENTER[2] + _SKULL_RADII[2] * scale * np.sqrt((1 - (around**2).sum(axis=1)).clip(0))
    return place


def draw_ears(brush: Brush, person: Person) -> None:
    """Both ears, darker inside."""
    for side in (-1, 1):
        ear = np.array([side * 0.77 * person.wide, -0.06, -0.06])
        outline = brush.ball(ear, np.array([0.09, 0.19, 0.12]))
        brush.fill(outline, dark(person.skin, 0.06), lit=True, label=SKIN)
        brush.fill(brush.ball(ear + [side * 0.03, 0, 0.03], np.array([0.04, 0.11, 0.06])), dark(person.skin, 0.22))


def draw_marks(brush: Brush, person: Person) -> None:
    """Freckles on both cheeks or a mole on one, if the person has any."""
    if person.look.marks == "freckles":
        brush.dots(both_sides(person.freckles), 0.013, dark(person.skin, 0.3))
    elif person.look.marks != "none":
        side = -1 if person.look.marks == "right_mole" else 1
        brush.dots(np.array([[side * 0.36, 0.36, 0.5]]), 0.026, dark(person.skin, 0.6))


def draw_front_hair(brush: Brush, person: Person) -> None:
    """Hair that falls over the face."""
    style, hair = person.look.style, person.look.hair
    if "fringe" in style:
        top, ends = fringe(person)
        brush.fill(between(top, ends), hair, label=HAIR)
        for start, end in zip(top[1::2], ends[1::2], strict=True):
            brush.line(np.array([start, end]), dark(hair, 0.25), 0.014)
    if style == "sweep":
        top, ends = fringe(person)
        brush.fill(between(top, ends), hair, label=HAIR)
        brush.line(curve(ends[2:11:2] + [0, -0.08, 0]), light(hair, 0.15), 0.02)
    if "long" in style:
        for side in (-1, 1):
            brush.fill(_LOCK * [side * person.wide, 1, 1], hair, lit=True, label=HAIR)


@lru_cache(maxsize=64)
def fringe(person: Person) -> tuple[np.ndarray, np.ndarray]:
    """Where hair that falls over the forehead begins and ends, each `(13, 3)` in face units."""
    across = np.linspace(-0.66, 0.66, 13)
    low = -0.6 + person.strands + 0.3 * across**2
    if person.look.style == "sweep":
        low = -0.72 + 0.28 * across + 0.2 * person.strands
    top = on_skull(person.wide, across, -0.95 + 0.5 * across**2, 1.06)
    return top, on_skull(person.wide, across, low, 1.06)
