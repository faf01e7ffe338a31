"""What a reader of videos is, the reader of pictures, and how what cannot be read is named."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageOps


class DecodingError(ValueError):
    """A file that cannot be decoded: one sentence that names the file and what to do."""


class Video:
    """`num_frames` frames at `fps` frames a second; of a variable rate, `fps` is the average as the library has it.

    Iterating yields the frames in order, each uint8 `(height, width, 3)`, in constant memory; `frames(indices)`
    gathers some. Both raise `DecodingError` where the file is damaged; an index outside the video is an `IndexError`.
    """

    num_frames: int
    fps: float

    def __iter__(self) -> Iterator[np.ndarray]:
        raise NotImplementedError

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames at `indices`, in any order and with repeats: uint8 `(len(indices), height, width, 3)`."""
        raise NotImplementedError

    def checked(self, indices: Sequence[int] | np.ndarray) -> list[int]:
        """The indices as whole numbers; `IndexError` where one lies outside the video or there is none."""
        wanted = [int(index) for index in indices]
        outside = [index for index in wanted if not 0 <= index < self.num_frames]
        if outside or not wanted:
            raise IndexError(f"frame indices {outside or wanted} are not within 0..{self.num_frames - 1}: clip them")
        return wanted


@contextmanager
def any_size() -> Iterator[None]:
    """Let Pillow open pictures of any size: what is too large is decided by `max_pixels`, before they are decoded."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


class ImageVideo(Video):
    """A still picture: one frame at 1 frame a second."""

    num_frames = 1
    fps = 1.0

    def __init__(self, source: str | Path | bytes):
        with any_size(), Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            self._frame = np.array(ImageOps.exif_transpose(picture).convert("RGB"))

    def __iter__(self) -> Iterator[np.ndarray]:
        yield self._frame

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The image again for every index, uint8 `(len(indices), height, width, 3)`."""
        return np.stack([self._frame for _ in self.checked(indices)])


def source_name(source: str | Path | bytes) -> str:
    """How a source is called in a message: its path, or its length in bytes."""
    return f"<{len(source)} bytes>" if isinstance(source, bytes) else str(source)


def checked_fps(rate: Any) -> float:
    """A frame rate in frames a second; `ValueError` where it is none."""
    if not rate or not 0 < float(rate) < 10_000:
        raise ValueError(f"the frame rate is {rate}")
    return float(rate)


def first_line(error: Exception) -> str:
    """The first line of an error, at most 160 characters."""
    text = str(error.strerror if isinstance(error, av.FFmpegError) else error)
    return (text.strip().splitlines() or [type(error).__name__])[0][:160]


def damaged(name: str, error: Exception) -> DecodingError:
    """The error for a file that opens but cannot be decoded."""
    return DecodingError(f"{name} is damaged ({first_line(error)}): copy it again or re-encode it")
