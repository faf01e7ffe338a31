"""DINO on tubes: the teacher's targets are centered and sharpened. PrefAce builds on it (`preface.py`).

Shapes at line ends as in `distillation.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from preface_hf.data.streams import Batch
from preface_hf.data.views import TubeConfig
from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining
from preface_hf.objectives.base import with_new_names
from preface_hf.objectives.collapse import warning
from preface_hf.objectives.costs import Costs, self_distillation_costs
from preface_hf.objectives.distillation import DistillationObjective, StudentViews, Term, check_choice
from preface_hf.objectives.losses import koleo_loss, sinkhorn_distribution, teacher_distribution
from preface_hf.objectives.schedules import linear


TARGETS = ("centering", "sinkhorn")


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


class DinoObjective(DistillationObjective):
    """DINO's loss on tubes. For the arguments see [`TeacherObjective`]."""

    moving: tuple[str, ...] = ("student", "logits", "teacher")

    def __init__(self, student: PrefAceForPreTraining, config: Any, **settings: Any):
        super().__init__(student, config, **settings)
        self.center = torch.zeros(student.config.num_prototypes, device=self.device)  # (K,)

    def other_terms(self, views: StudentViews, batch: Batch, step: int) -> Iterable[Term]:
        """KoLeo of the student's pooled global tubes."""
        if self.config.koleo_weight:
            pooled = views.pooled.unflatten(0, (len(batch.instance_ids), -1)).transpose(0, 1)  # (G, B, D)
            yield "loss_koleo", self.config.koleo_weight, koleo_loss(pooled).sum()

    def targets(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        """Centered, or scaled until every prototype is used about as much."""
        # DINO saw collapses above 0.06, unless a run starts below it and rises in its first epochs.
        temperature = linear(
            step,
            round(self.config.teacher_temperature_warmup * self.max_steps),
            self.config.teacher_temperature_start,
            self.config.teacher_temperature,
        )
        if self.config.targets == "sinkhorn":
            return sinkhorn_distribution(logits, temperature, self.gather)
        return teacher_distribution(logits, self.center, temperature)

    def remember(self, output: Any, logits: torch.Tensor, clips: int) -> dict[str, torch.Tensor]:
        """The center needs the mean logits only: K numbers of a process are gathered, not G * B * K."""
        return {**super().remember(output, logits, clips), "logits": logits.mean(dim=(0, 1))[None]}  # (1, K)

    def move(self, rows: dict[str, torch.Tensor], pace: float) -> None:
        """The center, then the rest."""
        self.center.lerp_(rows["logits"].mean(dim=0), pace)
        super().move(rows, pace)

    def state_dict(self) -> dict[str, Any]:
        """Teacher and center."""
        return {**super().state_dict(), "center": self.center}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        state = with_new_names(state)
        super().load_state_dict(state)
        self.center.copy_(state["center"])

    def warning(self, logs: Mapping[str, float]) -> str | None:
        """See [`preface_hf.objectives.collapse.warning`]."""
        return warning(logs, len(self.center))


def dino_costs(
    model: PrefAceConfig, views: TubeConfig, config: DinoObjectiveConfig, mixed: bool, instances: int
) -> Costs:
    """What a step costs."""
    return self_distillation_costs(model, views, mixed)
