"""What a reader of videos is, the reader of pictures, and how what cannot be read is named."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps


class DecodingError(ValueError):
    """A file that cannot be decoded: one sentence that names the file and what to do."""


class Video:
    """`num_frames` frames at `fps` frames a second; where the rate varies, `fps` is frames divided by duration.

    Iterating yields the frames in order, each uint8 `(height, width, 3)`, in constant memory; `frames(indices)`
    gathers some. Both raise `DecodingError` where the file is damaged; an index outside the video is an `IndexError`.

    Attributes:
        num_frames: how many frames are shown.
        fps: frames a second, as the file states it where its frames are evenly spaced.
        times: float64 `(num_frames,)`, the second of the file's clock at which each frame is shown, increasing.
        notes: remarks for a report on how the file was read, one sentence each.
    """

    num_frames: int
    fps: float
    times: np.ndarray
    notes: list[str]

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
        self.times, self.notes = np.zeros(1), []

    def __iter__(self) -> Iterator[np.ndarray]:
        yield self._frame

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The image again for every index, uint8 `(len(indices), height, width, 3)`."""
        return np.stack([self._frame for _ in self.checked(indices)])


def source_name(source: str | Path | bytes) -> str:
    """How a source is called in a message: its path, or its length in bytes."""
    return f"<{len(source)} bytes>" if isinstance(source, bytes) else str(source)


def first_line(error: Exception) -> str:
    """The first line of an error, at most 160 characters."""
    text = str(error.strerror if isinstance(error, av.FFmpegError) else error)
    return (text.strip().splitlines() or [type(error).__name__])[0][:160]


def damaged(name: str, error: Exception) -> DecodingError:
    """The error for a file that opens but cannot be decoded."""
    return DecodingError(f"{name} is damaged ({first_line(error)}): copy it again or re-encode it")
