"""How a video file is to be shown: when each of its frames appears. Read once here, for every reader of videos."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


# Containers whose clock starts anywhere (a broadcast, a live stream): players show their first moment as 0.
FREE_CLOCKS = frozenset({"mpegts", "mpeg", "mpegvideo", "flv", "live_flv", "rtsp", "asf"})


@dataclass
class Timeline:
    """`times` float64 `(frames,)`: the second at which each frame is shown, increasing; `fps`: frames a second."""

    times: np.ndarray
    fps: float
    notes: list[str] = field(default_factory=list)


def read_timeline(container: Any, stream: Any, stamps: list[int | None], last: int | None) -> Timeline:
    """The timeline of the frames shown, from their time stamps in any order; `last` is the longest-shown stamp's own
    duration in ticks of the stream. `ValueError` where neither stamps nor header tell a rate."""
    stated = stated_rate(stream)
    known = sorted(stamp for stamp in stamps if stamp is not None)
    if len(known) < len(stamps) or len(set(known)) < 2:
        if stated is None:
            raise ValueError(f"the frame rate is {stream.average_rate or stream.guessed_rate}")
        start = float((known[0] if known else stream.start_time or 0) * stream.time_base) - clock_start(container)
        return Timeline(start + np.arange(len(stamps)) / stated, stated)
    tick = float(stream.time_base)
    times = spread(np.array(known, np.float64) * tick)
    steps = np.diff(times)
    usual = float(np.median(steps))
    own = (last or 0) * tick
    own = own if usual / 2 < own < usual * 2 else usual  # WebM states one tick, others nothing
    fps = len(times) / (times[-1] - times[0] + own)
    # Stamps are rounded to ticks: an even rate differs from the stated one by a tick from frame to frame.
    if stated is not None and np.abs(steps - 1 / stated).max() <= 1.001 * tick + 0.01 / stated:
        fps = stated
    return Timeline(times - clock_start(container), float(fps))


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
