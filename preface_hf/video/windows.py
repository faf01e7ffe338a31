"""Windows of a video: consecutive clips that cover it to its last frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from preface_hf.modeling.video_inputs_preface import clip_indices


@dataclass
class Window:
    """`frames` uint8 `(num_frames, height, width, 3)`; it stands for frames `start` … `stop - 1` of its video.

    `weight` is the number of these, as a share of those of the video's first window: what the window counts for where
    the windows of a video are averaged.

    A window of a face that was cut out of a video knows where it was: `first` is the frame of the video that it
    begins with, `squares` and `faces` are boxes `(stop - start, 4)` in pixels of the video, of what was cut out of
    each frame and of the face in it.
    """

    start: int
    stop: int
    frames: np.ndarray
    weight: float = 1.0
    first: int = 0
    squares: np.ndarray | None = None
    faces: np.ndarray | None = None


def windows(frames: Iterable[np.ndarray], num_frames: int, sampling_rate: int) -> Iterator[Window]:
    """Cut a stream of frames `(height, width, 3)` into windows of `num_frames * sampling_rate` frames, one after the
    other, each thinned to every `sampling_rate`-th frame. The last one may be shorter: where it is too short for that
    it is sampled evenly, as a short video is everywhere, see [`clip_indices`].

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
    """A window of the frames `held`, of which frame `start` of the video is the first."""
    chosen = [held[index] for index in clip_indices(len(held), num_frames, sampling_rate)]
    # A first window is all there is, or as long as any.
    weight = len(held) / (num_frames * sampling_rate) if start else 1.0
    return Window(start, start + len(held), np.stack(chosen), weight)


def window_mean(features: np.ndarray, weights: Sequence[float] | np.ndarray) -> np.ndarray:
    """The mean `(width,)` of the features `(windows, width)` of one video, each by the weight of its window."""
    share = np.asarray(weights, features.dtype)  # (windows,)
    return (features * share[:, None]).sum(axis=0) / share.sum()
