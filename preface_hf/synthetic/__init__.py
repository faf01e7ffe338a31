"""Synthetic talking faces: clips drawn by this package, with exact landmarks, identity, expression, mouth and pose.

A face is a 3-D set of the 68 points (x right in the picture, y down, z toward the camera; brow line to chin is about
1.4 units): a mean face, plus an identity's traits, plus expression, speech and blinks, turned and put into the
picture by a weak perspective camera. What each clip looks like otherwise (background, light, noise, place and size of
the face) is drawn at random, so that pixels alone are a poor guide to who is shown and how they feel.
On request a clip speaks, knows which part of the face each pixel shows, or is a fake with somebody else's face.
"""

from preface_hf.synthetic.clip import SyntheticClip, draw_clip
from preface_hf.synthetic.fakes import Blend, draw_fake
from preface_hf.synthetic.parsing import PARSING_CLASSES, flip_parsing
from preface_hf.synthetic.shape import EXPRESSIONS, MEAN_FACE, identity_shape
from preface_hf.synthetic.sound import SAMPLE_RATE, energy_envelope
from preface_hf.synthetic.writing import ClipSpec, read_parsing, write_synthetic


__all__ = [
    "EXPRESSIONS",
    "MEAN_FACE",
    "PARSING_CLASSES",
    "SAMPLE_RATE",
    "Blend",
    "ClipSpec",
    "SyntheticClip",
    "draw_clip",
    "draw_fake",
    "energy_envelope",
    "flip_parsing",
    "identity_shape",
    "read_parsing",
    "write_synthetic",
]
