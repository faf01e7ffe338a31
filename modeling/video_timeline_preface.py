"""When each frame of a video file is shown: seconds and a rate, from time stamps and what a header states."""

from dataclasses import dataclass
from typing import Any

import numpy as np


# Containers whose clock starts anywhere (a broadcast, a live stream): players show their first moment as 0.
FREE_CLOCKS = frozenset({"mpegts", "mpeg", "mpegvideo", "flv", "live_flv", "rtsp", "asf"})


@dataclass
class Stamp:
    """When a packet or frame is shown, in ticks of its stream; None where the container does not say."""

    shown: int | None
    decoded: int | None
    duration: int


@dataclass
class Timeline:
    """`times` float64 `(frames,)`: the second at which each frame is shown, increasing; `fps`: frames a second.

    `seekable`: each frame's tick in order of display where each has one of its own that the file can be searched for.
    """

    times: np.ndarray
    fps: float
    seekable: list[int] | None


def read_timeline(container: Any, stream: Any, stamps: list[Stamp]) -> Timeline:
    """The timeline of the frames shown, from their stamps in the order of the file.

    Raises `ValueError` where neither the stamps nor the header tell a rate.
    """
    stored = all(stamp.shown == stamp.decoded for stamp in stamps)
    if container.format.name == "avi":  # it counts frames as they are stored and has no time of display
        stamps = [Stamp(stamp.decoded, stamp.decoded, stamp.duration) for stamp in stamps]
    ticks, continuous = join_clocks(stamps)
    known = sorted(tick for tick in ticks if tick is not None)
    stated, tick = stated_rate(stream), float(stream.time_base)
    start = clock_start(container)
    if len(known) < len(stamps) or len(set(known)) < 2:
        if stated is None:
            raise ValueError(f"the frame rate is {stream.average_rate or stream.guessed_rate}")
        first = float((known[0] if known else stream.start_time or 0) * tick)
        return Timeline(first - start + np.arange(len(stamps)) / stated, stated, None)
    times = spread(np.array(known, np.float64) * tick)
    steps = np.diff(times)
    usual = float(np.median(steps))
    last = next(stamp.duration for stamp, place in zip(stamps, ticks, strict=True) if place == known[-1]) * tick
    last = last if usual / 2 < last < usual * 2 else usual  # WebM states one tick, others nothing
    fps = len(times) / (times[-1] - times[0] + last)
    # Stamps are rounded to ticks: an even rate differs from the stated one by a tick from frame to frame.
    if stated is not None and np.abs(steps - 1 / stated).max() <= 1.001 * tick + 0.01 / stated:
        fps = stated
    alone = continuous and len(set(known)) == len(known) and (stored or container.format.name != "avi")
    return Timeline(times - start, float(fps), known if alone else None)


def join_clocks(stamps: list[Stamp]) -> tuple[list[int | None], bool]:
    """The ticks of the frames, where the clock is set back (streams put one behind the other) counted on from there;
    and whether it never is."""
    ticks: list[int | None] = []
    shift, end, before = 0, None, None
    for stamp in stamps:
        if before is not None and stamp.decoded is not None and stamp.decoded < before and end is not None:
            first = stamp.shown if stamp.shown is not None else stamp.decoded
            shift = end - first
        before = stamp.decoded if stamp.decoded is not None else before
        ticks.append(None if stamp.shown is None else stamp.shown + shift)
        if ticks[-1] is not None:
            end = max(end or ticks[-1], ticks[-1] + max(stamp.duration, 1))
    return ticks, shift == 0


def stated_rate(stream: Any) -> float | None:
    """Frames a second as the header states them, None where it states none that can be."""
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return rate if 0 < rate < 10_000 else None


def clock_start(container: Any) -> float:
    """The second of the file's clock that a player shows as 0."""
    if FREE_CLOCKS.isdisjoint(container.format.name.split(",")):
        return 0.0
    return (container.start_time or 0) / 1_000_000


def spread(times: np.ndarray) -> np.ndarray:
    """Times in order, of which some are equal, made to increase: equal ones share the time until the next."""
    values, first = np.unique(times, return_index=True)
    if len(values) == len(times):
        return times
    step = float(np.median(np.diff(values)))
    values, first = np.append(values, values[-1] + step), np.append(first, len(times))
    return np.interp(np.arange(len(times)), first, values)
