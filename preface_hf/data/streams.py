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
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from preface_hf.data.decoding import open_video
from preface_hf.data.loading import end_with_parent
from preface_hf.data.order import Draw, draws, rows_in_order
from preface_hf.data.sets import Mixture, PreparedSet, as_mixture
from preface_hf.data.views import ViewConfig, Views, make_views, plain_view, sample_indices, tube_indices


def read_frames(row: dict[str, Any], indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decode frames `(T, H, W, 3)` uint8 of a row and their landmarks `(T, 68, 2)`, NaN where it has none."""
    frames = open_video(row["video"]["bytes"]).frames(indices)
    landmarks = np.asarray(row["landmarks"], dtype=np.float32)
    return frames, landmarks[indices] if len(landmarks) else np.full((len(indices), 68, 2), np.nan, np.float32)


def check_landmarks(row: dict[str, Any], config: ViewConfig) -> None:
    """`ValueError` where tubes of `config` follow landmarks that the row does not have."""
    wanted = config.num_local or config.parts
    if wanted and not (len(row["landmarks"]) == row["num_frames"] and np.isfinite(row["landmarks"]).all()):
        raise ValueError(
            f"instance_id {row['instance_id']} has frames without landmarks, which local and landmark tubes need: set "
            "views.num_local to 0 and views.parts to [] (global tubes only), or prepare the set with landmarks."
        )


@dataclass
class Batch:
    """`batch_size` clips of one process.

    instance_ids: int64 `(batch_size,)`
    global_tubes: uint8 `(batch_size, num_global, T, 3, S, S)`; small_tubes likewise, see [`Views`]
    colours: float32 `(batch_size, views, 3, 4)`
    """

    instance_ids: torch.Tensor
    global_tubes: torch.Tensor
    small_tubes: torch.Tensor
    colours: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))


class ViewStream(IterableDataset):
    """Endless batches of views for process `rank` of `world`, from global batch `start` on.

    About `window` rows are shuffled together: each training process holds its part of them in memory. Several loading
    processes of one training process each read that part, as every batch has rows of the whole of it.
    """

    def __init__(
        self,
        data: PreparedSet | Mixture,
        config: ViewConfig,
        batch_size: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        window: int = 512,
    ):
        self.data = as_mixture(data)
        self.config, self.batch_size, self.seed, self.start = config, batch_size, seed, start
        self.rank, self.world, self.window = rank, world, window

    def __iter__(self) -> Iterator[Batch]:
        if get_worker_info():
            torch.set_num_threads(1)
        return (self.collate(block) for block in self.blocks())

    def blocks(self) -> Iterator[list[tuple[int, dict[str, Any]]]]:
        """(epoch, row) of this process's clips, a list per batch; in a loading process every n-th of n."""
        worker = get_worker_info()
        index, count = (worker.id, worker.num_workers) if worker else (0, 1)
        reader = self.data.reader()
        for mine in islice(self.batches(), index, None, count):
            yield [(draw.epoch, row) for draw, row in zip(mine, reader.rows(mine), strict=True)]

    def batches(self) -> Iterator[list[Draw]]:
        """The draws of this process, a list per batch: its part of the global batch, sorted by place in the window."""
        size = self.batch_size * self.world
        ordered = draws(self.data.counts, self.data.shares, self.seed, self.window, self.start * size)
        while True:
            block = sorted(islice(ordered, size), key=lambda draw: draw.place)
            yield block[self.rank * self.batch_size : (self.rank + 1) * self.batch_size]

    def views(self, epoch: int, row: dict[str, Any]) -> Views:
        """The views of one row in one epoch: drawn from (seed, epoch, instance_id) alone."""
        rng = np.random.default_rng([self.seed, epoch, int(row["instance_id"])])
        check_landmarks(row, self.config)
        indices = tube_indices(int(row["num_frames"]), self.config, rng)  # (V, T)
        needed = np.unique(indices)  # each is decoded once, whatever the number of tubes that show it
        return make_views(*read_frames(row, needed), self.config, rng, np.searchsorted(needed, indices))

    def collate(self, block: list[tuple[int, dict[str, Any]]]) -> Batch:
        """The views of (epoch, row) pairs as one batch."""
        views = [self.views(epoch, row) for epoch, row in block]
        return Batch(
            instance_ids=torch.tensor([int(row["instance_id"]) for _, row in block]),
            global_tubes=torch.stack([view.global_tubes for view in views]),
            small_tubes=torch.stack([view.small_tubes for view in views]),
            colours=torch.stack([view.colours for view in views]),
        )


def view_loader(stream: ViewStream, workers: int) -> DataLoader:
    """The stream through `workers` loading processes (0: in this one); the batches are the same."""
    # A forked process would inherit the locks of this one's parquet reading threads, and could wait for ever.
    context = "forkserver" if workers else None
    return DataLoader(
        stream, batch_size=None, num_workers=workers, multiprocessing_context=context, worker_init_fn=end_with_parent
    )


def plain_clips(
    data: PreparedSet | Mixture, config: ViewConfig, batch_size: int, rank: int = 0, world: int = 1
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The rows of process `rank`, un-augmented: instance ids `(b,)` and clips `(b, T, 3, S, S)` uint8.

    Every process has as many, from row groups of its own; the last ones repeat the last row where they do not divide.
    (Not by `split_dataset_by_node`: where shards do not divide it reads every row in every process.)
    """
    data = as_mixture(data)
    share = -(-data.num_rows // world)
    indices = np.arange(rank * share, (rank + 1) * share).clip(max=data.num_rows - 1)
    mine = rows_in_order(data.counts, indices)
    reader = data.reader()
    while block := reader.rows(islice(mine, batch_size)):
        clips = []
        for row in block:
            check_landmarks(row, config)  # of every row, before the first step
            indices = sample_indices(int(row["num_frames"]), config.num_frames, config.sampling_rate)
            clips.append(plain_view(read_frames(row, indices)[0], config.global_size))
        yield torch.tensor([int(row["instance_id"]) for row in block]), torch.stack(clips)
