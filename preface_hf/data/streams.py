"""Batches of views from prepared sets, streamed from a folder or the Hub.

The order is a pure function of seed and position (`order.py`). So a run is resumed by saying at which batch, exactly,
and neither the number of loading processes nor of training processes changes what the n-th global batch holds. A
process reads the row groups that hold rows it needs, and nothing that lies before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset

from preface_hf.data.checking import check_row
from preface_hf.data.crop_views import make_crop_views
from preface_hf.data.opening import Mixture, PreparedSet, as_mixture
from preface_hf.data.order import Draw, draws, rows_in_order, spread_rows
from preface_hf.data.still_views import make_still_views
from preface_hf.data.views import (
    TubeConfig,
    Views,
    make_views,
    plain_view,
    tube_indices,
)
from preface_hf.data.workers import loading_process
from preface_hf.video.decoding import open_video


def read_frames(row: dict[str, Any], indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decode frames `(T, H, W, 3)` uint8 of a row and their landmarks `(T, 68, 2)`, NaN where it has none."""
    try:
        check_row(row)
        frames = open_video(row["video"]["bytes"], "pyav").frames(indices)  # decord is slower on short clips
    except ValueError as error:
        raise ValueError(
            f"instance_id {row['instance_id']} cannot be read ({error}): prepare the set again without that video."
        ) from error
    landmarks = np.asarray(row["landmarks"], dtype=np.float32)
    return frames, landmarks[indices] if len(landmarks) else np.full((len(indices), 68, 2), np.nan, np.float32)


def check_landmarks(row: dict[str, Any], config: Any) -> None:
    """`ValueError` where tubes of `config` follow landmarks that the row does not have."""
    if not config.needs_landmarks:
        return
    if len(row["landmarks"]) != row["num_frames"] or not np.isfinite(row["landmarks"]).all():
        raise ValueError(
            f"instance_id {row['instance_id']} has frames without landmarks, which these settings need: "
            f"{config.without_landmarks}, or prepare the set with landmarks."
        )


@dataclass
class Batch:
    """`batch_size` clips of one process.

    instance_ids: int64 `(batch_size,)`
    global_tubes: uint8 `(batch_size, num_global, T, 3, S, S)`; small_tubes likewise, see [`Views`]
    colors: float32 `(batch_size, views, 3, 4)`
    """

    instance_ids: torch.Tensor
    global_tubes: torch.Tensor
    small_tubes: torch.Tensor
    colors: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))


class ClipStream(IterableDataset):
    """Endless batches of clips for process `rank` of `world`, from global batch `start` on.

    About `window` rows are shuffled together: each training process holds its part of them in memory. Several loading
    processes of one training process each read that part, as every batch has rows of the whole of it.
    """

    def __init__(
        self,
        data: PreparedSet | Mixture,
        config: Any,
        batch_size: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        window: int = 512,
    ):
        self.data = as_mixture(data)
        self.config = config  # of the class `views` of the method
        self.batch_size, self.seed, self.start = batch_size, seed, start
        self.rank, self.world, self.window = rank, world, window

    def __iter__(self) -> Iterator[Any]:
        return (self.collate(block) for block in self.blocks())

    def collate(self, block: list[tuple[int, dict[str, Any]]]) -> Any:
        """What a method sees of (epoch, row) pairs, as one batch."""
        raise NotImplementedError

    def generator(self, epoch: int, row: dict[str, Any]) -> np.random.Generator:
        """Of everything random in one row in one epoch: from (seed, epoch, instance_id) alone."""
        check_landmarks(row, self.config)
        return np.random.default_rng([self.seed, epoch, int(row["instance_id"])])

    def blocks(self) -> Iterator[list[tuple[int, dict[str, Any]]]]:
        """(epoch, row) of this process's clips, a list per batch; in a loading process every n-th of n."""
        # A batch is made whole in one loading process, and torch takes batches from them in turn: their order does not
        # depend on how many there are.
        index, count = loading_process()
        reader = self.data.reader()
        for mine in islice(self.batches(), index, None, count):
            yield [(draw.epoch, row) for draw, row in zip(mine, reader.rows(mine), strict=True)]

    def batches(self) -> Iterator[list[Draw]]:
        """The draws of this process, a list per batch: its part of the global batch, sorted by place in the window."""
        # Every process draws the global batch, and keeps its part of it.
        size = self.batch_size * self.world
        ordered = draws(self.data.counts, self.data.shares, self.seed, self.window, self.start * size)
        while True:
            # Neighbors by place lie in the same row groups: each process reads few that others read too.
            block = sorted(islice(ordered, size), key=lambda draw: draw.place)
            yield block[self.rank * self.batch_size : (self.rank + 1) * self.batch_size]


class ViewStream(ClipStream):
    """Endless batches of views; see [`ClipStream`]."""

    def views(self, epoch: int, row: dict[str, Any]) -> Views:
        """The views of one row in one epoch."""
        rng = self.generator(epoch, row)
        indices = tube_indices(int(row["num_frames"]), self.config, rng)  # (V, T)
        needed = np.unique(indices)  # each is decoded once, whatever the number of tubes that show it
        return self.cut(*read_frames(row, needed), np.searchsorted(needed, indices), rng)

    def cut(self, frames: np.ndarray, landmarks: np.ndarray, times: np.ndarray, rng: np.random.Generator) -> Views:
        """The views of one clip, of which tube v shows the frames `times[v]`; see [`make_views`]."""
        return make_views(frames, landmarks, self.config, rng, times)

    def collate(self, block: list[tuple[int, dict[str, Any]]]) -> Batch:
        """The views of (epoch, row) pairs as one batch."""
        views = [self.views(epoch, row) for epoch, row in block]
        return Batch(
            instance_ids=torch.tensor([int(row["instance_id"]) for _, row in block]),
            global_tubes=torch.stack([view.global_tubes for view in views]),
            small_tubes=torch.stack([view.small_tubes for view in views]),
            colors=torch.stack([view.colors for view in views]),
        )


class CropStream(ViewStream):
    """Batches of tubes that no landmark leads, see [`make_crop_views`]."""

    def cut(self, frames: np.ndarray, landmarks: np.ndarray, times: np.ndarray, rng: np.random.Generator) -> Views:
        """The views of one clip."""
        return make_crop_views(frames, self.config, rng, times)


class StillStream(ViewStream):
    """Batches of views of one frame of each clip, see [`make_still_views`]."""

    def cut(self, frames: np.ndarray, landmarks: np.ndarray, times: np.ndarray, rng: np.random.Generator) -> Views:
        """The views of the one frame that is needed."""
        return make_still_views(frames, self.config, rng)


class PlainClips(IterableDataset):
    """The rows from `first` on that are process `rank`'s of `world`, un-augmented: ids `(b,)`, clips `(b, T, 3, S, S)`
    uint8. The row groups come in an order drawn once, so that the first clips stand for the whole set.

    Every process has as many, from row groups of its own; the last ones repeat the last row where they do not divide.
    """

    def __init__(
        self,
        data: PreparedSet | Mixture,
        config: TubeConfig,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        first: int = 0,
    ):
        self.data, self.config, self.batch_size = as_mixture(data), config, batch_size
        self.rank, self.world, self.first = rank, world, first

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        index, count = loading_process()
        rows = spread_rows(self.data.counts, self.first)
        # Rounded up: every process yields as many batches, else one would wait for the others without end.
        # `split_dataset_by_node` would read every row in every process where shards do not divide.
        share = -(-len(rows) // self.world)
        mine = rows[np.arange(self.rank * share, (self.rank + 1) * share).clip(max=len(rows) - 1)]
        reader = self.data.reader()
        # In a loading process every n-th batch of n.
        for start in range(index * self.batch_size, share, count * self.batch_size):
            block = reader.rows(rows_in_order(self.data.counts, mine[start : start + self.batch_size]))
            clips = torch.stack([self.clip(row) for row in block])
            yield torch.tensor([int(row["instance_id"]) for row in block]), clips

    def clip(self, row: dict[str, Any]) -> torch.Tensor:
        """The middle of one row, `(T, 3, S, S)`; refuses what no batch could take, before the first step."""
        check_landmarks(row, self.config)
        indices = self.config.frames_of(int(row["num_frames"]))
        return plain_view(read_frames(row, indices)[0], self.config.global_size)
