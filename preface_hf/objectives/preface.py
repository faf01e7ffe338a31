"""The PrefAce objective: landmark-guided self-distillation plus instance learning with the FaceFeat Cache.

L = L_distill + L_ID (PrefAce, a plain sum). Shapes at line ends: B clips, G global views, V views, T frames,
S pixels, K prototypes, d width of the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from preface_hf.data.streams import Batch
from preface_hf.data.views import photometric
from preface_hf.modeling import PrefAceForPreTraining
from preface_hf.objectives.base import ObjectiveOutput
from preface_hf.objectives.collapse import watch
from preface_hf.objectives.facefeat_cache import FaceFeatCache
from preface_hf.objectives.losses import (
    distillation_loss,
    entropy,
    instance_loss,
    koleo_loss,
    sinkhorn_distribution,
    teacher_distribution,
)
from preface_hf.objectives.plain_features import move_statistics, start
from preface_hf.objectives.preface_config import PrefAceObjectiveConfig
from preface_hf.objectives.schedules import cosine, linear
from preface_hf.objectives.teacher import Teacher


class PrefAceObjective:
    """Teaches a [`PrefAceForPreTraining`] student.

    Args:
        student: the model to train; set `objective.student` to its prepared (wrapped) form afterwards.
        config: see [`PrefAceObjectiveConfig`].
        num_instances: rows of the prepared set.
        num_local: small tubes that are local tubes; the others are landmark tubes.
        max_steps: length of the schedules.
        seed: of the negatives that are drawn.
        pixels: mean and standard deviation of each channel, for values in [0, 1].
        gather: joins a tensor's rows over all processes, in the order of their ranks.
        scratch: folder of the file of a cache with `cache_device: disk`.
    """

    def __init__(
        self,
        student: PrefAceForPreTraining,
        config: PrefAceObjectiveConfig,
        *,
        num_instances: int,
        num_local: int,
        max_steps: int,
        seed: int,
        pixels: tuple[list[float], list[float]],
        gather: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor,
        scratch: str | Path = ".",
    ):
        self.student: nn.Module = student
        self.heads = student
        self.config, self.num_local = config, num_local
        self.max_steps, self.seed, self.gather = max_steps, seed, gather
        self.teacher = Teacher(student)
        device = next(student.parameters()).device
        self.pixel_mean, self.pixel_std = (torch.tensor(values, device=device)[:, None, None] for values in pixels)
        self.center = torch.zeros(student.config.num_prototypes, device=device)  # (K,)
        self.facefeat_center = torch.zeros(student.config.facefeat_size, device=device)  # (d,)
        self.cache = FaceFeatCache(
            num_instances,
            student.config.facefeat_size,
            config.cache_momentum,
            config.cache_negatives,
            folder=scratch if config.cache_device == "disk" else None,
        ).to(device if config.cache_device == "accelerator" else "cpu")
        self.watching = True  # whether the coming steps are logged: what only the log needs is left out of others
        self.pending: list[dict[str, torch.Tensor]] = []  # what after_step will need, a dict a batch

    def pixel_values(self, tubes: torch.Tensor, colors: torch.Tensor | None = None) -> torch.Tensor:
        """uint8 tubes `(V, T, 3, S, S)` as the model's input, after the photometric change `(V, 3, 4)`."""
        values = tubes.float() / 255
        if colors is not None:
            values = photometric(values, colors)
        return (values - self.pixel_mean) / self.pixel_std

    def __call__(self, batch: Batch, step: int) -> ObjectiveOutput:
        """The loss of one batch. Nothing changes until [`after_step`]."""
        large, small = self.view_pixels(batch)
        clips = len(batch.instance_ids)
        targets, taught = self.teach(large, clips, step)
        logits, facefeat, pooled = self.student_views(large, small, clips)
        self.pending.append({"ids": batch.instance_ids, "student": pooled.detach(), **taught})
        with torch.autocast(large.device.type, enabled=False):  # einsum would leave float32
            distill = distillation_loss(logits, targets, self.config.student_temperature)  # (V,)
            loss, logs = self.weigh_families(distill, len(targets))
            if self.config.instance_weight:
                identity = self.identity_loss(facefeat, batch.instance_ids, step, len(targets))
                loss = loss + self.config.instance_weight * identity
                logs["loss_id"] = identity.detach()
            if self.config.koleo_weight:
                koleo = koleo_loss(pooled.unflatten(0, (clips, -1)).transpose(0, 1)).sum()
                loss = loss + self.config.koleo_weight * koleo
                logs["loss_koleo"] = koleo.detach()
        return ObjectiveOutput(loss, {**logs, **self.watch(logs, targets, pooled)} if self.watching else logs)

    @torch.no_grad()
    def watch(
        self, logs: dict[str, torch.Tensor], targets: torch.Tensor, pooled: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """What shows a collapse, of targets `(G, B, K)` and the student's pooled features `(B*G, D)`."""
        spread = entropy(targets)  # (G, B)
        features = self.gather(pooled.detach()[:: len(targets)].contiguous())  # the first global tube of each clip
        best = self.gather(targets.argmax(dim=-1).flatten())
        return {
            "teacher_entropy": spread.mean(),
            "kl": logs["loss_distill"] - spread.mean(),  # every teacher view has as many pairs
            # What a target tells about its clip, in nats: 0 after a collapse, at most the log of the number of clips.
            "teacher_information": (entropy(targets.mean(dim=1)) - spread.mean(dim=1)).mean(),
            **watch(features, best, targets.shape[-1]),
        }

    def identity_loss(
        self, facefeat: torch.Tensor, instance_ids: torch.Tensor, step: int, num_global: int
    ) -> torch.Tensor:
        """L_ID of the student's cache features `(V, B, d)`: the mean over clips and views, each view weighted by its
        family."""
        negative_ids, negatives = self.cache.negatives(self.seed, step, facefeat.device)
        positives = self.cache.lookup(instance_ids)
        temperature = self.config.instance_temperature
        views = instance_loss(facefeat, instance_ids, positives, negatives, negative_ids, temperature)  # (V,)
        weights = self.family_weights(views, num_global)
        return (views * weights).sum() / weights.sum().clamp(min=1e-12)

    def view_pixels(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Global and small tubes of all clips as rows, clip by clip: `(B*G, T, 3, S, S)`, `(B*(V-G), T, 3, s, s)`."""
        num_global = batch.global_tubes.shape[1]
        large = self.pixel_values(batch.global_tubes.flatten(0, 1), batch.colors[:, :num_global].flatten(0, 1))
        small = self.pixel_values(batch.small_tubes.flatten(0, 1), batch.colors[:, num_global:].flatten(0, 1))
        return large, small

    @torch.no_grad()
    def teach(self, large: torch.Tensor, clips: int, step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Targets `(G, B, K)` of the student, and what `after_step` needs of the teacher, by name."""
        output = self.teacher(large)
        logits = output.prototype_logits.float().unflatten(0, (clips, -1)).transpose(0, 1)  # (G, B, K)
        means = {
            "logits": logits.mean(dim=(0, 1))[None],  # (1, K)
            "facefeat": output.facefeat.float().unflatten(0, (clips, -1)).mean(dim=1),  # (B, d)
            "teacher": output.pooler_output.float(),  # (B*G, D)
        }
        temperature = linear(
            step,
            round(self.config.teacher_temperature_warmup * self.max_steps),
            self.config.teacher_temperature_start,
            self.config.teacher_temperature,
        )
        if self.config.targets == "sinkhorn":
            return sinkhorn_distribution(logits, temperature, self.gather), means
        return teacher_distribution(logits, self.center, temperature), means

    def student_views(
        self, large: torch.Tensor, small: torch.Tensor, clips: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The student on every view: prototype logits `(V, B, K)` and cache features `(V, B, d)`, globals first; and
        its pooled features of the global tubes `(B*G, D)`."""
        outputs = [self.student(rows) for rows in (large, small) if len(rows)]
        split = [
            [values.unflatten(0, (clips, -1)).transpose(0, 1) for values in (out.prototype_logits, out.facefeat)]
            for out in outputs
        ]
        logits, facefeat = (torch.cat(parts) for parts in zip(*split, strict=True))
        return logits, facefeat, outputs[0].pooler_output.float()

    def family_weights(self, views: torch.Tensor, num_global: int) -> torch.Tensor:
        """The weight of each of the student's views `(V,)`."""
        weights = torch.full_like(views, self.config.landmark_weight)
        weights[:num_global] = self.config.global_weight
        weights[num_global : num_global + self.num_local] = self.config.local_weight
        return weights

    def weigh_families(self, distill: torch.Tensor, num_global: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """L_distill from its views `(V,)`: mean over pairs, each weighted by its family; and each family's mean."""
        local_end = num_global + self.num_local
        weights = self.family_weights(distill, num_global) * num_global  # pairs with teacher views
        weights[:num_global] *= (num_global - 1) / num_global
        loss = (distill * weights).sum() / weights.sum().clamp(min=1e-12)
        families = {"global": distill[:num_global], "local": distill[num_global:local_end]}
        families["landmark"] = distill[local_end:]
        logs = {f"loss_{name}": terms.detach().mean() for name, terms in families.items() if len(terms)}
        return loss, {"loss_distill": loss.detach(), **logs}

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Teacher, center and cache move on, alike on every process."""
        momentum = cosine(step, self.max_steps, self.config.teacher_momentum, 1.0)
        self.teacher.follow(self.student, momentum)
        seen = {
            name: self.gather(torch.cat([part[name] for part in self.pending]).contiguous())
            for name in self.pending[0]
        }
        self.pending.clear()
        if self.config.instance_weight:
            self.cache.update(seen["ids"], seen["facefeat"] - self.facefeat_center)
        pace = 1 - self.config.center_momentum
        self.center.lerp_(seen["logits"].mean(dim=0), pace)
        self.facefeat_center.lerp_(seen["facefeat"].mean(dim=0), pace)
        for model, features in ((self.teacher.model, seen["teacher"]), (self.heads, seen["student"])):
            move_statistics(model, features, pace)

    def skip_step(self) -> None:
        """Forget the batches of a step that was not made."""
        self.pending.clear()

    def start(self, clips: Iterable[tuple[torch.Tensor, torch.Tensor]], statistics: bool = True) -> None:
        """Before the first step, on clips un-augmented: see [`preface_hf.objectives.plain_features.start`]."""
        start(self, clips, statistics)

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The weights of the student."""
        return [weight for weight in self.student.parameters() if weight.requires_grad]

    def state_dict(self) -> dict[str, Any]:
        """Teacher, centers and FaceFeat Cache (but for the file of one on disk)."""
        return {
            "teacher": self.teacher.state_dict(),
            "center": self.center,
            "facefeat_center": self.facefeat_center,
            "cache": self.cache.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`; without its `cache`, teacher and centers only."""
        self.teacher.load_state_dict(state["teacher"])
        self.center.copy_(state["center"])
        self.facefeat_center.copy_(state["facefeat_center"])
        if "cache" in state:
            self.cache.load_state_dict(state["cache"])
