"""A face that talks, as the sync expert sees and hears it: mouths at 25 frames a second, and mel frames of sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from preface_hf.audio.sound import read_sound
from preface_hf.faces.crops import mouth_boxes
from preface_hf.faces.squares import cut_square
from preface_hf.features.sources import row_clock
from preface_hf.modeling.sync_preface import FPS, MELS_PER_FRAME, log_mels
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video


# What weighs in a gray picture (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass
class Talk:
    """A face through a shot, at 25 frames a second whatever the video's rate.

    mouths: gray, uint8 `(frames, size, size)`. mels: float32 `(mel frames, 80)`; mel frame `4 * (margin + i)` is about
    the second at which frame i is shown. openings: how far the mouth is open in lengths of the nose, `(frames,)`.
    margin: frames of sound there are before the first mouth.
    """

    mouths: np.ndarray
    mels: np.ndarray
    openings: np.ndarray
    margin: int = 0

    def __len__(self) -> int:
        return len(self.mouths)

    def hearable(self, first: int, frames: int) -> bool:
        """Whether there is sound for `frames` frames from frame `first` on, which may be below 0."""
        low = (self.margin + first) * MELS_PER_FRAME
        return low >= 0 and low + frames * MELS_PER_FRAME <= len(self.mels)

    def heard(self, first: int, frames: int) -> np.ndarray:
        """Mel frames `(4 * frames, 80)` of the sound from frame `first` on."""
        low = (self.margin + first) * MELS_PER_FRAME
        return self.mels[low : low + frames * MELS_PER_FRAME]


def steady_places(clock: Clock) -> np.ndarray:
    """The frame that is shown in each 25th of a second, int64 `(n,)`: by time stamps, whatever the rate."""
    seconds = clock.ends[-1] - clock.times[0]
    middles = clock.times[0] + (np.arange(max(1, round(seconds * FPS))) + 0.5) / FPS
    return (np.searchsorted(clock.times, middles, side="right") - 1).clip(0)


def cut_mouths(frames: Iterable[np.ndarray], boxes: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The mouth of each frame in gray, uint8 `(size, size)`."""
    for frame, box in zip(frames, boxes, strict=True):
        yield (cut_square(frame, box, size).astype(np.float32) @ LUMA).round().astype(np.uint8)


def mouth_openings(landmarks: np.ndarray) -> np.ndarray:
    """The gap of the inner lips in lengths of the nose's bridge, which does not move with the jaw: `(frames,)`."""
    gap = np.linalg.norm(landmarks[:, [61, 62, 63]] - landmarks[:, [67, 66, 65]], axis=-1).mean(axis=1)
    return gap / np.median(np.linalg.norm(landmarks[:, 27] - landmarks[:, 33], axis=-1))


def row_landmarks(row: dict[str, Any]) -> np.ndarray:
    """The landmarks of a row of a prepared set, float32 `(frames, 68, 2)`; `ValueError` without these or sound."""
    if row.get("audio") is None:
        raise ValueError(f"{row['source']} has no sound: prepare videos of speech with `preface-hf prepare --audio`.")
    landmarks = np.asarray(row["landmarks"], np.float32)
    if not len(landmarks):
        raise ValueError(
            f"{row['source']} was prepared without landmarks, so its mouth is not known: prepare it anew."
        )
    return landmarks


def talk_of_row(row: dict[str, Any], size: int) -> Talk:
    """The talk of a row of a prepared set with sound. Raises `ValueError` where it has no sound or no landmarks."""
    landmarks = row_landmarks(row)
    clock = row_clock(row, len(landmarks))
    boxes = mouth_boxes(landmarks, clock.times)
    mouths = np.stack(list(cut_mouths(open_video(row["video"]["bytes"], "pyav"), boxes, size)))
    places = steady_places(clock)
    samples = read_sound(row["audio"]["bytes"])
    return Talk(mouths[places], log_mels(samples), mouth_openings(landmarks)[places])


def is_silent(talk: Talk) -> bool:
    """Whether there is no sound but digital silence, or noise without any change, while the face is in sight."""
    return is_quiet(talk.mels.mean(axis=1))


def is_quiet(levels: np.ndarray) -> bool:
    """Whether the mean log-mels of mel frames, `(frames,)`, are of digital silence, or of noise without any change."""
    return bool(len(levels) == 0 or levels.max() <= -7.5 or levels.std() < 0.02)
