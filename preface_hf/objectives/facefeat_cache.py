"""The FaceFeat Cache: one unit vector for every video instance."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize


class FaceFeatCache(nn.Module):
    r"""
    A memory of one vector per instance (PrefAce: filled by the teacher on the un-augmented clips before training,
    then updated instance by instance).

    It costs `2 * num_instances * size` bytes (bfloat16). With more than `num_negatives` entries a step compares with
    `num_negatives` of them drawn at random, so its cost does not grow with the number of instances.

    Args:
        num_instances: entries; ids run from 0 to `num_instances - 1`.
        size: width of a vector.
        momentum: share of the old entry that an update keeps (Wu et al. 2018: 0.5; not stated by PrefAce, chosen).
        num_negatives: largest number of entries to compare with (not stated, chosen).
        dtype: of the stored vectors.
    """

    entries: torch.Tensor

    def __init__(
        self,
        num_instances: int,
        size: int,
        momentum: float = 0.5,
        num_negatives: int = 4096,
        dtype: torch.dtype = torch.bfloat16,
    ):
        super().__init__()
        if num_instances < 1:
            raise ValueError(f"a FaceFeat Cache of {num_instances} instances is empty: prepare at least one video.")
        self.momentum, self.num_negatives = momentum, num_negatives
        self.register_buffer("entries", torch.zeros(num_instances, size, dtype=dtype))

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

    @torch.no_grad()
    def fill(self, instance_ids: torch.Tensor, features: torch.Tensor) -> None:
        """Set the entries of `instance_ids` `(batch,)` to `features` `(batch, size)`, normalised."""
        self.check(instance_ids)
        self.entries[instance_ids] = normalize(features.float(), dim=-1).to(self.entries.dtype)

    def lookup(self, instance_ids: torch.Tensor) -> torch.Tensor:
        """The entries of `instance_ids` `(batch,)`: `(batch, size)`, a copy."""
        self.check(instance_ids)
        return self.entries[instance_ids]

    def negatives(self, seed: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids `(n,)` and entries `(n, size)` to compare with: all, or `num_negatives` drawn for this step.

        Drawing is with replacement, from (`seed`, `step`) alone, so every process compares with the same.
        """
        device = self.entries.device
        if len(self) <= self.num_negatives:
            return torch.arange(len(self), device=device), self.entries.clone()
        drawn = np.random.default_rng([seed, step]).integers(len(self), size=self.num_negatives)
        ids = torch.from_numpy(drawn).to(device)
        return ids, self.entries[ids]

    @torch.no_grad()
    def update(self, instance_ids: torch.Tensor, features: torch.Tensor) -> None:
        """M_i <- normalise(momentum * M_i + (1 - momentum) * feature), one row after the other.

        Args:
            instance_ids: `(batch,)`. An instance that occurs twice is updated twice, in this order.
            features: `(batch, size)`.
        """
        self.check(instance_ids)
        features = normalize(features.float(), dim=-1)
        while len(instance_ids):
            # Rows whose instance has not occurred above: their updates do not wait on one another.
            earlier = (instance_ids[:, None] == instance_ids).tril(-1).any(dim=1)
            ids, new = instance_ids[~earlier], features[~earlier]
            mixed = self.momentum * self.entries[ids].float() + (1 - self.momentum) * new
            self.entries[ids] = normalize(mixed, dim=-1).to(self.entries.dtype)
            instance_ids, features = instance_ids[earlier], features[earlier]
