"""The readers behind `open_video`: one class per library, all of them a `Video`.

What is shown of a file and when is read in `preface_hf.modeling`, once for all of them and for the video processor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from preface_hf.modeling.video_frames_preface import VideoFile, damaged, open_decord, refuse_by_others
from preface_hf.modeling.video_pictures_preface import PictureFile
from preface_hf.video.base import Video


class FileVideo(Video):
    """A video that reads from `file`, in order and at random."""

    def __init__(self, file: VideoFile | PictureFile):
        self.file = file
        self.num_frames, self.fps, self.times, self.notes = file.num_frames, file.fps, file.times, file.notes

    def __iter__(self) -> Iterator[np.ndarray]:
        yield from self.file

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames by index in any order, uint8 `(len(indices), height, width, 3)`; `DecodingError` if damaged."""
        return self.file.frames(self.checked(indices))


class PyAVVideo(FileVideo):
    """A video read by PyAV, which opens everything."""

    def __init__(self, source: str | Path | bytes):
        super().__init__(VideoFile(source))


class ImageVideo(FileVideo):
    """A still picture, one frame at 1 frame a second, or an animation (gif, apng, webp)."""

    def __init__(self, source: str | Path | bytes):
        super().__init__(PictureFile(source))


class DecordVideo(FileVideo):
    """A video read at random by decord, and in order by PyAV."""

    # decord decodes ahead of whoever reads it, without a limit (1.3 GB on ten seconds of 1080p): a video read from
    # start to end would fill the memory.
    def __init__(self, source: str | Path | bytes, asked: bool = True):
        file = VideoFile(source)
        super().__init__(file)
        # It is taken only where it gives the frames that PyAV found to be shown.
        self._name, self._reader = file.name, open_decord(file, asked)

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames by index in any order, uint8 `(len(indices), height, width, 3)`; `DecodingError` if damaged."""
        wanted = self.checked(indices)
        try:
            return self._reader.get_batch(wanted).asnumpy()
        except Exception as error:  # decord's own errors derive from plain Exception
            raise damaged(self._name, error) from error


class TorchcodecVideo(FileVideo):
    """A video read at random by torchcodec, where that is installed and works, and in order by PyAV."""

    def __init__(self, source: str | Path | bytes):
        file = VideoFile(source)
        super().__init__(file)
        self._name, decoder = file.name, find_torchcodec()
        if decoder is None:
            raise ValueError("torchcodec is not installed or does not work")
        refuse_by_others(file.presentation, "torchcodec")
        self._decoder = decoder(source if isinstance(source, bytes) else str(source), dimension_order="NHWC")
        # With another count an index would mean another frame.
        if len(self._decoder) != file.num_frames:
            raise ValueError(
                f"torchcodec counts {len(self._decoder)} frames where {file.num_frames} are shown: use PyAV"
            )

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames by index in any order, uint8 `(len(indices), height, width, 3)`; `DecodingError` if damaged."""
        wanted = self.checked(indices)
        try:
            return self._decoder.get_frames_at(wanted).data.numpy()
        except Exception as error:
            raise damaged(self._name, error) from error


@cache
def find_torchcodec() -> Any:
    """torchcodec's decoder of videos, or None: it needs its own torch and FFmpeg, and fails in many ways without."""
    try:
        from torchcodec.decoders import VideoDecoder
    except Exception:
        return None
    return VideoDecoder
