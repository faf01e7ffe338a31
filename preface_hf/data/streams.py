"""Batches of views from a prepared set, streamed.

The order is a pure function of seed and position: every epoch permutes the shards, and windows of rows within them.
So a run is resumed by saying at which batch, exactly, and neither the number of loading processes nor of training
processes changes what the n-th global batch holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import IterableDataset as Stream
from datasets import get_dataset_split_names, load_dataset
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from preface_hf.data.decoding import open_video
from preface_hf.data.views import ViewConfig, Views, make_views, plain_view, sample_indices


COLUMNS = ["instance_id", "video", "landmarks", "num_frames"]


@dataclass
class PreparedSet:
    """A split of a prepared set, opened for streaming. `path` is a folder or a Hub data set."""

    path: str
    rows: Stream
    num_rows: int


def open_prepared(path: str | Path, split: str = "train") -> PreparedSet:
    """Open a split of a prepared set; raises `ValueError` if `path` holds none."""
    try:
        rows = load_dataset(str(path), split=split, streaming=True)
    except Exception as error:  # datasets raises several kinds, for a missing folder, split or network
        raise ValueError(
            f"cannot open split {split!r} of {str(path)!r} as a prepared set ({str(error).splitlines()[0]}): "
            f"make it with `preface-hf prepare SRC {path}`."
        ) from error
    missing = [name for name in COLUMNS if name not in (rows.column_names or [])]
    if missing:
        raise ValueError(
            f"{str(path)!r} has no column {', '.join(missing)}: make a prepared set with `preface-hf prepare`."
        )
    info = (rows.info.splits or {}).get(split)
    num_rows = info.num_examples if info else sum(1 for _ in rows.select_columns(["instance_id"]))
    if not num_rows:
        raise ValueError(f"split {split!r} of {str(path)!r} has no rows: prepare more videos.")
    return PreparedSet(str(path), rows, num_rows)


def open_splits(path: str | Path) -> dict[str, PreparedSet]:
    """Open every split of a prepared set, `train` first; raises `ValueError` if `path` holds none."""
    try:
        names = get_dataset_split_names(str(path))
    except Exception as error:  # as above
        raise ValueError(
            f"cannot open {str(path)!r} as a prepared set ({str(error).splitlines()[0]}): "
            f"make it with `preface-hf prepare SRC {path}`."
        ) from error
    return {name: open_prepared(path, name) for name in sorted(names, key=lambda name: (name != "train", name))}


def read_frames(row: dict[str, Any], indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decode frames `(T, H, W, 3)` uint8 of a row and their landmarks `(T, 68, 2)`."""
    frames = open_video(row["video"]["bytes"]).frames(indices)
    return frames, np.asarray(row["landmarks"], dtype=np.float32)[indices]


def read_rows(rows: Stream, read_ahead: int = 16) -> Iterator[dict[str, Any]]:
    """The rows of a stream in order. (Iterating it plainly, a loading process would get its share of them only.)"""
    for block in rows.iter(batch_size=read_ahead):
        for i in range(len(block["instance_id"])):
            yield {name: values[i] for name, values in block.items()}


def shuffled_rows(rows: Stream, seed: int, epoch: int, window: int) -> Iterator[dict[str, Any]]:
    """One epoch: shards in random order, and rows in random order within windows of `window`."""
    rng = np.random.default_rng([seed, epoch])
    shards = rng.permutation(rows.num_shards)
    ordered = (row for shard in shards for row in read_rows(rows.shard(rows.num_shards, int(shard))))
    while block := list(islice(ordered, window)):
        yield from (block[i] for i in rng.permutation(len(block)))


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
    """Endless batches of views for process `rank` of `world`, from global batch `start` on."""

    def __init__(
        self,
        data: PreparedSet,
        config: ViewConfig,
        batch_size: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        window: int = 512,
    ):
        self.rows = data.rows.select_columns(COLUMNS).with_format("numpy")
        self.num_rows = data.num_rows
        self.config, self.batch_size, self.seed, self.start = config, batch_size, seed, start
        self.rank, self.world, self.window = rank, world, window

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        index, count = (worker.id, worker.num_workers) if worker else (0, 1)
        if worker:
            torch.set_num_threads(1)
        global_size = self.batch_size * self.world
        positions = self.positions(self.start * global_size)
        batch = self.start
        while True:
            block = list(islice(positions, global_size))
            if (batch - self.start) % count == index:
                yield self.collate(block[self.rank * self.batch_size : (self.rank + 1) * self.batch_size])
            batch += 1

    def positions(self, position: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """(epoch, row) from the `position`-th row of the endless stream on."""
        epoch, skipped = divmod(position, self.num_rows)
        while True:
            for row in islice(shuffled_rows(self.rows, self.seed, epoch, self.window), skipped, None):
                yield epoch, row
            epoch, skipped = epoch + 1, 0

    def views(self, epoch: int, row: dict[str, Any]) -> Views:
        """The views of one row in one epoch: drawn from (seed, epoch, instance_id) alone."""
        rng = np.random.default_rng([self.seed, epoch, int(row["instance_id"])])
        indices = sample_indices(int(row["num_frames"]), self.config.num_frames, self.config.sampling_rate, rng)
        return make_views(*read_frames(row, indices), self.config, rng)

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
    return DataLoader(stream, batch_size=None, num_workers=workers, multiprocessing_context=context)


def plain_clips(
    data: PreparedSet, config: ViewConfig, batch_size: int, rank: int = 0, world: int = 1
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Every row once, un-augmented: instance ids `(b,)` and clips `(b, T, 3, S, S)` uint8, every `world`-th row."""
    rows = data.rows.select_columns(COLUMNS).with_format("numpy")
    mine = islice(read_rows(rows), rank, None, world)
    while block := list(islice(mine, batch_size)):
        clips = []
        for row in block:
            indices = sample_indices(int(row["num_frames"]), config.num_frames, config.sampling_rate)
            clips.append(plain_view(read_frames(row, indices)[0], config.global_size))
        yield torch.tensor([int(row["instance_id"]) for row in block]), torch.stack(clips)
