"""Clips with labels, as `transformers.Trainer` takes them, and the metrics that go with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import load_dataset
from torch.utils.data import Dataset

from preface_hf.data.confined import check_card
from preface_hf.data.opening import open_prepared
from preface_hf.modeling import PrefAceVideoProcessor
from preface_hf.modeling.video_inputs_preface import clip_indices
from preface_hf.tasks.labels import LabelSpace
from preface_hf.video.decoding import open_video


class LabeledClips(Dataset):
    """The labeled rows of a split of a prepared set: `pixel_values_videos` `(T, 3, S, S)` float32 and `labels`.

    With `augment` a clip starts anywhere in the video and half of them are mirrored, drawn from torch's generator, so
    that a `Trainer` which resumes draws what it would have drawn. Without it a row gives `windows` clips that
    are spread evenly over the video, one after the other: average their predictions by [`rows`].

    Args:
        data: a prepared set, a folder or on the Hub.
        split: of it.
        labels: see [`preface_hf.tasks.labels.label_space`].
        processor: of the checkpoint; it says how many frames a clip has, and how far apart.
        augment: for training.
        windows: clips of a row, for evaluation.

    Attributes:
        rows: the row of the split that each clip is of.
        left_out: how many rows of the split have no label.
    """

    def __init__(
        self,
        data: str | Path,
        split: str,
        labels: LabelSpace,
        processor: PrefAceVideoProcessor,
        *,
        augment: bool = False,
        windows: int = 1,
    ):
        if windows < 1 or (augment and windows > 1):
            raise ValueError(f"windows={windows} must be 1 for training with augment=True, else 1 or more.")
        check_card(data)
        open_prepared(data, split)  # refuses what is damaged, in one sentence
        self.table = load_dataset(str(data), split=split)
        cells = [self.table[column] for column in labels.columns]
        rows = [dict(zip(labels.columns, values, strict=True)) for values in zip(*cells, strict=True)]
        targets = [labels.target(row) for row in rows]
        self.processor, self.augment, self.windows = processor, augment, windows
        self.rows = [number for number, target in enumerate(targets) if target is not None for _ in range(windows)]
        self.targets = targets
        self.left_out = sum(target is None for target in targets)
        if not self.rows:
            raise ValueError(f"no row of {split!r} in {str(data)!r} has a label: choose another column or split.")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = self.table[self.rows[index]]
        clip = clip_indices(int(row["num_frames"]), self.processor.num_frames, self.processor.sampling_rate)
        room = int(row["num_frames"]) - 1 - int(clip[-1])
        frames = open_video(row["video"]["bytes"], "pyav").frames(clip + self.start(index, room))  # (T, H, W, 3)
        if self.augment and bool(torch.rand(()) < 0.5):
            frames = np.ascontiguousarray(frames[:, :, ::-1])
        pixels = self.processor(frames, return_tensors="pt")["pixel_values_videos"][0]
        return {"pixel_values_videos": pixels, "labels": torch.tensor(self.targets[self.rows[index]])}

    def start(self, index: int, room: int) -> int:
        """The first frame of a clip, where `room` frames are left over."""
        if self.augment:
            return int(torch.randint(room + 1, ()))
        # The middle of as many equal parts as there are windows.
        return round(room * (2 * (index % self.windows) + 1) / (2 * self.windows))


def metrics_of(clips: LabeledClips, labels: LabelSpace) -> Callable[[Any], dict[str, Any]]:
    """A `compute_metrics` for `Trainer`: the scores of the rows of `clips`, whose windows are averaged."""
    from preface_hf.metrics.attributes import Attributes
    from preface_hf.metrics.classes import Classes

    def compute(found: Any) -> dict[str, Any]:
        logits = torch.as_tensor(found.predictions, dtype=torch.float64)
        # A row's windows follow each other.
        by_row = logits.unflatten(0, (-1, clips.windows))
        truths = np.asarray(found.label_ids)[:: clips.windows]
        if labels.is_multilabel:
            scores = Attributes().compute(predictions=by_row.sigmoid().mean(1).numpy(), references=truths)
        else:
            guesses = by_row.softmax(-1).mean(1).argmax(-1).numpy()
            scores = Classes().compute(predictions=guesses, references=truths)
        # The Trainer logs numbers.
        return {name: value for name, value in scores.items() if not isinstance(value, list)}

    return compute
