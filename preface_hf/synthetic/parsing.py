"""Parsing maps: which part of the face each pixel shows, from the shapes that the picture itself is drawn of.

Skin is the face with its ears, brows, beard and glasses; neck and clothes are background (as in LaPa). The mouth is
lips and what is between them. Left and right are the subject's, as in `data/landmarks.py`. A shut eye is a thin line.
"""

from __future__ import annotations

import numpy as np

from preface_hf.faces.regions import REGIONS


PARSING_CLASSES = REGIONS
BACKGROUND, SKIN, LEFT_EYE, RIGHT_EYE, NOSE, MOUTH, HAIR = range(7)
_MIRRORED = np.array([BACKGROUND, SKIN, RIGHT_EYE, LEFT_EYE, NOSE, MOUTH, HAIR], dtype=np.uint8)


def shrink(labels: np.ndarray) -> np.ndarray:
    """Labels `(2 * height, 2 * width)` at half the size: of each 2 x 2 the most frequent, of equals the highest.

    So the parts win where a pixel is half skin, and a mirrored map shrinks to the mirror image.
    """
    a, b, c, d = labels[::2, ::2], labels[::2, 1::2], labels[1::2, ::2], labels[1::2, 1::2]
    # a sorting network of five steps puts the four labels of each square in order: a <= b <= c <= d
    (a, b), (c, d) = ordered_pair(a, b), ordered_pair(c, d)
    (a, c), (b, d) = ordered_pair(a, c), ordered_pair(b, d)
    b, c = ordered_pair(b, c)
    # d where it stands twice or where no other does; else b, which is then part of the frequent label.
    return np.where((d == c) | ((c != b) & (b != a)), d, b)


def flip_parsing(parsing: np.ndarray) -> np.ndarray:
    """Maps `(..., height, width)` of a mirrored picture: columns reversed, left and right eye swapped."""
    return _MIRRORED[parsing[..., ::-1]]


def ordered_pair(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the higher of two arrays, element by element."""
    return np.minimum(one, other), np.maximum(one, other)
