"""Video and image files to RGB frames, and RGB frames to mp4: decord first, PyAV where decord is absent or refuses.

Frames are uint8 `(height, width, 3)`, RGB, turned upright (rotation metadata and EXIF are applied).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import av
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
