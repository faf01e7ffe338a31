"""Faces that are drawn back into frames, with a soft edge, and the visible mark of what is synthetic."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from preface_hf.faces.squares import import_cv2
from preface_hf.tasks.predicting.overlay import label


WORDS = "synthetic"
TEXT_SHARE, LEAST_TEXT = 1 / 30, 9  # of the shorter side of the picture, in pixels


def paste(frame: np.ndarray, picture: np.ndarray, mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A frame with a square put back where `cut_square` took it from.

    Args:
        frame: uint8 `(height, width, 3)`.
        picture: float32 `(side, side, 3)`, from 0 to 255.
        mask: float32 `(side, side)`, how much of the picture is shown, 0 at its border.
        box: x0, y0, x1, y1 in pixels of the frame; it may leave it.
    """
    cv2 = import_cv2()
    height, width = frame.shape[:2]
    left, top = (int(max(0, np.floor(value))) for value in box[:2])
    right, bottom = (int(min(most, np.ceil(value) + 1)) for value, most in zip(box[2:], (width, height), strict=True))
    if right <= left or bottom <= top:
        return frame
    step = float(box[2] - box[0]) / len(picture)
    places = np.array([[1 / step, 0, (left - box[0]) / step - 0.5], [0, 1 / step, (top - box[1]) / step - 0.5]])
    size, flags = (right - left, bottom - top), cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(picture, places, size, flags=flags | cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(mask, places, size, flags=flags | cv2.INTER_LINEAR)[..., None]
    part = frame[top:bottom, left:right]
    frame = frame.copy()
    frame[top:bottom, left:right] = (part + share * (drawn - part)).round().clip(0, 255).astype(np.uint8)
    return frame


class Mark:
    """The word `synthetic` in the lower left corner of every frame."""

    def __init__(self) -> None:
        self.patch: np.ndarray | None = None

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """The frame, uint8 `(height, width, 3)`, with the mark."""
        height, width = frame.shape[:2]
        if self.patch is None:
            picture = Image.new("RGB", (width, height))
            size = max(LEAST_TEXT, round(min(height, width) * TEXT_SHARE))
            place = label(ImageDraw.Draw(picture), [WORDS], size, (0, height, 0, height), picture.size, [], None)
            left, top, right, bottom = (round(value) for value in place)
            self.patch = np.asarray(picture)[top : bottom + 1, left : right + 1]
            self.place = (slice(top, bottom + 1), slice(left, right + 1))
        frame = frame.copy()
        frame[self.place] = self.patch
        return frame
