"""Clips with labels, as `transformers.Trainer` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Video, load_dataset
from torch.utils.data import Dataset

from preface_hf.data.confined import check_card
from preface_hf.data.opening import open_prepared
from preface_hf.faces.landmarks import flip_landmarks
from preface_hf.modeling import PrefAceVideoProcessor
from preface_hf.modeling.video_inputs_preface import clip_indices
from preface_hf.tasks.rows.augment import change_colors, draw_motion, move_pixels, move_points
from preface_hf.tasks.rows.labels import LabelSpace
from preface_hf.tasks.rows.splits import read_part
from preface_hf.video.decoding import open_video


KEPT_BYTES = 2**30  # of decoded clips in memory


class LabeledClips(Dataset):
    """The labeled rows of a split of a prepared set: `pixel_values_videos` `(T, 3, S, S)` float32 and `labels`.

    With `augment` a clip starts anywhere in the video, is moved, turned, resized and recolored a little, and half of
    them are mirrored, all drawn from torch's generator, so that a `Trainer` which resumes draws what it would have
    drawn. Without it a row gives `windows` clips that are spread evenly over the video, one after the other: average
    their predictions by [`rows`]. Of the task landmarks, labels are points `(T, 68, 2)` in pixels of the clip.

    Args:
        data: a prepared set, a folder or on the Hub.
        split: of it.
        labels: see [`preface_hf.tasks.rows.labels.label_space`].
        processor: of the checkpoint; it says how many frames a clip has, and how far apart.
        augment: for training.
        strength: of what `augment` changes; 0 leaves where a clip starts and mirroring.
        windows: clips of a row, for evaluation; one where no video is longer than a clip, as of stills.
        rows: numbers of the rows to take; all without.

    Attributes:
        data: the set.
        rows: the row of the split that each clip is of.
        left_out: how many rows of the split have no label.
        digest: of the rows and sources of the split.
    """

    def __init__(
        self,
        data: str | Path,
        split: str,
        labels: LabelSpace,
        processor: PrefAceVideoProcessor,
        *,
        augment: bool = False,
        strength: float = 1.0,
        windows: int = 1,
        rows: Sequence[int] | np.ndarray | None = None,
    ):
        if windows < 1 or (augment and windows > 1):
            raise ValueError(f"windows={windows} must be 1 for training with augment=True, else 1 or more.")
        check_card(data)
        self.digest = f"{open_prepared(data, split).digest} {split}"
        # Read without rows of its own choice: it refuses what is damaged, in one sentence, and counts.
        part = read_part(data, split, labels) if rows is None else None
        table = load_dataset(str(data), split=split).cast_column("video", Video(decode=False))
        # Long lists and sound, of which nothing is needed.
        unused = {"audio"} if labels.kind == "landmarks" else {"audio", "landmarks"}
        self.table = table.remove_columns(sorted(unused & set(table.column_names)))
        self.data, self.labels, self.processor = data, labels, processor
        self.augment, self.strength = augment, strength
        taken = part.rows if part else np.asarray(rows)
        span = (processor.num_frames - 1) * processor.sampling_rate + 1
        long = (np.asarray(self.table["num_frames"])[taken] > span).any()
        self.windows = windows if long else 1
        self.rows = [int(number) for number in taken for _ in range(self.windows)]
        self.left_out = part.left_out if part else 0
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.kept_bytes = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        pixels, target = self.clip(index)
        if self.augment:
            pixels, target = self.changed(pixels, target)
        return {"pixel_values_videos": pixels, "labels": target}

    def clip(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The pixels of a clip, and its label or points."""
        if index in self.kept:
            return self.kept[index]
        row = self.table[self.rows[index]]
        places = clip_indices(int(row["num_frames"]), self.processor.num_frames, self.processor.sampling_rate)
        room = int(row["num_frames"]) - 1 - int(places[-1])
        places = places + self.start(index, room)
        frames = open_video(row["video"]["bytes"], "pyav").frames(places)  # (T, H, W, 3)
        pixels = self.processor(frames, do_sample_frames=False, return_tensors="pt")["pixel_values_videos"][0]
        if self.labels.kind == "landmarks":
            # From pixels of the crop, a square, to those of the clip; both count from the center of the first.
            points = torch.from_numpy(np.asarray(row["landmarks"], np.float32)[places])
            target = (points + 0.5) * (pixels.shape[-1] / frames.shape[2]) - 0.5  # (T, 68, 2)
        else:
            target = torch.tensor(self.labels.target(row))
        # Decoding is most of the work, and a still, or an evaluation, asks for the same frames each time.
        if (room == 0 or not self.augment) and self.kept_bytes < KEPT_BYTES:
            self.kept[index] = pixels, target
            self.kept_bytes += pixels.nbytes
        return pixels, target

    def changed(self, pixels: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A clip as training sees it: mirrored half of the time, moved and recolored; its points alike."""
        is_points = self.labels.kind == "landmarks"
        if bool(torch.rand(()) < 0.5):
            pixels = pixels.flip(-1)
            if is_points:
                target = torch.from_numpy(flip_landmarks(target.numpy(), pixels.shape[-1]))
        motion = draw_motion(pixels.shape[-1], self.strength)
        pixels = change_colors(move_pixels(pixels, motion), self.strength)
        return pixels, move_points(target, motion) if is_points else target

    def start(self, index: int, room: int) -> int:
        """The first frame of a clip, where `room` frames are left over."""
        if self.augment:
            return int(torch.randint(room + 1, ()))
        # The middle of as many equal parts as there are windows.
        return round(room * (2 * (index % self.windows) + 1) / (2 * self.windows))
