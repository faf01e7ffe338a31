"""DINO on tubes: a student learns what its teacher, a moving average of it, says of other views of the same clip.

PrefAce builds on it (`preface.py`). Shapes at line ends: B clips, G global views, V views, T frames, S pixels,
K prototypes, D hidden size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from preface_hf.data.streams import Batch
from preface_hf.data.views import TubeConfig, photometric
from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining
from preface_hf.objectives.base import Gather, ObjectiveOutput, alone, saved_state, with_new_names
from preface_hf.objectives.collapse import warning, watch
from preface_hf.objectives.costs import Costs, self_distillation_costs
from preface_hf.objectives.losses import (
    distillation_loss,
    entropy,
    koleo_loss,
    sinkhorn_distribution,
    teacher_distribution,
)
from preface_hf.objectives.plain_features import plain_features
from preface_hf.objectives.schedules import cosine, linear
from preface_hf.objectives.teacher import Teacher, move_statistics


TARGETS = ("centering", "sinkhorn")

# A term of the loss: its name, its weight, its value.
Term = tuple[str, float, torch.Tensor]


@dataclass
class DinoObjectiveConfig:
    """Weights, temperatures and momenta of the self-distillation; the values are DINO's (docs/paper_index.md)."""

    global_weight: float = 1.0  # of a student's view, by its family
    local_weight: float = 1.0
    koleo_weight: float = 0.0  # of KoLeo on the student's pooled global tubes, summed over them (DINOv2: 0.1)
    targets: str = "centering"  # what keeps the teacher from collapse: centering or sinkhorn
    student_temperature: float = 0.1
    teacher_temperature: float = 0.07
    teacher_temperature_start: float = 0.04
    teacher_temperature_warmup: float = 0.3  # share of the run in which it rises
    center_momentum: float = 0.9
    teacher_momentum: float = 0.996  # rises to 1 along a cosine

    def __post_init__(self) -> None:
        check_choice("targets", self.targets, TARGETS)


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """`ValueError` where the setting `name` has a value that is not `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown: choose one of {', '.join(allowed)}.")


class DinoObjective:
    """Teaches a [`PrefAceForPreTraining`] student, of which the projector of the FaceFeat Cache rests.

    Args:
        student: the model to train; set `objective.student` to its prepared (wrapped) form afterwards.
        config: see [`DinoObjectiveConfig`].
        views: the tubes of a clip.
        num_instances: rows of the prepared set.
        max_steps: length of the schedules.
        seed: of what is drawn at random.
        pixels: mean and standard deviation of each channel, for values in [0, 1].
        gather: joins a tensor's rows over all processes, in the order of their ranks.
        scratch: folder for files that are memory.
        rest_epochs: epochs in which the prototypes rest.
    """

    def __init__(
        self,
        student: PrefAceForPreTraining,
        config: DinoObjectiveConfig,
        *,
        views: TubeConfig,
        num_instances: int,
        max_steps: int,
        seed: int,
        pixels: tuple[list[float], list[float]],
        gather: Gather = alone,
        scratch: str | Path = ".",
        rest_epochs: float = 0.0,
    ):
        self.student: nn.Module = student
        self.heads = student
        self.config: Any = config
        self.num_local, self.num_instances = views.num_local, num_instances
        self.max_steps, self.seed, self.gather = max_steps, seed, gather
        self.scratch, self.rest_epochs = scratch, rest_epochs
        self.teacher = Teacher(student)
        self.device = next(student.parameters()).device
        mean, deviation = (torch.tensor(values, device=self.device)[:, None, None] for values in pixels)
        self.pixel_mean, self.pixel_std = mean, deviation  # (3, 1, 1)
        self.center = torch.zeros(student.config.num_prototypes, device=self.device)  # (K,)
        self.watching = True  # whether the coming steps are logged: what only the log needs is left out of others
        self.started = 0
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
        targets, seen = self.teach(large, clips, step)
        logits, facefeat, pooled = self.student_views(large, small, clips)
        self.pending.append({"ids": batch.instance_ids, "student": pooled.detach(), **seen})
        with torch.autocast(large.device.type, enabled=False):  # einsum would leave float32
            distill = distillation_loss(logits, targets, self.config.student_temperature)  # (V,)
            loss, logs = self.weigh_families(distill, len(targets))
            for name, weight, term in self.other_terms(facefeat, pooled, batch, step, len(targets)):
                loss = loss + weight * term
                logs[name] = term.detach()
        return ObjectiveOutput(loss, {**logs, **self.watch(logs, targets, pooled)} if self.watching else logs)

    def other_terms(
        self, facefeat: torch.Tensor, pooled: torch.Tensor, batch: Batch, step: int, num_global: int
    ) -> Iterable[Term]:
        """What is added to the distillation, of cache features `(V, B, d)` and pooled global tubes `(B*G, D)`."""
        if self.config.koleo_weight:
            views = pooled.unflatten(0, (len(batch.instance_ids), -1)).transpose(0, 1)  # (G, B, D)
            yield "loss_koleo", self.config.koleo_weight, koleo_loss(views).sum()

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
        seen = self.remember(output, logits, clips)
        temperature = linear(
            step,
            round(self.config.teacher_temperature_warmup * self.max_steps),
            self.config.teacher_temperature_start,
            self.config.teacher_temperature,
        )
        if self.config.targets == "sinkhorn":
            return sinkhorn_distribution(logits, temperature, self.gather), seen
        return teacher_distribution(logits, self.center, temperature), seen

    def remember(self, output: Any, logits: torch.Tensor, clips: int) -> dict[str, torch.Tensor]:
        """What `after_step` needs of the teacher's output (a `PrefAceForPreTrainingOutput`) on global tubes."""
        return {"logits": logits.mean(dim=(0, 1))[None], "teacher": output.pooler_output.float()}  # (1, K), (B*G, D)

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

    def families(self, num_global: int) -> dict[str, tuple[slice, float]]:
        """Which of the student's views are of a family, and the family's weight."""
        return {
            "global": (slice(0, num_global), self.config.global_weight),
            "local": (slice(num_global, None), self.config.local_weight),
        }

    def family_weights(self, views: torch.Tensor, num_global: int) -> torch.Tensor:
        """The weight of each of the student's views `(V,)`."""
        weights = torch.empty_like(views)
        for part, weight in self.families(num_global).values():
            weights[part] = weight
        return weights

    def weigh_families(self, distill: torch.Tensor, num_global: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """L_distill from its views `(V,)`: mean over pairs, each weighted by its family; and each family's mean."""
        weights = self.family_weights(distill, num_global) * num_global  # pairs with teacher views
        weights[:num_global] *= (num_global - 1) / num_global
        loss = (distill * weights).sum() / weights.sum().clamp(min=1e-12)
        families = {name: distill[part] for name, (part, _) in self.families(num_global).items()}
        logs = {f"loss_{name}": terms.detach().mean() for name, terms in families.items() if len(terms)}
        return loss, {"loss_distill": loss.detach(), **logs}

    def before_step(self, epoch: float) -> None:
        """The prototypes rest at first."""
        if epoch < self.rest_epochs:
            self.heads.prototypes.weight.grad = None

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Teacher, center and statistics move on, alike on every process."""
        momentum = cosine(step, self.max_steps, self.config.teacher_momentum, 1.0)
        self.teacher.follow(self.student, momentum)
        seen = {
            name: self.gather(torch.cat([part[name] for part in self.pending]).contiguous())
            for name in self.pending[0]
            if name in self.moving
        }
        self.pending.clear()
        self.move(seen, 1 - self.config.center_momentum)

    moving: tuple[str, ...] = ("student", "logits", "teacher")  # what `move` needs of all processes

    def move(self, seen: dict[str, torch.Tensor], pace: float) -> None:
        """Move what follows the batches of a step, of rows of all processes by name."""
        self.center.lerp_(seen["logits"].mean(dim=0), pace)
        for model, features in ((self.teacher.model, seen["teacher"]), (self.heads, seen["student"])):
            move_statistics(model, features, pace)

    def skip_step(self) -> None:
        """Forget the batches of a step that was not made."""
        self.pending.clear()

    @torch.no_grad()
    def start(self, clips: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """On clips un-augmented (ids `(b,)`, uint8 `(b, T, 3, S, S)`): unless they are there already, set the
        statistics that the heads are standardized by, from the first 16,384 clips; then [`pass_through`]."""
        first = not self.started
        for ids, features in plain_features(clips, self.encode, self.gather, self.device):
            if first:
                for model in (self.teacher.model, self.heads):
                    move_statistics(model, features, 1.0)
            if not self.pass_through(ids, features, first):
                break
            first = False
        self.started = self.num_instances

    def encode(self, tubes: torch.Tensor) -> torch.Tensor:
        """The teacher's pooled features `(b, D)` of clips `(b, T, 3, S, S)` uint8."""
        return self.teacher.model.preface(self.pixel_values(tubes)).pooler_output.float()

    def pass_through(self, ids: torch.Tensor, features: torch.Tensor, first: bool) -> bool:
        """What is done with ids `(n,)` and features `(n, D)` of all clips before the first step; whether more of them
        are needed."""
        return False

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The weights of the student."""
        return [weight for weight in self.student.parameters() if weight.requires_grad]

    def published(self, publish: str) -> PrefAceForPreTraining | None:
        """The teacher, where it is asked for."""
        return self.teacher.model if publish == "teacher" else None

    def warning(self, logs: Mapping[str, float]) -> str | None:
        """See [`preface_hf.objectives.collapse.warning`]."""
        return warning(logs, len(self.center))

    def state_dict(self) -> dict[str, Any]:
        """Teacher and center."""
        return {"teacher": self.teacher.state_dict(), "center": self.center}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        state = with_new_names(state)
        self.teacher.load_state_dict(state["teacher"])
        self.center.copy_(state["center"])
        self.started = self.num_instances

    def save_files(self, folder: Path) -> None:
        """All is in `state_dict`."""

    def load_files(self, folder: Path) -> None:
        """All is in `state_dict`."""

    def take_over(self, checkpoint: str) -> str:
        """Take teacher and center over, if `checkpoint` is that of a run."""
        state = saved_state(checkpoint)
        if state is None or "teacher" not in state:
            return f"the student starts from {checkpoint}; its teacher starts anew (it holds no training state)."
        self.load_state_dict(state)
        return f"student and teacher continue from {checkpoint}."


def dino_costs(
    model: PrefAceConfig, views: TubeConfig, config: DinoObjectiveConfig, mixed: bool, instances: int
) -> Costs:
    """What a step costs."""
    return self_distillation_costs(model, views, mixed)
