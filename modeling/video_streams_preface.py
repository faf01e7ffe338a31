"""The video stream of a file that a player shows: which one, with square pixels, and which way up."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


try:
    import av
    from av.sidedata.sidedata import Type as SideData
except ImportError:
    av = None  # type: ignore[assignment]

MAX_PEEK_PIXELS = 50_000_000


class DecodingError(ValueError):
    """A file that cannot be decoded: one sentence that names the file and what to do."""


@dataclass(frozen=True)
class Orientation:
    """How a stored picture is turned upright: transposed first, then mirrored top to bottom and left to right."""

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    @property
    def is_turn(self) -> bool:
        """Whether it is a turn by a multiple of 90 degrees, 0 included: text stays readable."""
        return self.transposed == (self.upside_down != self.mirrored)

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """The picture `(height, width, 3)` upright."""
        picture = picture.swapaxes(0, 1) if self.transposed else picture
        picture = picture[::-1] if self.upside_down else picture
        return np.ascontiguousarray(picture[:, ::-1] if self.mirrored else picture)


def open_container(source: str | Path | bytes) -> Any:
    """The file opened by PyAV."""
    if av is None:
        raise ValueError("PyAV is needed to read video files: pip install av")
    # Before 19 PyAV refuses a file whose title is no UTF-8 unless it is told not to; since then it takes no such word.
    lenient: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
    return av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source), **lenient)


def choose_stream(container: Any) -> Any:
    """The video stream that a player shows: no attached picture, then the default one, then the largest.

    Raises `ValueError` where there is none. The stream is set to decode alike everywhere, in one thread.
    """
    # Cover pictures and thumbnails are video streams too.
    covers = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    pictures = [stream for stream in container.streams.video if not stream.disposition & covers]
    streams = [stream for stream in pictures if stream.codec_context is not None]
    if not streams:
        what = "no codec for its pictures is known" if pictures else "it holds no pictures"
        raise ValueError(what + (" but a cover" if container.streams.video and not pictures else ""))

    def rank(stream: Any) -> tuple:
        # A stream of one frame is a poster beside one of many; containers that count none say 0.
        default = bool(stream.disposition & av.stream.Disposition.default)
        return stream.frames != 1, default, stream.height * stream.width, -stream.index

    stream = max(streams, key=rank)
    if not stream.codec_context.is_open:
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    return stream


def square_size(height: int, width: int, pixel_aspect: Any) -> tuple[int, int]:
    """Height and width with square pixels, the larger of both ways: 360x320 whose pixels are 2:1 is 360x640."""
    aspect = float(pixel_aspect or 1)
    if not 0.1 < aspect < 10 or abs(aspect - 1) < 0.005:  # not to be believed, or rounded
        return height, width
    return (height, round(width * aspect)) if aspect > 1 else (round(height / aspect), width)


def read_orientation(frame: Any) -> Orientation:
    """The orientation that the display matrix of a frame asks for, to the nearest of the 8."""
    matrix = frame.side_data.get(SideData.DISPLAYMATRIX)
    if matrix is None:
        return Orientation()
    # Stored (x, y) is shown at (a x + c y, b x + d y).
    a, b, _, c, d = (float(value) for value in np.frombuffer(bytes(matrix), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, d < 0, a < 0)
    return Orientation(True, b < 0, c < 0)


def stated_size(source: str | Path) -> tuple[int, int]:
    """Height and width as shown, from the header and at most one frame. Errors are PyAV's, or `ValueError`."""
    with open_container(source) as container:
        stream = choose_stream(container)
        height, width = square_size(stream.height, stream.width, stream.sample_aspect_ratio)
        if not 0 < height * width <= MAX_PEEK_PIXELS:
            return height, width
        # Only a frame tells the orientation; a huge one is not decoded for that.
        try:
            frame = next(container.decode(stream), None)
        except av.FFmpegError:
            frame = None
        turned = frame is not None and read_orientation(frame).transposed
        return (width, height) if turned else (height, width)


def decode_all(container: Any, stream: Any, starts_inside: bool = True) -> Iterator[Any]:
    """The frames from where the container stands. What cannot be decoded before the first one is left out where the
    file `starts_inside` a group of pictures, as a recording does; later it is PyAV's error."""
    started = not starts_inside
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            if started:
                raise
            continue
        started = started or bool(frames)
        yield from frames
