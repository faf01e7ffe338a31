"""When the frames of a video are shown: what is measured in seconds asks here, not an index and an average rate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from preface_hf.video.base import Video


# Frames are evenly spaced where none is further than this share of a frame from its place at the rate. Containers
# round time stamps (mkv to a millisecond), which moves a frame of 60 a second by 0.03 of its time.
EVEN_WITHIN = 0.2


@dataclass(frozen=True)
class Clock:
    """The frames of a video, or of a part of it, in time.

    Attributes:
        times: float64 `(frames,)`, the second at which each is shown, increasing.
        fps: frames a second: the stated rate of frames that are evenly spaced, else frames divided by duration.
    """

    times: np.ndarray
    fps: float

    @classmethod
    def of(cls, video: Video) -> Clock:
        """The clock of all frames of a video."""
        return cls(video.times, video.fps)

    @classmethod
    def steady(cls, frames: int, fps: float, start: float = 0.0) -> Clock:
        """`frames` frames at an even rate; the first is shown at `start` seconds."""
        return cls(start + np.arange(frames) / fps, fps)

    @cached_property
    def ends(self) -> np.ndarray:
        """Float64 `(frames,)`: the second at which each frame gives way to the next."""
        steps = np.diff(self.times)  # (frames - 1,)
        # No stamp tells how long the last frame is shown. Where the steps are even it takes a step too; else it takes
        # what is left of the duration, of which `fps` is frames divided by duration.
        even = bool((np.abs(steps * self.fps - 1) <= EVEN_WITHIN).all())
        last = 1 / self.fps if even else len(self.times) / self.fps - (self.times[-1] - self.times[0])
        return np.append(self.times[1:], self.times[-1] + max(last, 0.0))

    @cached_property
    def is_even(self) -> bool:
        """Whether the frames are evenly spaced at `fps`."""
        places = self.times[0] + np.arange(len(self.times)) / self.fps  # (frames,)
        return bool(np.abs(self.times - places).max() <= EVEN_WITHIN / self.fps)

    @property
    def offsets(self) -> list[float] | None:
        """Seconds from the first frame to each, rounded to microseconds; None where the frames are evenly spaced."""
        return None if self.is_even else np.round(self.times - self.times[0], 6).tolist()

    def seconds(self, start: int, stop: int) -> float:
        """How long frames `start` … `stop - 1` are shown."""
        return float(self.ends[stop - 1] - self.times[start])

    def part(self, start: int, stop: int) -> Clock:
        """The clock of frames `start` … `stop - 1`. It has their own rate where they do not keep to this one."""
        same = Clock(self.times[start:stop], self.fps)
        if same.is_even:
            return same
        return Clock(same.times, (stop - start) / self.seconds(start, stop))
