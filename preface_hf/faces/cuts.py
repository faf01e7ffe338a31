"""Where one shot of a video ends and another begins."""

from __future__ import annotations

from collections import deque

import numpy as np

from preface_hf.faces.squares import import_cv2


# A cut changes the small picture by more than this (mean over pixels and channels, of 255), by several times what the
# frames before it changed, and its colors by this share (not stated by a paper; chosen on joined and on whole clips).
MIN_CHANGE, MIN_RATIO, MIN_COLORS = 15.0, 4.0, 0.2
SIDE, BINS, MEMORY = 32, 6, 12


class CutFinder:
    """Says of each frame in turn whether a new shot begins with it."""

    def __init__(self) -> None:
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self._changes: deque[float] = deque(maxlen=MEMORY)

    def __call__(self, frame: np.ndarray) -> bool:
        """Whether `frame`, RGB uint8, is the first of a new shot; the first frame of all is not."""
        picture = small_picture(frame)
        # Each pixel's color as one of 216, and the share of pixels of each: the histogram of the colors.
        codes = (picture.reshape(-1, 3).astype(int) * BINS // 256) @ [BINS * BINS, BINS, 1]
        colors = np.bincount(codes, minlength=BINS**3) / len(codes)
        last, self._last = self._last, (picture.astype(np.float32), colors)
        if last is None:
            return False
        change = float(np.abs(self._last[0] - last[0]).mean())
        usual = max(1.0, float(np.median(self._changes))) if self._changes else 1.0
        other_colors = float(np.abs(colors - last[1]).sum() / 2)
        cut = change > MIN_CHANGE and change > MIN_RATIO * usual and other_colors > MIN_COLORS
        self._changes.append(usual if cut else change)  # a cut says nothing of how fast a shot changes
        return cut


def small_picture(frame: np.ndarray) -> np.ndarray:
    """A frame as `(SIDE, SIDE, 3)` pixels. Nine samples each are averaged: all would take 7 ms of a 1080p frame."""
    cv2 = import_cv2()
    if min(frame.shape[:2]) > 4 * SIDE:
        frame = cv2.resize(frame, (3 * SIDE, 3 * SIDE), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
