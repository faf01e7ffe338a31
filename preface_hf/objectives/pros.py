"""ProS: a student and its teacher assign views of a face picture to learnable prototypes, and are to agree.

p = softmax(cos(z, Q) / t) of each view; L = H(sharpened p of the teacher, p) + λ (ln K - H(mean p)). The prototypes Q
are one set for both. ProS states a "prototype-based matching loss" only; the form is MSN's, chosen. Shapes at line
ends as in `distillation.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch

from preface_hf.data.still_views import StillConfig
from preface_hf.data.streams import Batch
from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining
from preface_hf.objectives.base import Groups, by_channel, whole
from preface_hf.objectives.collapse import assignment_warning
from preface_hf.objectives.costs import Costs, self_distillation_costs
from preface_hf.objectives.distillation import DistillationObjective, StudentViews, Term, check_choice
from preface_hf.objectives.losses import mean_entropy, sinkhorn_distribution


TARGETS = ("sharpening", "sinkhorn")


@dataclass
class ProsObjectiveConfig:
    """Weights, temperatures and momenta. ProS states none of them; chosen after MSN (docs/paper_index.md)."""

    global_weight: float = 1.0  # of a student's view, by its family
    local_weight: float = 1.0
    mean_entropy_weight: float = 1.0  # of what keeps all prototypes in use; 0 leaves it out
    targets: str = "sharpening"  # what is done to the teacher's assignments: sharpening, or sinkhorn after it
    student_temperature: float = 0.1  # of all assignments
    sharpening: float = 0.25  # temperature of the targets, over that
    teacher_momentum: float = 0.996  # rises to 1 along a cosine
    center_momentum: float = 0.9  # of the statistics that heads standardize by

    def __post_init__(self) -> None:
        check_choice("targets", self.targets, TARGETS)


class ProsObjective(DistillationObjective):
    """ProS's loss on stills. For the arguments see [`TeacherObjective`]."""

    def targets(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        """The teacher's assignments, sharpened; `sinkhorn` then has every prototype used about as much."""
        # softmax(x / t) to the power of 1 / T, summing to 1 again, is softmax(x / (t T)).
        temperature = self.config.student_temperature * self.config.sharpening
        if self.config.targets == "sinkhorn":
            return sinkhorn_distribution(logits, temperature, self.gather)
        return (logits / temperature).softmax(dim=-1)

    def other_terms(self, views: StudentViews, batch: Batch, step: int) -> Iterable[Term]:
        """How far the mean assignment is from one that uses all prototypes alike."""
        spread = mean_entropy(views.logits, self.config.student_temperature, self.gather)
        yield "loss_mean_entropy", self.config.mean_entropy_weight, math.log(views.logits.shape[-1]) - spread

    @torch.no_grad()
    def watch(
        self, logs: dict[str, torch.Tensor], targets: torch.Tensor, pooled: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The entropy itself, and what other methods watch."""
        entropy = math.log(targets.shape[-1]) - logs["loss_mean_entropy"]
        return {"mean_entropy": entropy, **super().watch(logs, targets, pooled)}

    @torch.no_grad()
    def after_step(self, step: int, learning_rate: float = 0.0) -> None:
        """The teacher follows, but for the prototypes: they are the student's own."""
        super().after_step(step, learning_rate)
        self.teacher.model.prototypes.weight.copy_(whole(self.heads.prototypes.weight.detach()))

    def warning(self, logs: Mapping[str, float]) -> str | None:
        """See [`assignment_warning`]."""
        return assignment_warning(logs, self.teacher.model.config.num_prototypes)


@torch.no_grad()
def prototype_faces(
    model: PrefAceForPreTraining, clips: torch.Tensor, pixels: tuple[list[float], list[float]], faces: int = 6
) -> Groups:
    """The prototypes that most clips have as their nearest, each with the clips nearest to it.

    Args:
        model: whose prototypes they are.
        clips: uint8 `(n, T, 3, S, S)`.
        pixels: mean and standard deviation of each channel, for values in [0, 1].
        faces: how many are shown of a prototype, and how many prototypes.
    """
    mean, deviation = by_channel(pixels)
    blocks = [model((block.float() / 255 - mean) / deviation).prototype_logits for block in clips.split(32)]
    cosines = torch.cat(blocks).float()  # (n, K)
    used = cosines.argmax(dim=1).bincount(minlength=cosines.shape[1])  # (K,)
    rows = []
    for prototype in used.argsort(descending=True, stable=True)[:faces].tolist():
        if used[prototype]:
            best = cosines[:, prototype].topk(min(faces, len(clips)))
            members = list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
            rows.append((f"prototype {prototype}: the nearest of {int(used[prototype])}", members))
    note = (
        f"{int((used > 0).sum())} of {cosines.shape[1]} prototypes are the nearest of some of {len(clips)} faces, "
        f"seen without augmentation. Of those with most of them, the faces that are nearest by cosine."
    )
    return Groups("Prototypes and their nearest faces", note, rows)


def pros_costs(
    model: PrefAceConfig, views: StillConfig, config: ProsObjectiveConfig, mixed: bool, instances: int
) -> Costs:
    """What a step costs: the self-distillation, and a second softmax of every tube for the mean assignment."""
    costs = self_distillation_costs(model, views, mixed)
    tubes = views.num_global + views.num_small
    return replace(costs, clip_bytes=costs.clip_bytes + 4 * tubes * model.num_prototypes)
