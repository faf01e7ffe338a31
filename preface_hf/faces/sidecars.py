"""Landmarks that come with the data: files beside the media."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from preface_hf.faces.landmarks import NUM_LANDMARKS


def read_landmarks(media: Path, num_frames: int) -> np.ndarray:
    """Landmarks stored beside a video or image: float32 `(num_frames, 68, 2)` in its pixels, NaN where no face is.

    `<stem>.npy` holds `(frames, 68, 2)` with pixel centers at integers, counted from 0; `<stem>.pts`, for images, is
    an iBUG file (see `read_pts`). Raises `ValueError` where neither exists or the shape is wrong.
    """
    array_file, points_file = media.with_suffix(".npy"), media.with_suffix(".pts")
    if array_file.is_file():
        points = load_numbers(array_file)
    elif points_file.is_file():
        points = read_pts(points_file)[None]
    else:
        raise ValueError(f"{media} has no landmarks beside it: add {array_file.name} or use another --landmarker")
    if points.shape != (num_frames, NUM_LANDMARKS, 2):
        wanted = (num_frames, NUM_LANDMARKS, 2)
        raise ValueError(f"the landmarks beside {media} have shape {points.shape}: make it {wanted}")
    return points.astype(np.float32, copy=False)


def load_numbers(file: Path) -> np.ndarray:
    """The array of a `.npy` file, of any shape; `ValueError` where it holds no numbers."""
    try:
        points = np.load(file, mmap_mode="r", allow_pickle=False)  # an hour of landmarks is 49 MB
        if not isinstance(points, np.ndarray) or points.dtype.kind not in "fiu":
            raise ValueError(f"it holds {getattr(points, 'dtype', 'several arrays')}")
        return points
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{file} is no array of numbers ({error}): write it by numpy.save") from error


def read_pts(file: Path) -> np.ndarray:
    """The points of an iBUG `.pts` file in pixels counted from 0, float32 `(points, 2)`.

    The file counts from 1, as MATLAB does (checked on Helen and AFW: a network is off by one pixel in x and in y at
    every face size), so 1 is taken off. The lines version, n_points, { and } may be absent.
    """
    # What is no point (a header, a brace) is passed over; a point that is no number is refused.
    lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    try:
        return np.array([[float(x), float(y)] for x, y in (line for line in lines if is_point(line))], np.float32) - 1
    except ValueError as error:
        raise ValueError(f"{file} is no .pts file ({error}): write one `x y` a line") from error


def is_point(line: Sequence[str]) -> bool:
    """Whether a line of a `.pts` file, split at spaces, is `x y`."""
    return len(line) == 2 and not line[0].endswith(":")
