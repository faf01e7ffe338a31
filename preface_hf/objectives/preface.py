"""The PrefAce objective: landmark-guided self-distillation plus instance learning with the FaceFeat Cache.

L = L_distill + L_ID (PrefAce, a plain sum). The distillation is that of `dino.py`; shapes at line ends as in
`distillation.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from preface_hf.data.streams import Batch
from preface_hf.data.views import ViewConfig
from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining
from preface_hf.objectives.base import Neighbors, flat, part, saved_state, with_new_names
from preface_hf.objectives.cache.facefeat_cache import (
    CACHE_FILE,
    FaceFeatCache,
    count_filled,
    nearest_entries,
    saved_entries,
)
from preface_hf.objectives.costs import Costs, self_distillation_costs
from preface_hf.objectives.dino import DinoObjective, DinoObjectiveConfig
from preface_hf.objectives.distillation import StudentViews, Term, check_choice
from preface_hf.objectives.losses import instance_loss


CACHE_DEVICES = ("accelerator", "host", "disk")


@dataclass
class PrefAceObjectiveConfig(DinoObjectiveConfig):
    """Weights, temperatures and momenta. Only the plain sum of the two terms is stated by PrefAce; the values are
    those of DINO and of Wu et al. 2018 (docs/paper_index.md)."""

    landmark_weight: float = 1.0
    instance_weight: float = 1.0  # of L_ID, whose views are weighted by family too; 0 leaves the FaceFeat Cache out
    instance_temperature: float = 0.07
    cache_momentum: float = 0.5
    cache_negatives: int = 4096
    cache_device: str = "accelerator"  # where its entries are: accelerator, host (memory) or disk (a mapped file)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("cache_device", self.cache_device, CACHE_DEVICES)


class PrefAceObjective(DinoObjective):
    """Teaches a [`PrefAceForPreTraining`] student.

    Args:
        student, config, settings: as of [`TeacherObjective`]; `scratch` is the folder of the file of a cache with
            `cache_device: disk`.
    """

    moving = ("ids", "student", "logits", "facefeat", "teacher")

    def __init__(self, student: PrefAceForPreTraining, config: PrefAceObjectiveConfig, **settings: Any):
        super().__init__(student, config, **settings)
        self.facefeat_center = torch.zeros(student.config.facefeat_size, device=self.device)  # (d,)
        self.cache = FaceFeatCache(
            self.num_instances,
            student.config.facefeat_size,
            config.cache_momentum,
            config.cache_negatives,
            folder=self.scratch if config.cache_device == "disk" else None,
        ).to(self.device if config.cache_device == "accelerator" else "cpu")

    def families(self, num_global: int) -> dict[str, tuple[slice, float]]:
        """Landmark tubes come after the local ones."""
        end = num_global + self.num_local
        return {
            "global": (slice(0, num_global), self.config.global_weight),
            "local": (slice(num_global, end), self.config.local_weight),
            "landmark": (slice(end, None), self.config.landmark_weight),
        }

    def other_terms(self, views: StudentViews, batch: Batch, step: int) -> Iterable[Term]:
        """L_ID, then what the self-distillation adds."""
        if self.config.instance_weight and views.facefeat is not None:
            identity = self.identity_loss(views.facefeat, batch.instance_ids, step, batch.global_tubes.shape[1])
            yield "loss_id", self.config.instance_weight, identity
        yield from super().other_terms(views, batch, step)

    def identity_loss(
        self, facefeat: torch.Tensor, instance_ids: torch.Tensor, step: int, num_global: int
    ) -> torch.Tensor:
        """L_ID of the student's cache features `(V, B, d)`: the mean over clips and views, each view weighted by its
        family."""
        negative_ids, negatives = self.cache.negatives(self.seed, step, facefeat.device)
        positives = self.cache.lookup(instance_ids)  # (B, d)
        temperature = self.config.instance_temperature
        views = instance_loss(facefeat, instance_ids, positives, negatives, negative_ids, temperature)  # (V,)
        weights = self.family_weights(views, num_global)
        return (views * weights).sum() / weights.sum().clamp(min=1e-12)

    def remember(self, output: Any, logits: torch.Tensor, clips: int) -> dict[str, torch.Tensor]:
        """The cache is updated by the mean over a clip's global tubes."""
        # The teacher sees a clip in G tubes, the cache has one entry for it.
        facefeat = output.facefeat.float().unflatten(0, (clips, -1)).mean(dim=1)  # (B, d)
        return {**super().remember(output, logits, clips), "facefeat": facefeat}

    def move(self, rows: dict[str, torch.Tensor], pace: float) -> None:
        """The cache, by features that are centered as they were in the step; then its center and the rest."""
        if self.config.instance_weight:
            # Centered: else the entries seen this epoch drift away together from those not yet seen, and the student
            # learns the age of an entry instead of the person (measured: the loss falls, probes do not rise).
            self.cache.update(rows["ids"], rows["facefeat"] - self.facefeat_center)
        self.facefeat_center.lerp_(rows["facefeat"].mean(dim=0), pace)
        super().move(rows, pace)

    def pass_through(self, ids: torch.Tensor, features: torch.Tensor, first: bool) -> bool:
        """Fill the FaceFeat Cache by the teacher (PrefAce), centered by the mean of the first clips."""
        teacher = self.teacher.model
        facefeat = teacher.facefeat_projector(teacher.standardize(features)).float()  # (n, d)
        # The first rows set the center for all, so that every entry is centered alike.
        if first:
            self.facefeat_center.copy_(facefeat.mean(dim=0))
        # Without L_ID no entry is ever read, so the other clips need not be decoded.
        if not self.config.instance_weight:
            return False
        self.cache.fill(ids, facefeat - self.facefeat_center)
        return True

    def state_dict(self) -> dict[str, Any]:
        """Teacher, centers and FaceFeat Cache (but for the file of one on disk)."""
        cache = flat({"cache": self.cache.state_dict()})
        return {**super().state_dict(), "facefeat_center": self.facefeat_center, **cache}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; without its `cache`, teacher and centers only."""
        state = with_new_names(state)
        super().load_state_dict(state)
        self.facefeat_center.copy_(state["facefeat_center"])
        if "cache.entries" in state:
            self.cache.load_state_dict(part(state, "cache"))

    def save_files(self, folder: Path) -> None:
        """The file of a cache on disk, which `state_dict()` leaves out."""
        if self.cache.mapped:
            self.cache.mapped.save(folder / CACHE_FILE)

    def load_files(self, folder: Path) -> None:
        """The file of a cache on disk."""
        if self.cache.mapped:
            self.cache.mapped.restore(folder / CACHE_FILE)

    def take_over(self, checkpoint: str) -> str:
        """Take teacher, centers and FaceFeat Cache over, if `checkpoint` is that of a run of PrefAce on no more
        instances than there are here.

        The instances of that run must have the ids that they had: new rows come after them.
        """
        state = saved_state(checkpoint)
        reason = "it holds no training state"
        entries = None if state is None else saved_entries(Path(checkpoint), state)  # (n, d)
        if state is not None and entries is not None:
            new = len(self.cache) - len(entries)
            if new >= 0:
                # Without entries this takes teacher and centers: the old cache may have fewer of them than this one.
                self.load_state_dict({name: value for name, value in state.items() if name != "cache.entries"})
                return f"student, teacher and FaceFeat Cache go on from {checkpoint}{self.take_entries(entries)}."
            reason = f"that cache has {len(entries)} instances, this set {len(self.cache)}"
        elif state is not None:
            reason = "it is of a run without a cache"
        return f"the student starts from {checkpoint}; teacher and FaceFeat Cache start anew ({reason})."

    def take_entries(self, entries: torch.Tensor) -> str:
        """Take the entries `(n, d)` of an earlier cache; returns, in words, which ones [`start`] will fill."""
        self.cache.take(entries)
        if not self.config.instance_weight:  # none is ever read
            return ""
        # A run without L_ID never filled its own.
        self.started = count_filled(entries)
        new = len(self.cache) - self.started
        kind = "new" if self.started == len(entries) else "empty"
        return f"; the teacher fills the entries of {new} {kind} instances" if new else ""


def cache_neighbors(checkpoint: Path, config: PrefAceObjectiveConfig) -> Neighbors:
    """The nearest entries of the FaceFeat Cache of a checkpoint."""
    state = saved_state(checkpoint) or {}
    entries = saved_entries(checkpoint, state)  # (N, d)
    if entries is None:
        raise ValueError(f"{checkpoint} has no FaceFeat Cache: give a run of the method preface.")
    note = (
        "Left: some clips of the set. Beside each: the clips whose vectors in the cache are most like its own, with "
        f"their cosine (1 is the same direction, 0 is unrelated). Model: {checkpoint.name}."
    )
    if not config.instance_weight:
        note += " The run does without the cache (instance_weight 0): these are the features before the first step."
    return Neighbors(
        title="Nearest neighbors in the FaceFeat Cache",
        note=note,
        place=f"the FaceFeat Cache of {checkpoint}",
        count=len(entries),
        nearest=lambda instances, k: nearest_entries(entries, entries[instances], k),
    )


def preface_costs(
    model: PrefAceConfig, views: ViewConfig, config: PrefAceObjectiveConfig, mixed: bool, instances: int
) -> Costs:
    """What a step costs: the self-distillation, and the cache's bfloat16 entries, the same on every process."""
    # A view is compared with all entries of a small set, else with as many as are drawn.
    entries = min(instances, config.cache_negatives)
    costs = self_distillation_costs(model, views, mixed, identity=bool(config.instance_weight), entries=entries)
    cache = 2 * instances * model.facefeat_size
    return replace(
        costs,
        gathered_bytes=costs.gathered_bytes + 4 * model.facefeat_size + 8,  # cache features and ids
        memory={"FaceFeat Cache": cache} if config.cache_device == "accelerator" else {},
        checkpoint_bytes=cache,
        start="to fill the FaceFeat Cache",
        # Without L_ID the cache is left empty.
        start_clips=instances if config.instance_weight else costs.start_clips,
    )
