"""Windows of a video: consecutive clips that cover it to its last frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass
class Window:
    """`frames` uint8 `(num_frames, height, width, 3)`; it stands for frames `start` … `stop - 1` of its video."""

    start: int
    stop: int
    frames: np.ndarray


def windows(frames: Iterable[np.ndarray], num_frames: int, sampling_rate: int) -> Iterator[Window]:
    """Cut a stream of frames `(height, width, 3)` into windows of `num_frames * sampling_rate` frames, one after the
    other, each thinned to every `sampling_rate`-th frame. The last one may be shorter: its last frame is repeated.

    Holds one window in memory, however long the video is.
    """
    span, held, start = num_frames * sampling_rate, [], 0
    for frame in frames:
        held.append(frame)
        if len(held) == span:
            yield make_window(held, start, num_frames, sampling_rate)
            start, held = start + span, []
    if held:
        yield make_window(held, start, num_frames, sampling_rate)


def make_window(held: list[np.ndarray], start: int, num_frames: int, sampling_rate: int) -> Window:
    """A window of the frames `held`, thinned and filled up with its last frame: `(num_frames, height, width, 3)`."""
    # Thinned before it is filled up: a short window keeps the step between its frames.
    chosen = held[::sampling_rate]  # at most num_frames
    return Window(start, start + len(held), np.stack(chosen + [chosen[-1]] * (num_frames - len(chosen))))
