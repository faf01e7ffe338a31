"""The shape of a face: 68 points in 3-D, the traits of an identity.

Face units: x right in the picture, y down, z toward the camera; brow line to chin is about 1.4.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from preface_hf.faces.landmarks import CHIN, INDICES, MIRRORED


Offsets = Mapping[int, tuple[float, float]]

# Index, x, y, z of the points on the subject's right side and on the midline; the others are their mirror images.
_HALF_FACE = """
 0 -.740 -.220 .000   1 -.730  .000 .030   2 -.710  .220 .070   3 -.665  .430 .130   4 -.580  .620 .220
 5 -.455  .770 .330   6 -.300  .880 .430   7 -.150  .945 .500   8  .000  .965 .530  17 -.600 -.380 .360
18 -.490 -.460 .460  19 -.360 -.480 .530  20 -.235 -.460 .570  21 -.130 -.420 .585  27  .000 -.240 .600
28  .000 -.100 .680  29  .000  .040 .760  30  .000  .170 .830  31 -.145  .255 .600  32 -.075  .285 .655
33  .000  .300 .680  36 -.470 -.220 .440  37 -.385 -.285 .500  38 -.275 -.285 .515  39 -.190 -.205 .490
40 -.275 -.160 .505  41 -.385 -.160 .490  48 -.265  .545 .500  49 -.165  .490 .585  50 -.065  .460 .630
51  .000  .475 .640  57  .000  .645 .630  58 -.075  .640 .620  59 -.170  .605 .575  60 -.225  .546 .520
61 -.120  .536 .590  62  .000  .540 .610  66  .000  .556 .605  67 -.120  .553 .590
"""

# What one standard deviation of a trait adds to points of the right side, (x, y) by index.
_TRAITS: dict[str, Offsets] = {
    "jaw_width": {2: (-0.01, 0), 3: (-0.03, 0), 4: (-0.05, 0), 5: (-0.05, 0), 6: (-0.03, 0)},
    "chin_length": {5: (0, 0.015), 6: (0, 0.035), 7: (0, 0.05), 8: (0, 0.055)},
    "eye_distance": dict.fromkeys(range(36, 42), (-0.028, 0)),
    "eye_size": {36: (-0.025, 0), 39: (0.012, 0), 37: (0, -0.014), 38: (0, -0.014), 40: (0, 0.01), 41: (0, 0.01)},
    "eye_tilt": {36: (0, -0.026), 37: (0, -0.018), 41: (0, -0.014), 39: (0, 0.014), 40: (0, 0.006)},
    "nose_length": {29: (0, 0.02), 30: (0, 0.035), 31: (0, 0.04), 32: (0, 0.04), 33: (0, 0.04)},
    "nose_width": {31: (-0.032, 0), 32: (-0.014, 0)},
    "mouth_width": {48: (-0.035, 0), 60: (-0.03, 0), 49: (-0.02, 0), 59: (-0.02, 0), 50: (-0.006, 0)},
    "lip_thickness": {49: (0, -0.012), 50: (0, -0.018), 51: (0, -0.016), 57: (0, 0.024), 58: (0, 0.02)},
    "mouth_height": dict.fromkeys([48, 49, 50, 51, 57, 58, 59, 60, 61, 62, 66, 67], (0, 0.022)),
    "brow_height": dict.fromkeys(range(17, 22), (0, -0.028)),
    "brow_tilt": {17: (0, -0.018), 18: (0, -0.009), 20: (0, 0.007), 21: (0, 0.013)},
}


def mean_face() -> np.ndarray:
    """The mean face of the table above, `(68, 3)` in face units."""
    # each row is a point of the right side; its mirror image is written first, so that the midline stays as given
    table = np.array(_HALF_FACE.split(), dtype=float).reshape(-1, 4)
    indices, points = table[:, 0].astype(int), np.zeros((68, 3))
    points[MIRRORED[indices]] = table[:, 1:] * [-1, 1, 1]
    points[indices] = table[:, 1:]
    return points


def field(offsets: Offsets) -> np.ndarray:
    """Offsets `(68, 3)` in face units from (x, y) by index of the right side; the left side mirrors them."""
    whole = np.zeros((68, 3))
    for index, (x, y) in offsets.items():
        whole[MIRRORED[index], :2] = -x, y
        whole[index, :2] = x, y
    return whole


MEAN_FACE = mean_face()
_TRAIT_FIELDS = np.stack(
    # first a wider and a longer face as a whole
    [MEAN_FACE * [0.055, 0, 0], MEAN_FACE * [0, 0.045, 0], *(field(offsets) for offsets in _TRAITS.values())]
)


def identity_shape(identity: int) -> np.ndarray:
    """The face of a person at rest, `(68, 3)` in face units, mouth closed, looking at the camera."""
    # Traits are cut off at 1.8 deviations, beyond which faces stop looking like faces.
    weights = np.random.default_rng([identity, 1]).normal(size=len(_TRAIT_FIELDS)).clip(-1.8, 1.8)
    return MEAN_FACE + np.tensordot(weights, _TRAIT_FIELDS, 1)


def mouth_opening(points: np.ndarray) -> np.ndarray:
    """Gap of the inner lips in face heights (brow line to chin), float32 `(frames,)`, of points `(frames, 68, 3)`."""
    heights = np.linalg.norm(points[:, CHIN] - points[:, INDICES["brows"]].mean(axis=1), axis=-1)
    return (np.linalg.norm(points[:, 66] - points[:, 62], axis=-1) / heights).astype(np.float32)


# What a facial movement at full strength adds, likewise.
_MOVES: dict[str, Offsets] = {
    "inner_brow_up": {21: (0.01, -0.11), 20: (0, -0.08), 19: (0, -0.02)},
    "outer_brow_up": {17: (0, -0.09), 18: (0, -0.11), 19: (0, -0.1), 20: (0, -0.03)},
    "brow_down": {21: (0.045, 0.12), 20: (0.03, 0.1), 19: (0.01, 0.06), 18: (0, 0.02)},
    "lid_up": {37: (0, -0.05), 38: (0, -0.05), 40: (0, 0.015), 41: (0, 0.015)},
    "lid_tight": {37: (0, 0.024), 38: (0, 0.024), 40: (0, -0.024), 41: (0, -0.024)},
    "smile": {48: (-0.1, -0.1), 60: (-0.095, -0.09), 49: (-0.06, -0.03), 59: (-0.06, -0.04), 61: (-0.03, -0.01)}
    | {67: (-0.03, 0), 58: (-0.03, 0), 3: (-0.02, 0), 4: (-0.02, -0.01)},
    "corner_down": {48: (-0.02, 0.09), 60: (-0.015, 0.08), 49: (0, 0.03), 59: (0, 0.045), 61: (0, 0.012)}
    | {67: (0, 0.012)},
    "stretch": {48: (-0.11, 0.045), 60: (-0.105, 0.04), 49: (-0.06, 0.01), 59: (-0.06, 0.01), 61: (-0.04, 0)}
    | {67: (-0.04, 0.01), 58: (-0.04, 0)},
    "sneer": {49: (0, -0.06), 50: (0, -0.075), 51: (0, -0.06), 61: (0, -0.045), 62: (0, -0.05)}
    | {30: (0, -0.03), 31: (-0.025, -0.055), 32: (0, -0.035), 33: (0, -0.025)},
    "press": {49: (0, 0.02), 50: (0, 0.03), 51: (0, 0.03), 57: (0, -0.035), 58: (0, -0.03), 59: (0, -0.015)},
    "smirk": {48: (-0.1, -0.12), 60: (-0.09, -0.11), 49: (-0.05, -0.04), 59: (-0.05, -0.05), 37: (0, 0.02)},
    "jaw_drop": {2: (0, 0.1), 3: (0, 0.22), 4: (0, 0.4), 5: (0, 0.6), 6: (0, 0.7), 7: (0, 0.75), 8: (0, 0.75)}
    | {66: (0, 0.85), 67: (0.05, 0.8), 57: (0, 0.85), 58: (0, 0.82), 59: (0, 0.66), 48: (0.1, 0.38)}
    | {60: (0.1, 0.38), 49: (0, 0.02), 50: (0, -0.05), 51: (0, -0.05), 61: (0.05, -0.03), 62: (0, -0.05)},
    "pucker": {48: (0.07, 0), 60: (0.065, 0), 49: (0.035, 0), 59: (0.035, 0), 61: (0.02, 0), 67: (0.02, 0)},
}

# Which movements make an expression, and how strong each is.
EXPRESSION_MOVES: dict[str, dict[str, float]] = {
    "neutral": {},
    "happiness": {"smile": 1, "lid_tight": 0.6},
    "sadness": {"inner_brow_up": 1, "corner_down": 1, "lid_tight": 0.3},
    "surprise": {"inner_brow_up": 0.9, "outer_brow_up": 1, "lid_up": 1, "jaw_drop": 0.22, "pucker": 0.5},
    "anger": {"brow_down": 1, "lid_tight": 0.6, "press": 1},
    "fear": {"inner_brow_up": 1.1, "outer_brow_up": 0.2, "lid_up": 1, "stretch": 1, "jaw_drop": 0.06},
    "disgust": {"sneer": 1, "brow_down": 0.6, "lid_tight": 0.8, "corner_down": 0.5},
    "contempt": {"smirk": 1, "lid_tight": 0.3},
}
EXPRESSIONS = tuple(EXPRESSION_MOVES)

MOVES = {name: field(offsets) for name, offsets in _MOVES.items()}
# A smirk is one-sided: its mirror image is taken away again.
MOVES["smirk"][MEAN_FACE[:, 0] > 0] = 0


def full_expression(expression: str) -> np.ndarray:
    """What an expression at full strength adds to a face, `(68, 3)` in face units."""
    return sum((weight * MOVES[move] for move, weight in EXPRESSION_MOVES[expression].items()), np.zeros((68, 3)))
