"""Video and image files to RGB frames, and RGB frames to mp4: decord first, PyAV where decord is absent or refuses.

Frames are uint8 `(height, width, 3)`, RGB, turned upright (rotation metadata and EXIF are applied).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from av import FFmpegError

from preface_hf.modeling.video_frames_preface import decord, first_line, source_name
from preface_hf.modeling.video_pictures_preface import PICTURE_SUFFIXES, is_picture, picture_size
from preface_hf.modeling.video_streams_preface import DecodingError, stated_size
from preface_hf.video.base import Video
from preface_hf.video.readers import DecordVideo, ImageVideo, PyAVVideo, TorchcodecVideo, find_torchcodec


Backend = Literal["decord", "pyav", "torchcodec"]
# A gif or apng counts among the videos, whatever it holds; a webp is a picture by its ending, a video by its content.
_ANIMATION_SUFFIXES = frozenset({".gif", ".apng"})
IMAGE_SUFFIXES = PICTURE_SUFFIXES - _ANIMATION_SUFFIXES
VIDEO_SUFFIXES = _ANIMATION_SUFFIXES | frozenset({
    ".3g2", ".3gp", ".amv", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v",
    ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogm", ".ogv", ".qt",
    ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".y4m",
})  # fmt: skip


def open_video(source: str | Path | bytes, backend: Backend | None = None) -> Video:
    """Open a video or still image: a path, or the bytes of the file.

    The frames are those that a player shows: of the default stream, upright, with square pixels, without what an edit
    list hides. `backend` None takes decord for H.264 and HEVC in mp4, mov and mkv, and PyAV for all else, also where
    decord is not installed or would give other frames; `pyav` is best for one reading from start to end, `torchcodec`
    is never taken unasked.
    A still image is a video of one frame at 1 frame a second, an animation (gif, apng, webp) has its own times.
    Raises `DecodingError` where no backend can open the file.
    """
    if is_picture(source):
        return first_that_opens(source, [ImageVideo])
    readers: dict[str, type[Video]] = {"decord": DecordVideo, "pyav": PyAVVideo, "torchcodec": TorchcodecVideo}
    if backend is not None and backend not in readers:
        raise ValueError(f"unknown backend {backend!r}: choose decord, pyav, torchcodec or None")
    if backend == "decord" and decord is None or backend == "torchcodec" and find_torchcodec() is None:
        raise ValueError(f"backend {backend!r} does not work here: pip install {backend}, or leave the backend out")
    if backend is not None:
        return first_that_opens(source, [readers[backend]])
    # decord refuses by an error what it would show otherwise than PyAV, which comes next.
    return first_that_opens(source, [partial(DecordVideo, asked=False), PyAVVideo] if decord else [PyAVVideo])


def first_that_opens(source: str | Path | bytes, readers: Sequence[Any]) -> Video:
    """The source opened by the first of `readers` that can; `DecodingError` where none can."""
    name = source_name(source)
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise DecodingError(f"{name} is not a file: check the path")
    size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    if not size:
        raise DecodingError(f"{name} is empty (0 bytes): copy it again")
    # Each library has errors of its own; the last one is told.
    failure = Exception()
    for reader in readers:
        try:
            return reader(source)
        except Exception as error:
            failure = error
    raise DecodingError(
        f"{name} cannot be opened as a video or image ({first_line(failure)}): see that it plays, or make it an mp4"
    ) from failure


def frame_size(file: str | Path) -> tuple[int, int]:
    """Height and width at which a media file is shown, in pixels, from its header; (0, 0) where it has none."""
    if not Path(file).is_file():  # a pipe would be waited for
        return 0, 0
    try:
        return picture_size(file) if is_picture(file) else stated_size(file)
    except (FFmpegError, OSError, ValueError, SyntaxError):
        return 0, 0
