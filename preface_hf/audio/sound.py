"""The sound of a video file as 16 kHz mono on the clock of its frames, and back to bytes.

Read by PyAV: decord's samples lag by 17, and its frames have no times.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from preface_hf.modeling.video_frames_preface import damaged, source_name
from preface_hf.modeling.video_streams_preface import open_container
from preface_hf.modeling.video_timeline_preface import FREE_CLOCKS


SAMPLE_RATE = 16_000
# Containers round time stamps, mkv to a millisecond: a piece that far from the end of the one before follows it.
JOINED_WITHIN = round(0.02 * SAMPLE_RATE)

# A piece of sound: the number of its first sample, counted from second 0 of the frames' clock, and int16 `(samples,)`.
Piece = tuple[int, np.ndarray]


def has_sound(source: str | Path | bytes) -> bool:
    """Whether a file has a stream of sound that can be decoded; False for what is no container at all."""
    try:
        with open_container(source) as container:
            return choose_sound(container) is not None
    except (av.FFmpegError, OSError, ValueError):
        return False


def choose_sound(container: Any) -> Any:
    """The stream of sound that a player plays, or None."""
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    best = container.streams.best("audio") if streams else None
    return best if best in streams else next(iter(streams), None)


def read_pieces(source: str | Path | bytes) -> Iterator[Piece]:
    """The sound of a file from its start to its end, in constant memory; where it pauses, no piece is.

    Raises `ValueError` where there is none, `DecodingError` where it is damaged.
    """
    name = source_name(source)
    try:
        with open_container(source) as container:
            stream = choose_sound(container)
            if stream is None:
                raise ValueError(f"{name} has no sound: give a video with speech in it.")
            yield from placed(container, stream)
    except (av.FFmpegError, OSError) as error:
        raise damaged(name, error) from error


def placed(container: Any, stream: Any) -> Iterator[Piece]:
    """The pieces of an open file, each at the place that its time stamp says."""
    # The frames of these begin at 0 wherever the clock stands (`read_timeline`): the sound is moved as they are.
    free = not FREE_CLOCKS.isdisjoint(container.format.name.split(","))
    origin = (container.start_time or 0) / 1_000_000 if free else 0.0
    end, shift = None, 0
    for frame in resampled(container.decode(stream)):
        samples = frame.to_ndarray()[0]
        stated = None
        if frame.pts is not None:
            stated = round((float(frame.pts * frame.time_base) - origin) * SAMPLE_RATE) + shift
        if end is not None and stated is not None and stated < end - JOINED_WITHIN:
            # Streams put one behind the other set their clock back: it is counted on, as that of the frames.
            shift, stated = shift + end - stated, end
        if end is None or (stated is not None and stated > end + JOINED_WITHIN):
            end = stated or 0
        yield end, samples
        end += len(samples)


def resampled(frames: Iterator[Any]) -> Iterator[Any]:
    """Frames of sound as 16 kHz mono int16; a resampler keeps its filter's delay out of the time stamps."""
    resampler, shape = None, None
    for frame in frames:
        now = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or now != shape:  # a stream may change its rate or its channels on the way
            yield from resampler.resample(None) if resampler else ()
            resampler, shape = av.AudioResampler("s16", "mono", SAMPLE_RATE), now
        yield from resampler.resample(frame)
    if resampler is not None:
        yield from resampler.resample(None)


class Sound:
    """The sound of a file, cut from front to back: no `start` may be before that of a call before.

    Only what later calls may ask for is in memory, so that a long file costs no more than a short one.
    """

    def __init__(self, source: str | Path | bytes):
        self.pieces, self.held = read_pieces(source), list[Piece]()
        self.start = float("-inf")

    def cut(self, start: float, stop: float) -> np.ndarray:
        """Int16 `(samples,)` from second `start` to `stop` of the frames' clock; silence where there is no sound."""
        if start < self.start:
            raise ValueError(f"the sound from second {start} was let go: cut it in order, or open it again.")
        self.start, first, count = start, round(start * SAMPLE_RATE), max(1, round((stop - start) * SAMPLE_RATE))
        self.held = [piece for piece in self.held if end_of(piece) > first]
        while not self.held or end_of(self.held[-1]) < first + count:
            piece = next(self.pieces, None)
            if piece is None:
                break
            self.held.append(piece)
        return laid_out(self.held, first, count)


def end_of(piece: Piece) -> int:
    """The number of the sample after the last one of a piece."""
    return piece[0] + len(piece[1])


def laid_out(pieces: list[Piece], first: int, count: int) -> np.ndarray:
    """Samples `first` … `first + count - 1`, int16; 0 where no piece has them."""
    out = np.zeros(count, np.int16)
    for place, samples in pieces:
        low, high = max(place, first), min(place + len(samples), first + count)
        if low < high:
            out[low - first : high - first] = samples[low - place : high - place]
    return out


def read_sound(source: str | Path | bytes, start: float = 0.0, stop: float | None = None) -> np.ndarray:
    """Int16 `(samples,)`, 16 kHz mono, from second `start` of the frames' clock to `stop`, or to the end of the sound.

    Sample i is heard at second `start + i / 16000`, when a frame with that time is shown; silence where the file has
    none. Raises `ValueError` for a file without sound, `DecodingError` for a damaged one.
    """
    if stop is not None:
        return Sound(source).cut(start, stop)
    pieces, first = list(read_pieces(source)), round(start * SAMPLE_RATE)
    return laid_out(pieces, first, max(map(end_of, pieces), default=first) - first)


def encode_flac(samples: np.ndarray) -> bytes:
    """Int16 `(samples,)` of 16 kHz as the bytes of a FLAC file: no sample is lost, the same samples give the same
    bytes."""
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        container.mux([*stream.encode(frame), *stream.encode()])
    return out.getvalue()
