"""By how much sound is late: distances of mouths and sounds over offsets, as SyncNet's evaluation has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch

from preface_hf.modeling.sync_preface import FPS, MELS_PER_FRAME
from preface_hf.tasks.sync.talks import Talk


MOST_OFFSET = 15  # frames either way, as SyncNet
BATCH = 64  # windows of a forward pass
LOUDNESS = "mouth opening and loudness"


@dataclass
class Offsets:
    """How far mouths and sounds of a talk are apart at each offset.

    distances: float64 `(windows, 31)`, at -15 to 15 frames; NaN where the sound does not reach. At a positive offset
    the sound is late: what a mouth does is heard so many frames after it is seen.
    """

    distances: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The mean distance `(31,)` over windows; NaN where no window has that offset."""
        counts = np.isfinite(self.distances).sum(axis=0)
        return np.where(counts, np.nansum(self.distances, axis=0) / counts.clip(1), np.nan)

    @property
    def offset(self) -> int:
        """Frames by which the sound is late."""
        return int(np.nanargmin(self.mean)) - MOST_OFFSET

    @property
    def distance(self) -> float:
        """The least mean distance (LSE-D)."""
        return float(np.nanmin(self.mean))

    @property
    def confidence(self) -> float:
        """The median of the mean distances minus the least (LSE-C)."""
        return float(np.nanmedian(self.mean) - np.nanmin(self.mean))


@torch.inference_mode()
def find_offsets(model: Any, talk: Talk, stride: int = 1) -> Offsets:
    """The distances of a talk by the expert `model`, from 0 to 2: those of unit vectors.

    Every `stride`-th window of mouths is compared with the sounds of all windows within 15 frames. Raises `ValueError`
    for a talk shorter than a window.
    """
    frames, model = model.config.num_frames, model.eval()
    if len(talk) < frames:
        raise ValueError(f"the face is in sight for {len(talk) / FPS:.2f} seconds, {frames / FPS:.2f} are needed")
    device = next(model.parameters()).device
    firsts = list(range(0, len(talk) - frames + 1, stride))
    places = [p for p in range(-MOST_OFFSET, len(talk) - frames + MOST_OFFSET + 1) if talk.hearable(p, frames)]
    mouths = (torch.from_numpy(talk.mouths[first : first + frames, None]) / 255 for first in firsts)
    sounds = (torch.from_numpy(talk.heard(place, frames)) for place in places)
    seen = [model.get_video_features(torch.stack(part).to(device)).cpu().numpy() for part in batched(mouths)]
    heard = [model.get_audio_features(torch.stack(part).to(device)).cpu().numpy() for part in batched(sounds)]
    return compared(firsts, np.concatenate(seen), places, np.concatenate(heard))


def batched(windows: Iterator[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Windows in lists of `BATCH`."""
    while part := list(islice(windows, BATCH)):
        yield part


def compared(firsts: list[int], seen: np.ndarray, places: list[int], heard: np.ndarray) -> Offsets:
    """The distances of mouths `(windows, D)` at `firsts` and sounds `(windows, D)` at `places`."""
    similarity = seen.astype(np.float64) @ heard.astype(np.float64).T
    distances = np.full((len(firsts), 2 * MOST_OFFSET + 1), np.nan)
    for row, first in enumerate(firsts):
        for column, place in enumerate(places):
            if abs(place - first) <= MOST_OFFSET:
                distances[row, place - first + MOST_OFFSET] = np.sqrt(max(0.0, 2 - 2 * similarity[row, column]))
    return Offsets(distances)


def correlated(talk: Talk) -> Offsets:
    """As [`find_offsets`], without a model: how far the mouth is open against how loud it is, through the whole talk.

    What an expert has to beat. Distances are those of unit vectors, too: of the two curves at each offset. Raises
    `ValueError` for a mouth that does not move, and sound that does not change.
    """
    loud = 10.0 ** np.minimum(talk.mels, 0).clip(-8)  # power
    steps = len(talk.mels) // MELS_PER_FRAME
    volume = np.sqrt(loud[: steps * MELS_PER_FRAME].reshape(steps, -1).mean(axis=1))  # (steps,) a value for each frame
    distances = np.full((1, 2 * MOST_OFFSET + 1), np.nan)
    for offset in range(-MOST_OFFSET, MOST_OFFSET + 1):
        first = talk.margin + offset
        low, high = max(0, -first), min(len(talk), steps - first)
        if high - low >= MOST_OFFSET + 1:
            one, other = talk.openings[low:high], volume[first + low : first + high]
            if one.std() > 0 and other.std() > 0:
                distances[0, offset + MOST_OFFSET] = np.sqrt(max(0.0, 2 - 2 * np.corrcoef(one, other)[0, 1]))
    if not np.isfinite(distances).any():
        raise ValueError("the mouth does not move, or the sound does not change, for long enough")
    return Offsets(distances)
