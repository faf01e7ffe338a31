"""Pairs of mouths and sounds for the sync expert, in sync and shifted, as `transformers.Trainer` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from datasets import Audio, Video, load_dataset
from torch.utils.data import Dataset

from preface_hf.audio.sound import SAMPLE_RATE
from preface_hf.data.confined import check_card
from preface_hf.data.opening import open_prepared
from preface_hf.modeling.sync_preface import FPS, MELS_PER_FRAME
from preface_hf.tasks.rows.augment import change_colors, draw_motion, move_pixels
from preface_hf.tasks.sync.talks import talk_of_row


# A shift by fewer frames is too little for anybody to see; SyncNet and Wav2Lip take any other place of the clip.
LEAST_SHIFT, MOST_SHIFT = 3, 15
KEPT_BYTES = 2**30  # of mouths and mel frames in memory


class SyncClips(Dataset):
    """Windows of the rows of a split that have sound and are long enough: `pixel_values_videos` `(T, 1, S, S)` from 0
    to 1, `input_features` `(2, 4 T, 80)`, the sound of the window and one that is 3 to 15 frames away, and `labels`.

    With `augment` the window, the shift, a small motion, mirroring and contrast are drawn from torch's generator, so
    that a `Trainer` which resumes draws what it would have drawn. Without it a row gives `windows` windows that are
    spread evenly, each with a shift of its own.

    Args:
        data: a prepared set of `prepare --audio`, a folder or on the Hub.
        split: of it.
        num_frames, size: of a window, as the expert's configuration has them.
        augment: for training.
        windows: of a row, for evaluation.
        rows: numbers of the rows to take; all without.

    Attributes:
        rows: the row of the split that each window is of.
        left_out: how many rows of the split have no sound, or are too short.
    """

    def __init__(
        self, data: str | Path, split: str, num_frames: int = 16, size: int = 48, *, augment: bool = False,
        windows: int = 1, rows: Sequence[int] | np.ndarray | None = None,
    ):  # fmt: skip
        check_card(data)
        self.digest = f"{open_prepared(data, split).digest} {split}"
        table = load_dataset(str(data), split=split).cast_column("video", Video(decode=False))
        if "audio" not in table.column_names:
            raise ValueError(
                f"{str(data)!r} has no sound: prepare its videos again, with `preface-hf prepare --audio`."
            )
        self.table = table.cast_column("audio", Audio(SAMPLE_RATE, decode=False))
        self.num_frames, self.size, self.augment, self.windows = num_frames, size, augment, windows
        taken, self.left_out = self.usable(np.arange(len(table)) if rows is None else np.asarray(rows))
        if not len(taken):
            least = (num_frames + LEAST_SHIFT) / FPS
            raise ValueError(
                f"no row of {split!r} in {str(data)!r} has sound and lasts {least:.2f} seconds: prepare longer videos "
                f"of speech with --audio."
            )
        self.rows = [int(row) for row in taken for _ in range(1 if augment else windows)]
        self.kept: dict[int, Any] = {}
        self.kept_bytes = 0

    def usable(self, rows: np.ndarray) -> tuple[np.ndarray, int]:
        """Those of the rows that have sound, landmarks and a window with room for a shift, and how many have not."""
        data = self.table.data
        sounds = data["audio"].is_valid().to_numpy() & (pc.list_value_length(points_of(data)).to_numpy() > 0)
        seconds = np.asarray(self.table["num_frames"]) / np.asarray(self.table["fps"])
        # Half a frame may be lost where a track is brought to 25 frames a second.
        kept = rows[(sounds & (seconds * FPS + 0.5 >= self.num_frames + LEAST_SHIFT))[rows]]
        return kept, len(rows) - len(kept)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        talk = self.talk(self.rows[index])
        # The sound may end a little before its frames do.
        room = min(len(talk), len(talk.mels) // MELS_PER_FRAME) - self.num_frames
        first, other = self.drawn(room) if self.augment else self.spread(index, room)
        mouths = torch.from_numpy(talk.mouths[first : first + self.num_frames]).float() / 255  # (T, S, S)
        mels = np.stack([talk.heard(place, self.num_frames) for place in (first, other)])
        pixels = mouths[:, None]
        return {
            "pixel_values_videos": changed(pixels) if self.augment else pixels,
            "input_features": torch.from_numpy(mels),
            "labels": torch.tensor([1.0, 0.0]),
        }

    def talk(self, row: int) -> Any:
        """The talk of a row; what was decoded is kept while there is room."""
        if row in self.kept:
            return self.kept[row]
        talk = self.read(self.table[row])
        if self.kept_bytes < KEPT_BYTES:
            self.kept[row] = talk
            self.kept_bytes += sum(values.nbytes for values in vars(talk).values() if isinstance(values, np.ndarray))
        return talk

    def read(self, row: dict[str, Any]) -> Any:
        """The talk of a row of the set."""
        return talk_of_row(row, self.size)

    def drawn(self, room: int) -> tuple[int, int]:
        """The first frame of a window, of `room + 1` that there are, and that of a sound elsewhere."""
        first = int(torch.randint(room + 1, ()))
        others = shifted(first, room)
        return first, others[int(torch.randint(len(others), ()))]

    def spread(self, index: int, room: int) -> tuple[int, int]:
        """As [`drawn`], the same each time."""
        first = round(room * (2 * (index % self.windows) + 1) / (2 * self.windows))
        others = shifted(first, room)
        return first, others[7 * index % len(others)]


def points_of(data: Any) -> Any:
    """The lists of landmarks of a table, without the extension type that `datasets` gives them."""
    chunks = [chunk.storage if hasattr(chunk, "storage") else chunk for chunk in data["landmarks"].chunks]
    return pa.chunked_array(chunks)


def shifted(first: int, room: int) -> list[int]:
    """The places from 0 to `room` that are 3 to 15 frames from `first`, or the farthest of a short row."""
    places = [place for place in range(room + 1) if LEAST_SHIFT <= abs(place - first) <= MOST_SHIFT]
    return places or [0 if first > room / 2 else room]


def changed(mouths: torch.Tensor) -> torch.Tensor:
    """A window as training sees it: mirrored half of the time, moved a little, recolored."""
    if bool(torch.rand(()) < 0.5):
        mouths = mouths.flip(-1)
    return change_colors(move_pixels(mouths, draw_motion(mouths.shape[-1], 0.7)))
