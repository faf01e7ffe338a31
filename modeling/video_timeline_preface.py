"""When each frame of a video file is shown: seconds and a rate, from time stamps and what a header states."""

from dataclasses import dataclass
from typing import Any

import numpy as np


# Containers whose clock starts anywhere (a broadcast, a live stream): players show their first moment as 0.
FREE_CLOCKS = frozenset({"mpegts", "mpeg", "mpegvideo", "flv", "live_flv", "rtsp", "asf"})

# No video is shown at such a rate: the clock in its header is damaged.
MOST_FPS = 10_000


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

    Raises `ValueError` where neither the stamps nor the header tell a rate that can be.
    """
    reordered = False
    if container.format.name == "avi":  # it counts frames as they are stored and has no time of display
        reordered = any(stamp.shown != stamp.decoded for stamp in stamps)
        stamps = [Stamp(stamp.decoded, stamp.decoded, stamp.duration) for stamp in stamps]
    start, shifted = 0.0, False
    ticks = [stamp.shown for stamp in stamps]
    if not FREE_CLOCKS.isdisjoint(container.format.name.split(",")):
        start = (container.start_time or 0) / 1_000_000
        ticks, shifted = join_clocks(stamps)
    known = sorted(tick for tick in ticks if tick is not None)
    stated, tick = stated_rate(stream), float(stream.time_base)
    # A tick finds its frame only where no other frame has it, and the file keeps it as it is read here.
    seekable = known if len(set(known)) == len(stamps) and not shifted and not reordered else None
    # Where a stamp is missing, or all are one, frames are spaced evenly at the rate of the header.
    if len(known) < len(stamps) or len(set(known)) < 2:
        if stated is None:
            raise ValueError(f"the frame rate is {stream.average_rate or stream.guessed_rate}")
        first = float((known[0] if known else stream.start_time or 0) * tick)
        return Timeline(first - start + np.arange(len(stamps)) / stated, stated, seekable)
    times = spread(np.array(known, np.float64) * tick)
    last = stamps[ticks.index(known[-1])].duration * tick
    rate = shown_rate(times, last, stated, tick)
    if rate >= MOST_FPS:
        raise ValueError(f"its time stamps make {rate:.6g} frames a second")
    return Timeline(times - start, rate, seekable)


def shown_rate(times: np.ndarray, last: float, stated: float | None, tick: float) -> float:
    """Frames a second: as the header states them where that fits their `times`, else frames divided by duration.

    `last` is the duration that the last frame states, `tick` the step of the clock, both in seconds.
    """
    steps = np.diff(times)
    # Stamps are rounded to ticks: an even rate differs from the stated one by a tick from frame to frame.
    if stated is not None and np.abs(steps - 1 / stated).max() <= 1.001 * tick + 0.01 / stated:
        return stated
    usual = float(np.median(steps))
    last = last if usual / 2 < last < usual * 2 else usual  # WebM states one tick, others nothing
    return float(len(times) / (times[-1] - times[0] + last))


def join_clocks(stamps: list[Stamp]) -> tuple[list[int | None], bool]:
    """The ticks of the frames, where the clock is set back (streams put one behind the other) counted on from there;
    and whether it ever is."""
    ticks: list[int | None] = []
    shift, end, before = 0, None, None
    for stamp in stamps:
        # Decoding times only go up: where one goes down, another clock begins.
        if before is not None and stamp.decoded is not None and stamp.decoded < before and end is not None:
            first = stamp.shown if stamp.shown is not None else stamp.decoded
            shift = end - first
        before = stamp.decoded if stamp.decoded is not None else before
        ticks.append(None if stamp.shown is None else stamp.shown + shift)
        if ticks[-1] is not None:
            end = max(end or ticks[-1], ticks[-1] + max(stamp.duration, 1))
    return ticks, shift != 0


def stated_rate(stream: Any) -> float | None:
    """Frames a second as the header states them, None where it states none that can be."""
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return rate if 0 < rate < MOST_FPS else None


def spread(times: np.ndarray) -> np.ndarray:
    """Times in order, of which some are equal, made to increase: equal ones share the time until the next."""
    values, first = np.unique(times, return_index=True)
    if len(values) == len(times):
        return times
    step = float(np.median(np.diff(values)))
    values, first = np.append(values, values[-1] + step), np.append(first, len(times))
    return np.interp(np.arange(len(times)), first, values)
