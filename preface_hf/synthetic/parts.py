"""The parts of the face that landmarks name, and what is worn about them: eyes, brows, nose, mouth, beard, glasses."""

from __future__ import annotations

import numpy as np

from preface_hf.synthetic.appearance import Person, dark, light, mix
from preface_hf.synthetic.brush import CIRCLE, Brush, between, curve, hull
from preface_hf.synthetic.head import CHEEKS
from preface_hf.synthetic.parsing import LEFT_EYE, MOUTH, NOSE, RIGHT_EYE, SKIN


# Upper and lower lid of each eye, in the picture from left to right.
_EYES = {RIGHT_EYE: ([36, 37, 38, 39], [36, 41, 40, 39]), LEFT_EYE: ([42, 43, 44, 45], [42, 47, 46, 45])}

# The rim of the iris, the iris and the pupil, in face units from its middle.
_DISCS = np.stack([np.column_stack([CIRCLE[::2] * radius, np.zeros(16)]) for radius in (0.082, 0.07, 0.036)])


def draw_beard(brush: Brush, person: Person, points: np.ndarray) -> None:
    """Whatever beard the person has."""
    lip, out = points[48:55], np.array([0.06, 0, 0])
    sides = np.array([lip[0] - out, lip[6] + out])
    above = points[31:36] * [1.4, 0.3, 1] + lip[1:6] * [0, 0.7, 0]
    if person.look.beard in ("beard", "stubble"):
        top = np.concatenate([points[2:3], sides[:1], above, sides[1:], points[14:15]])
        draw_full_beard(brush, person, points, top)
    if person.look.beard == "moustache":
        outline = curve(np.concatenate([sides[:1], above, sides[1:], lip[::-1], sides[:1]]))
        brush.fill(outline, person.look.hair, label=SKIN)
    if person.look.beard == "goatee":
        chin = points[[6, 7, 8, 9, 10]] * [0.8, 0.985, 1]
        top = np.array([points[59], points[57], points[55]]) + [0, 0.06, 0]
        brush.fill(curve(np.concatenate([top, chin[::-1], top[:1]])), person.look.hair, label=SKIN)


def draw_full_beard(brush: Brush, person: Person, points: np.ndarray, top: np.ndarray) -> None:
    """A beard or stubble between the line `top` `(n, 3)` and the jaw, up to the cheekbones."""
    hair = person.look.hair
    color = hair if person.look.beard == "beard" else mix(person.skin, hair, 0.25)
    brush.fill(between(curve(top), curve(points[2:15], 2)), color, label=SKIN)
    for jaw, side in ((points[[2, 4]], -1), (points[[14, 12]], 1)):
        brush.fill(np.vstack([jaw, CHEEKS[3] * [side * person.wide, 1, 1]]), color, label=SKIN)


def draw_nose(brush: Brush, person: Person, points: np.ndarray, light_from_right: bool) -> None:
    """The nose with its shade; light_from_right: the light comes from the right of the picture."""
    skin, away = person.skin, points[31 if light_from_right else 35]
    # The side of the nose that is turned away from the light.
    shade = np.array([points[27], points[30], points[33], away, (points[27] + away) / 2])
    brush.fill(shade, dark(skin, 0.13))
    wings = (points[31:36] + [0, -0.035, 0])[[0, -1]] * [0.85, 1, 1]
    brush.dots(wings, 0.06, dark(skin, 0.1))
    brush.dots((points[30:31] + points[33]) / 2, 0.085, skin)
    brush.line(points[27:31], light(skin, 0.14), 0.05)
    brush.dots(points[30:31], 0.045, light(skin, 0.3))
    brush.line(curve(points[31:36]), dark(skin, 0.4), 0.022)
    brush.dots(points[[32, 34]] + [0, -0.012, 0], 0.026, dark(skin, 0.65), 0.7)
    if brush.labels is not None:
        brush.mark(nose_outline(brush, points, wings), NOSE)


def nose_outline(brush: Brush, points: np.ndarray, wings: np.ndarray) -> np.ndarray:
    """The convex hull `(n, 2)` in canvas pixels of all that is drawn of a nose."""
    balls = [(wings[0], 0.06), (wings[1], 0.06), ((points[30] + points[33]) / 2, 0.085), (points[30], 0.045)]
    round_parts = [brush.camera(center) + CIRCLE[::3] * radius * brush.scale for center, radius in balls]
    bridge = brush.camera(points[27:31])
    ridge = [bridge + [side * 0.025 * brush.scale, 0] for side in (-1, 1)]
    return hull(np.concatenate([*round_parts, *ridge, brush.camera(points[31:36])]))


def draw_mouth(brush: Brush, person: Person, points: np.ndarray) -> None:
    """Lips, teeth, tongue and the dark between them."""
    lips, upper, lower = person.look.lips, curve(points[60:65]), curve(points[[60, 67, 66, 65, 64]])
    brush.fill(between(curve(points[48:55]), upper), dark(lips, 0.15), label=MOUTH)
    brush.fill(between(lower, curve(points[[48, 59, 58, 57, 56, 55, 54]])), lips, label=MOUTH)
    brush.line(curve(points[[58, 57, 56]] + [0, -0.045, 0]), light(lips, 0.25), 0.02)
    brush.fill(between(upper, lower), (62, 18, 22), label=MOUTH)
    # Teeth hang from the upper lip and the tongue lies on the lower one; both need room to be seen.
    gap = lower[:, 1] - upper[:, 1]
    tongue, teeth = lower.copy(), upper.copy()
    tongue[:, 1] -= (0.45 * gap - 0.02).clip(0)
    teeth[:, 1] += (0.6 * gap).clip(0, 0.045)
    brush.fill(between(tongue[3:-3], lower[3:-3]), (176, 82, 84))
    brush.fill(between(upper[3:-3], teeth[3:-3]), (236, 230, 218))
    brush.line(upper, dark(lips, 0.55), 0.014)


def draw_eyes(brush: Brush, person: Person, points: np.ndarray, gaze: np.ndarray) -> None:
    """Both eyes; gaze `(2,)` moves the irises, in face units."""
    for label, (upper, lower) in _EYES.items():
        above, below = curve(points[upper], 5), curve(points[lower], 5)
        brush.line(above + [0, -0.035, 0], dark(person.skin, 0.25), 0.02)
        brush.line(below + [0, 0.03, 0], dark(person.skin, 0.12), 0.016)
        brush.fill(between(above, below), (244, 242, 238), label=label)
        draw_iris(brush, person, above, below, (above[0] + above[-1]) / 2 + [gaze[0], gaze[1] - 0.01, 0.03])
        brush.line(above, dark(person.skin, 0.85), 0.028)


def draw_iris(brush: Brush, person: Person, above: np.ndarray, below: np.ndarray, center: np.ndarray) -> None:
    """Iris, pupil and their glint, cut off by the lids."""
    # Points beyond a lid are moved onto it, so that lids cover the iris.
    discs = center + _DISCS
    lids = [np.interp(discs[..., 0], lid[:, 0], lid[:, 1]) for lid in (above, below)]
    discs[..., 1] = np.minimum(np.maximum(discs[..., 1], lids[0]), lids[1])
    iris = person.look.iris
    for disc, color in zip(discs, (dark(iris, 0.35), iris, (14, 12, 12)), strict=True):
        brush.fill(disc, color)
    # A glint only in an eye that is open enough to show it.
    if below[7, 1] - above[7, 1] > 0.06:
        brush.dots(center[None] + [0.024, -0.024, 0], 0.016, (250, 250, 250))


def draw_brows(brush: Brush, person: Person, points: np.ndarray) -> None:
    """Both brows."""
    color = mix(dark(person.look.hair, 0.3), person.skin, 0.1)
    taper = np.array([0.3, 0.75, 1, 1, 0.8])[:, None] * [0, person.look.brow, 0]
    for brow in (points[17:22], points[26:21:-1]):
        brush.fill(between(curve(brow - taper), curve(brow + taper)), color)


def draw_glasses(brush: Brush, person: Person) -> None:
    """Glasses, if the person wears any."""
    rims = person.look.rims
    if rims is None:
        return
    centers = [person.rest[36:42].mean(axis=0), person.rest[42:48].mean(axis=0)]
    for center, side in zip(centers, (-1, 1), strict=True):
        center = center + [0, 0.02, 0.1]
        ring = center + np.column_stack([CIRCLE * [0.205, 0.17], np.zeros(32)])
        brush.line(np.concatenate([ring, ring[:2]]), rims, 0.028)
        temple = np.array([center + [side * 0.205, 0, 0], [side * 0.76 * person.wide, -0.16, 0]])
        brush.line(temple, rims, 0.028)
    bridge = np.array([centers[0] + [0.2, 0, 0.1], [0, -0.22, 0.66], centers[1] + [-0.2, 0, 0.1]])
    brush.line(curve(bridge), rims, 0.028)
