"""Self-distillation on views: a student learns what its teacher, a moving average of it, says of other views.

DINO (`dino.py`), PrefAce, which builds on it (`preface.py`), and ProS (`pros.py`) differ in the teacher's targets and
in what is added to the loss. Shapes at line ends: B clips, G global views, V views, T frames, S pixels, K prototypes,
D hidden size, d width of the cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch

from preface_hf.data.streams import Batch
from preface_hf.objectives.base import ObjectiveOutput
from preface_hf.objectives.collapse import watch
from preface_hf.objectives.losses import distillation_loss, entropy
from preface_hf.objectives.teacher import TeacherObjective


# A term of the loss: its name, its weight, its value.
Term = tuple[str, float, torch.Tensor]


class StudentViews(NamedTuple):
    """What the student says of every view.

    logits: of the prototypes, `(V, B, K)`, globals first
    facefeat: features for the cache `(V, B, d)`, where the student has a head for them
    pooled: its pooled features of the global tubes, `(B*G, D)`
    """

    logits: torch.Tensor
    facefeat: torch.Tensor | None
    pooled: torch.Tensor


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """`ValueError` where the setting `name` has a value that is not `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown: choose one of {', '.join(allowed)}.")


class DistillationObjective(TeacherObjective):
    """What methods of self-distillation share; [`targets`] and [`other_terms`] are theirs. For the arguments see
    [`TeacherObjective`]."""

    config: Any  # with `student_temperature`, `global_weight` and `local_weight`

    def __call__(self, batch: Batch, step: int) -> ObjectiveOutput:
        """The loss of one batch. Nothing changes until [`after_step`]."""
        large, small = self.view_pixels(batch)
        clips = len(batch.instance_ids)
        targets, rows = self.teach(large, clips, step)
        views = self.student_views(large, small, clips)
        # Until the step is made: with gradient accumulation there is one entry a batch.
        self.pending.append({"ids": batch.instance_ids, "student": views.pooled.detach(), **rows})
        with torch.autocast(large.device.type, enabled=False):  # einsum would leave float32
            distill = distillation_loss(views.logits, targets, self.config.student_temperature)  # (V,)
            loss, logs = self.weigh_families(distill, len(targets))
            for name, weight, term in self.other_terms(views, batch, step):
                loss = loss + weight * term
                logs[name] = term.detach()
        return ObjectiveOutput(loss, {**logs, **self.watch(logs, targets, views.pooled)} if self.watching else logs)

    def other_terms(self, views: StudentViews, batch: Batch, step: int) -> Iterable[Term]:
        """What is added to the distillation."""
        return ()

    def targets(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        """What the student is to say, `(G, B, K)`, of what the teacher does."""
        raise NotImplementedError

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
        # The teacher sees global tubes only (DINO's multi-crop); the student follows it from all views.
        output = self.teacher(large)
        logits = output.prototype_logits.float().unflatten(0, (clips, -1)).transpose(0, 1)  # (G, B, K)
        return self.targets(logits, step), self.remember(output, logits, clips)

    def remember(self, output: Any, logits: torch.Tensor, clips: int) -> dict[str, torch.Tensor]:
        """What `after_step` needs of the teacher's output (a `PrefAceForPreTrainingOutput`) on global tubes."""
        return {"teacher": output.pooler_output.float()}  # (B*G, D)

    def student_views(self, large: torch.Tensor, small: torch.Tensor, clips: int) -> StudentViews:
        """The student on every view, globals first."""
        # One forward pass for each size of tube; some settings have no small tubes.
        outputs = [self.student(rows) for rows in (large, small) if len(rows)]
        logits = by_view([output.prototype_logits for output in outputs], clips)
        features = [output.facefeat for output in outputs]
        facefeat = None if features[0] is None else by_view(features, clips)
        return StudentViews(logits, facefeat, outputs[0].pooler_output.float())

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
        # A term of `distill` is a mean over pairs: times their number, all pairs count alike. A small view has G
        # pairs, a global one G - 1, as it is not compared with itself.
        weights = self.family_weights(distill, num_global) * num_global  # pairs with teacher views
        weights[:num_global] *= (num_global - 1) / num_global
        loss = (distill * weights).sum() / weights.sum().clamp(min=1e-12)
        families = {name: distill[part] for name, (part, _) in self.families(num_global).items()}
        logs = {f"loss_{name}": terms.detach().mean() for name, terms in families.items() if len(terms)}
        return loss, {"loss_distill": loss.detach(), **logs}


def by_view(outputs: list[torch.Tensor], clips: int) -> torch.Tensor:
    """What the student says of views, `(B * views, width)` of each size of tube, as `(V, B, width)`."""
    return torch.cat([rows.unflatten(0, (clips, -1)).transpose(0, 1) for rows in outputs])
