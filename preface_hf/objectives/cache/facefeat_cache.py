"""The FaceFeat Cache: one unit vector for every video instance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from preface_hf.objectives.cache.mapped import MappedRows, saved_rows


CACHE_FILE = "facefeat_cache.bin"  # in a checkpoint: entries of a cache on disk, row after row


class FaceFeatCache(nn.Module):
    r"""
    A memory of one vector per instance (PrefAce: filled by the teacher on the un-augmented clips before training,
    then updated instance by instance).

    It costs `2 * num_instances * size` bytes (bfloat16), on an accelerator, in the host's memory, or in a file. With
    more than `num_negatives` entries a step compares with `num_negatives` of them drawn at random, so its cost does
    not grow with the number of instances. Every process has entries of its own.

    Args:
        num_instances: entries; ids run from 0 to `num_instances - 1`.
        size: width of a vector.
        momentum: share of the old entry that an update keeps (Wu et al. 2018: 0.5; not stated by PrefAce, chosen).
        num_negatives: largest number of entries to compare with (not stated, chosen).
        dtype: of the stored vectors.
        folder: where given, the entries are in a file there ([`MappedRows`]), which `state_dict()` leaves out: save
            and restore it by `mapped`. Such a cache stays on the host.
    """

    entries: torch.Tensor

    def __init__(
        self,
        num_instances: int,
        size: int,
        momentum: float = 0.5,
        num_negatives: int = 4096,
        dtype: torch.dtype = torch.bfloat16,
        folder: str | Path | None = None,
    ):
        super().__init__()
        if num_instances < 1:
            raise ValueError(f"a FaceFeat Cache of {num_instances} instances is empty: prepare at least one video.")
        self.momentum, self.num_negatives = momentum, num_negatives
        # Every process has entries of its own, wherever they lie, and all update them alike: none waits for another.
        # So 8 processes of a host with 10⁸ instances of width 256 need 8 * 51 GB there. A step reads at most
        # `num_negatives` and twice the global batch's rows of them.
        shape = (num_instances, size)
        self.mapped = MappedRows(folder, shape, dtype) if folder is not None else None
        entries = self.mapped.tensor if self.mapped else torch.zeros(shape, dtype=dtype)
        self.register_buffer("entries", entries, persistent=self.mapped is None)

    def __len__(self) -> int:
        return len(self.entries)

    def check(self, instance_ids: torch.Tensor) -> None:
        """Raises `ValueError` if an id has no entry."""
        if len(instance_ids) and (instance_ids.min() < 0 or instance_ids.max() >= len(self)):
            worst = int(instance_ids.max() if instance_ids.max() >= len(self) else instance_ids.min())
            raise ValueError(
                f"instance_id {worst} has no entry in a FaceFeat Cache of {len(self)}: prepare the set again, so that "
                f"its ids run from 0 to {len(self) - 1}."
            )

    def read(self, instance_ids: torch.Tensor, device: torch.device) -> torch.Tensor:
        """The entries of ids `(n,)` that are known to be right, on `device`: `(n, size)`, a copy."""
        ids = instance_ids.to(self.entries.device)
        if self.mapped:
            for row in ids.tolist():  # all are on their way before the first is waited for
                self.mapped.expect(row)
        return self.entries[ids].to(device)

    def write(self, instance_ids: torch.Tensor, vectors: torch.Tensor) -> None:
        """Set the entries of ids `(n,)`, each once, to `vectors` `(n, size)`, normalized."""
        # Computed where the vectors come from: so the place of the entries does not change a bit of them.
        stored = normalize(vectors, dim=-1).to(self.entries.dtype)
        self.entries[instance_ids.to(self.entries.device)] = stored.to(self.entries.device)

    @torch.no_grad()
    def fill(self, instance_ids: torch.Tensor, features: torch.Tensor) -> None:
        """Set the entries of `instance_ids` `(batch,)`, each once, to `features` `(batch, size)`, normalized."""
        self.check(instance_ids)
        self.write(instance_ids, features.float())

    @torch.no_grad()
    def take(self, entries: torch.Tensor) -> None:
        """Set the first entries to those of an earlier cache `(n, size)`, n at most as many as there are here."""
        self.entries[: len(entries)].copy_(entries)

    def lookup(self, instance_ids: torch.Tensor) -> torch.Tensor:
        """The entries of `instance_ids` `(batch,)`: `(batch, size)`, a copy on the device of the ids."""
        self.check(instance_ids)
        return self.read(instance_ids, instance_ids.device)

    def negatives(self, seed: int, step: int, device: torch.device | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids `(n,)` and entries `(n, size)` to compare with: all, or `num_negatives` drawn for this step; on
        `device`, by default that of the entries.

        Drawing is with replacement, from (`seed`, `step`) alone, so every process compares with the same.
        """
        device = device or self.entries.device
        if len(self) <= self.num_negatives:
            return torch.arange(len(self), device=device), self.entries.to(device, copy=True)
        # Of many instances few come twice in a draw, and one that does only weighs twice.
        drawn = np.random.default_rng([seed, step]).integers(len(self), size=self.num_negatives)
        ids = torch.from_numpy(drawn)
        return ids.to(device), self.read(ids, device)

    @torch.no_grad()
    def update(self, instance_ids: torch.Tensor, features: torch.Tensor) -> None:
        """M_i <- normalize(momentum * M_i + (1 - momentum) * feature), one row after the other.

        Args:
            instance_ids: `(batch,)`. An instance that occurs twice is updated twice, in this order.
            features: `(batch, size)`.
        """
        self.check(instance_ids)
        features = normalize(features.float(), dim=-1)
        # Within a round no instance comes twice, so its rows can be read and written together.
        for rows in rounds(instance_ids):
            ids, new = instance_ids[rows], features[rows]
            old = self.read(ids, new.device).float()
            self.write(ids, self.momentum * old + (1 - self.momentum) * new)

    @torch.no_grad()
    def neighbors(self, vectors: torch.Tensor, k: int, block: int = 65_536) -> tuple[torch.Tensor, torch.Tensor]:
        """The `k` entries most similar to `vectors` `(n, size)`, see [`nearest_entries`]."""
        return nearest_entries(self.entries, vectors, k, block, self.mapped.expect if self.mapped else None)


def nearest_entries(
    entries: torch.Tensor,
    vectors: torch.Tensor,
    k: int,
    block: int = 65_536,
    expect: Callable[[int, int], None] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The `entries` `(N, size)` most similar to `vectors` `(n, size)`: every one is compared, `block` of them at a
    time; `expect(row, count)` is told which come next.

    Returns ids int64 and similarities float32, both `(n, min(k, N))` on the device of the vectors, the best first. A
    similarity is the cosine, up to the rounding of the stored entry (below 0.01 in bfloat16).
    """
    if k < 1:
        raise ValueError(f"k={k} neighbors cannot be found: ask for 1 or more.")
    queries = normalize(vectors.float(), dim=-1)
    # The best so far (n, at most k), of blocks that went before: memory grows with the block, not with N.
    best = queries.new_empty(len(queries), 0)
    ids = torch.empty(len(queries), 0, dtype=torch.long, device=queries.device)
    for start in range(0, len(entries), block):
        if expect:
            expect(start, min(block, len(entries) - start))
        part = entries[start : start + block].to(queries.device).float()
        similarities, columns = (queries @ part.T).topk(min(k, len(part)))
        candidates = torch.cat([best, similarities], dim=1)
        best, places = candidates.topk(min(k, candidates.shape[1]))
        ids = torch.cat([ids, start + columns], dim=1).gather(1, places)
    return ids, best


def rounds(instance_ids: torch.Tensor) -> list[torch.Tensor]:
    """The rows of `instance_ids` `(batch,)` in rounds whose rows do not wait on one another: of every instance its
    first row, then of those that have one its second, … (indices int64, rising)."""
    # Ids 7, 3, 7 give the rounds [0, 1] and [2]. Sorted stably, rows of one instance stand together in their order; a
    # row's place less that of its instance's first is the number of its round.
    in_order, rows = instance_ids.sort(stable=True)
    earlier = torch.empty_like(rows)  # how often its instance occurs above a row
    earlier[rows] = torch.arange(len(rows), device=rows.device) - torch.searchsorted(in_order, in_order)
    return [(earlier == number).nonzero().flatten() for number in range(int(earlier.max()) + 1 if len(rows) else 0)]


def saved_entries(checkpoint: Path, state: dict[str, torch.Tensor]) -> torch.Tensor | None:
    """The entries `(n, size)` of the cache in a checkpoint with this training `state`, to be read only; `None` without
    a cache."""
    file = checkpoint / CACHE_FILE
    if "cache.entries" in state:
        return state["cache.entries"]
    if "facefeat_center" not in state or not file.is_file():
        return None
    return saved_rows(file, len(state["facefeat_center"]), torch.bfloat16)


def count_filled(entries: torch.Tensor, block: int = 65_536) -> int:
    """How many of `entries` `(n, size)` come before the first that was never filled, which is 0, no unit vector."""
    for start in range(0, len(entries), block):
        empty = ~entries[start : start + block].any(dim=1)
        if empty.any():
            return start + int(empty.int().argmax())
    return len(entries)
