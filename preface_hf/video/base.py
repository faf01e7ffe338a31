"""What a reader of videos is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


class Video:
    """`num_frames` frames at `fps` frames a second; where the rate varies, `fps` is frames divided by duration.

    Iterating yields the frames in order, each uint8 `(height, width, 3)`, in constant memory; `frames(indices)`
    gathers some. Both raise `DecodingError` where the file is damaged; an index outside the video is an `IndexError`.

    Attributes:
        num_frames: how many frames are shown.
        fps: frames a second, as the file states it where its frames are evenly spaced.
        times: float64 `(num_frames,)`, the second of the file's clock at which each frame is shown, increasing.
        notes: remarks for a report on how the file was read, one sentence each; some come up while it is read.
    """

    num_frames: int
    fps: float
    times: np.ndarray
    notes: list[str]

    def __iter__(self) -> Iterator[np.ndarray]:
        raise NotImplementedError

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames at `indices`, in any order and with repeats: uint8 `(len(indices), height, width, 3)`."""
        raise NotImplementedError

    def checked(self, indices: Sequence[int] | np.ndarray) -> list[int]:
        """The indices as whole numbers; `IndexError` where one lies outside the video or there is none."""
        wanted = [int(index) for index in indices]
        outside = [index for index in wanted if not 0 <= index < self.num_frames]
        if outside or not wanted:
            raise IndexError(f"frame indices {outside or wanted} are not within 0..{self.num_frames - 1}: clip them")
        return wanted
