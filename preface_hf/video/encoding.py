"""RGB frames to mp4."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np


TICK = Fraction(1, 90_000)  # of time stamps where frames are not evenly spaced, in seconds


class VideoEncoder:
    """An H.264 mp4, in memory or in a file, that grows frame by frame: `add` each, then `finish`.

    Height and width are even. A key frame every 12 frames and no B-frames, so that reading from the middle is cheap;
    the same frames give the same bytes.

    Args:
        fps: frames a second; where they are not evenly spaced, frames divided by duration.
        offsets: the seconds from the first frame to each, where they are not evenly spaced.
        file: opened for writing, to which a long video goes; None keeps it in memory.
    """

    def __init__(self, fps: float, offsets: Sequence[float] | None = None, file: BinaryIO | None = None):
        # Rates like 30000/1001 stay exact.
        self._buffer, self._fps = io.BytesIO(), Fraction(fps).limit_denominator(1001)
        self._ticks = None if offsets is None else [round(seconds / TICK) for seconds in offsets]
        self._container = av.open(file or self._buffer, "w", format="mp4")
        self._stream: Any = None
        self._count = 0

    def add(self, frame: np.ndarray) -> None:
        """Encode a frame, uint8 `(height, width, 3)`, RGB; `ValueError` for another shape."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.shape[0] % 2 or frame.shape[1] % 2:
            raise ValueError(f"a frame has shape {frame.shape}: pass uint8 (even height, even width, 3)")
        self._stream = self._stream or self._add_stream(*frame.shape[:2])
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        if self._ticks is not None:
            picture.pts, picture.time_base = self._ticks[self._count], TICK
        self._container.mux(self._stream.encode(picture))
        self._count += 1

    def finish(self) -> bytes:
        """The bytes in memory, none where they went to a file; `ValueError` where no frame was added."""
        if self._stream is None:
            raise ValueError("there is no frame to encode: pass at least one")
        # Called without a frame, the encoder gives what it still holds.
        self._container.mux(self._stream.encode())
        self._container.close()
        return self._buffer.getvalue()

    def _add_stream(self, height: int, width: int) -> Any:
        # With mbtree, x264 165 now and then gives other bytes on AVX-512 where the width is not a multiple of 16.
        # The bytes of x264 depend on its number of threads: one is the same on every machine.
        options = {"crf": "20", "preset": "faster", "g": "12", "bf": "0", "threads": "1", "mbtree": "0"}
        stream: Any = self._container.add_stream("libx264", rate=self._fps, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        if self._ticks is not None:
            stream.codec_context.time_base = TICK
        return stream


def encode_video(frames: Iterable[np.ndarray], fps: float) -> bytes:
    """All frames, uint8 `(frames, height, width, 3)` or an iterable of them, as `VideoEncoder` makes them one file."""
    encoder = VideoEncoder(fps)
    for frame in frames:
        encoder.add(frame)
    return encoder.finish()
