"""Expressions: what a facial movement does to the 68 points, and which movements make an expression."""

from __future__ import annotations

import numpy as np

from preface_hf.synthetic.shape import MEAN_FACE, Offsets, field


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

_RECIPES: dict[str, dict[str, float]] = {
    "neutral": {},
    "happiness": {"smile": 1, "lid_tight": 0.6},
    "sadness": {"inner_brow_up": 1, "corner_down": 1, "lid_tight": 0.3},
    "surprise": {"inner_brow_up": 0.9, "outer_brow_up": 1, "lid_up": 1, "jaw_drop": 0.22, "pucker": 0.5},
    "anger": {"brow_down": 1, "lid_tight": 0.6, "press": 1},
    "fear": {"inner_brow_up": 1.1, "outer_brow_up": 0.2, "lid_up": 1, "stretch": 1, "jaw_drop": 0.06},
    "disgust": {"sneer": 1, "brow_down": 0.6, "lid_tight": 0.8, "corner_down": 0.5},
    "contempt": {"smirk": 1, "lid_tight": 0.3},
}
EXPRESSIONS = tuple(_RECIPES)

MOVES = {name: field(offsets) for name, offsets in _MOVES.items()}
MOVES["smirk"][MEAN_FACE[:, 0] > 0] = 0


def full_expression(expression: str) -> np.ndarray:
    """What an expression at full strength adds to a face, `(68, 3)` in face units."""
    return sum((weight * MOVES[move] for move, weight in _RECIPES[expression].items()), np.zeros((68, 3)))
