"""Windows of faces with their sound, and references of the same people, as `transformers.Trainer` takes them."""

from __future__ import annotations

from typing import Any

import torch

from preface_hf.modeling import PrefAceLipSyncConfig
from preface_hf.tasks.lipsync.talks import FaceTalk, talk_of_row
from preface_hf.tasks.rows.augment import change_colors, draw_motion, move_pixels
from preface_hf.tasks.sync.clips import SyncClips


LOUDER = 0.3  # most by which training changes the level, in powers of 10: 3 dB


class LipSyncClips(SyncClips):
    """Windows of the rows of a split: `pixel_values_videos` and `labels`, the face `(T, 3, S, S)` from 0 to 1,
    `reference_values_videos`, the same person elsewhere in the row, and `input_features`, the sound with its margins.

    Arguments and attributes as of [`SyncClips`], without sounds from elsewhere; with `augment` place, mirroring,
    colors and loudness are drawn from torch's generator.
    """

    def __init__(self, data: Any, split: str, config: PrefAceLipSyncConfig, **options: Any):
        super().__init__(data, split, config.num_frames, config.image_size, **options)
        self.margin = config.audio_margin

    def read(self, row: dict[str, Any]) -> FaceTalk:
        """The talk of a row of the set."""
        return talk_of_row(row, self.size)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        talk: FaceTalk = self.talk(self.rows[index])
        room = len(talk) - self.num_frames
        first, other = self.drawn(room) if self.augment else self.spread(index, room)
        faces = [torch.from_numpy(talk.faces[place : place + self.num_frames]) for place in (first, other)]
        pixels = torch.cat(faces).permute(0, 3, 1, 2).float() / 255  # (2 T, 3, S, S)
        mels = torch.from_numpy(talk.heard(first, self.num_frames, self.margin))
        if self.augment:
            pixels, mels = changed(pixels), mels + LOUDER * (2 * torch.rand(()) - 1)
        target, reference = pixels.chunk(2)
        return {
            "pixel_values_videos": target, "reference_values_videos": reference, "input_features": mels,
            "labels": target,
        }  # fmt: skip

    def drawn(self, room: int) -> tuple[int, int]:
        """The first frame of a window, of `room + 1` that there are, and that of its reference."""
        first = int(torch.randint(room + 1, ()))
        others = elsewhere(first, room, self.num_frames)
        return first, others[int(torch.randint(len(others), ()))]

    def spread(self, index: int, room: int) -> tuple[int, int]:
        """As [`drawn`], the same each time."""
        first = round(room * (2 * (index % self.windows) + 1) / (2 * self.windows))
        others = elsewhere(first, room, self.num_frames)
        return first, others[7 * index % len(others)]


def elsewhere(first: int, room: int, frames: int) -> list[int]:
    """The places from 0 to `room` whose windows share no frame with that at `first`, or the farthest there is."""
    return [place for place in range(room + 1) if abs(place - first) >= frames] or [0 if first > room / 2 else room]


def changed(faces: torch.Tensor) -> torch.Tensor:
    """Faces as training sees them: mirrored half of the time, moved a little, recolored."""
    if bool(torch.rand(()) < 0.5):
        faces = faces.flip(-1)
    return change_colors(move_pixels(faces, draw_motion(faces.shape[-1], 0.5)), 0.5).clamp(0, 1)
