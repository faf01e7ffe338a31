"""A face that talks, as the generator sees and hears it: faces at 25 frames a second, and mel frames of sound."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from preface_hf.audio.sound import read_sound
from preface_hf.faces.crops import face_boxes
from preface_hf.faces.squares import cut_square
from preface_hf.features.sources import row_clock
from preface_hf.modeling.lipsync_preface import level_of
from preface_hf.modeling.sync_preface import MELS_PER_FRAME, log_mels
from preface_hf.tasks.sync.talks import row_landmarks, steady_places
from preface_hf.video.decoding import open_video


SILENCE = -8.0  # the floor of `log_mels`


@dataclass
class FaceTalk:
    """A face through a shot. faces: RGB, uint8 `(frames, size, size, 3)`, cut by [`face_boxes`]. mels: float32
    `(mel frames, 80)`; mel frame `4 * i` is about the second at which frame i is shown."""

    faces: np.ndarray
    mels: np.ndarray

    def __len__(self) -> int:
        return min(len(self.faces), len(self.mels) // MELS_PER_FRAME)

    @cached_property
    def level(self) -> float:
        """How loud its loud parts are."""
        return level_of(self.mels)

    def heard(self, first: int, frames: int, margin: int) -> np.ndarray:
        """Mel frames less their level `(4 * (frames + 2 * margin), 80)`, from `margin` frames before frame `first`
        on."""
        return heard(self.mels, self.level, first - margin, frames + 2 * margin)


def heard(mels: np.ndarray, level: float, first: int, frames: int) -> np.ndarray:
    """Mel frames `(4 * frames, 80)` less `level` from frame `first` on, which may be below 0; silence where there are
    none."""
    low, count = first * MELS_PER_FRAME, frames * MELS_PER_FRAME
    found = mels[max(low, 0) : max(low + count, 0)]
    before = min(max(-low, 0), count)
    padded = np.pad(found, ((before, count - before - len(found)), (0, 0)), constant_values=SILENCE)
    return (padded - level).astype(np.float32)


def talk_of_row(row: dict[str, Any], size: int) -> FaceTalk:
    """The talk of a row of a prepared set with sound. Raises `ValueError` where it has no sound or no landmarks."""
    landmarks = row_landmarks(row)
    clock = row_clock(row, len(landmarks))
    boxes = face_boxes(landmarks, clock.times)
    places = steady_places(clock)
    wanted = set(places.tolist())
    video = open_video(row["video"]["bytes"], "pyav")
    cut = {i: cut_square(frame, boxes[i], size) for i, frame in enumerate(video) if i in wanted}
    return FaceTalk(np.stack([cut[i] for i in places.tolist()]), log_mels(read_sound(row["audio"]["bytes"])))
