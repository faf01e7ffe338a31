"""Video and image files to RGB frames, and RGB frames to mp4: decord first, PyAV where decord is absent or refuses.

Frames are uint8 `(height, width, 3)`, RGB, turned upright (rotation metadata and EXIF are applied).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from PIL import Image

from preface_hf.video.base import DecodingError, ImageVideo, Video, any_size, first_line, source_name
from preface_hf.video.readers import DecordVideo, PyAVVideo, TorchcodecVideo, decord, find_torchcodec


Backend = Literal["decord", "pyav", "torchcodec"]
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".3gp"}
)
_IMAGE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"BM")


def open_video(source: str | Path | bytes, backend: Backend | None = None) -> Video:
    """Open a video or still image: a path, or the bytes of the file.

    `backend` None takes decord, and PyAV where decord is not installed, cannot open the file (AV1) or would give
    other frames (MPEG streams, edit lists, turned mkv); `pyav` is best for one reading from start to end,
    `torchcodec` is never taken unasked. A still image (jpg, png, bmp, webp) is a video of one frame at 1 frame a
    second. Raises `DecodingError` where no backend can open the file.
    """
    if _is_image(source):
        return _first_that_opens(source, [ImageVideo])
    readers: dict[str, type[Video]] = {"decord": DecordVideo, "pyav": PyAVVideo, "torchcodec": TorchcodecVideo}
    if backend is not None and backend not in readers:
        raise ValueError(f"unknown backend {backend!r}: choose decord, pyav, torchcodec or None")
    if backend == "decord" and decord is None or backend == "torchcodec" and find_torchcodec() is None:
        raise ValueError(f"backend {backend!r} does not work here: pip install {backend}, or leave the backend out")
    if backend is not None:
        return _first_that_opens(source, [readers[backend]])
    return _first_that_opens(source, [DecordVideo, PyAVVideo] if decord else [PyAVVideo])


def _first_that_opens(source: str | Path | bytes, readers: Sequence[Any]) -> Video:
    name = source_name(source)
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise DecodingError(f"{name} is not a file: check the path")
    size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    if not size:
        raise DecodingError(f"{name} is empty (0 bytes): copy it again")
    for reader in readers:
        try:
            video = reader(source)
            if video.num_frames:
                return video
            failure: Exception = ValueError("it holds no frame")
        except Exception as error:
            failure = error
    raise DecodingError(
        f"{name} cannot be opened as a video or image ({first_line(failure)}): see that it plays, or make it an mp4"
    ) from failure


class VideoEncoder:
    """An H.264 mp4 in memory that grows frame by frame: `add` each, then `finish`.

    Height and width are even. A key frame every 12 frames and no B-frames, so that reading from the middle is cheap;
    the same frames give the same bytes.
    """

    def __init__(self, fps: float):
        self._buffer, self._fps = io.BytesIO(), Fraction(fps).limit_denominator(1001)
        self._container = av.open(self._buffer, "w", format="mp4")
        self._stream: Any = None

    def add(self, frame: np.ndarray) -> None:
        """Encode a frame, uint8 `(height, width, 3)`, RGB; `ValueError` for another shape."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.shape[0] % 2 or frame.shape[1] % 2:
            raise ValueError(f"a frame has shape {frame.shape}: pass uint8 (even height, even width, 3)")
        self._stream = self._stream or self._add_stream(*frame.shape[:2])
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))

    def finish(self) -> bytes:
        """The file; `ValueError` where no frame was added."""
        if self._stream is None:
            raise ValueError("there is no frame to encode: pass at least one")
        self._container.mux(self._stream.encode())
        self._container.close()
        return self._buffer.getvalue()

    def _add_stream(self, height: int, width: int) -> Any:
        # With mbtree, x264 165 now and then gives other bytes on AVX-512 where the width is not a multiple of 16.
        options = {"crf": "20", "preset": "faster", "g": "12", "bf": "0", "threads": "1", "mbtree": "0"}
        stream: Any = self._container.add_stream("libx264", rate=self._fps, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        return stream


def encode_video(frames: Iterable[np.ndarray], fps: float) -> bytes:
    """All frames, uint8 `(frames, height, width, 3)` or an iterable of them, as `VideoEncoder` makes them one file."""
    encoder = VideoEncoder(fps)
    for frame in frames:
        encoder.add(frame)
    return encoder.finish()


def frame_size(file: str | Path) -> tuple[int, int]:
    """Height and width that a media file states, in pixels, before anything is decoded; (0, 0) where it does not."""
    if not Path(file).is_file():  # a pipe would be waited for
        return 0, 0
    try:
        if _is_image(file):
            with any_size(), Image.open(file) as picture:
                return picture.height, picture.width
        with av.open(str(file), metadata_errors="ignore") as container:
            video = container.streams.video[0]
            return video.height, video.width
    except (av.FFmpegError, OSError, IndexError, ValueError, SyntaxError):
        return 0, 0


def _is_image(source: str | Path | bytes) -> bool:
    if isinstance(source, bytes):
        return source.startswith(_IMAGE_SIGNATURES) or (source[:4] == b"RIFF" and source[8:12] == b"WEBP")
    return Path(source).suffix.lower() in IMAGE_SUFFIXES
