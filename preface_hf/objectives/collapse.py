"""What self-distillation logs, and what shows that a student or its teacher has stopped telling clips apart.

Nothing here touches the loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch.nn.functional import normalize

from preface_hf.modeling import PrefAceConfig
from preface_hf.objectives.base import Terms


WATCHED_CLIPS = 256  # at most: the cost of the effective rank grows with the cube of them


@torch.no_grad()
def watch(features: torch.Tensor, best: torch.Tensor, num_prototypes: int) -> dict[str, torch.Tensor]:
    """Scalars for the log, of a global batch.

    Args:
        features: pooled features of the student, a row a clip, `(clips, hidden_size)`.
        best: the prototype that each of the teacher's targets is highest at, `(targets,)`.
        num_prototypes: how many there are.
    """
    features = features[:WATCHED_CLIPS].float().nan_to_num(0, 0, 0)  # a loss that is not finite is reported elsewhere
    used = torch.zeros(num_prototypes, device=best.device).index_fill_(0, best, 1.0)
    return {
        "feature_std": feature_std(features),
        "effective_rank": effective_rank(features),
        "used_prototypes": used.sum(),
    }


def feature_std(features: torch.Tensor) -> torch.Tensor:
    """Mean over the width of the deviation of unit vectors `(rows, width)`: `1 / sqrt(width)` where they point all
    ways, 0 where all point one way (Chen and He 2021, SimSiam)."""
    return normalize(features, dim=-1).std(dim=0, correction=0).mean()


def effective_rank(features: torch.Tensor) -> torch.Tensor:
    """RankMe (Garrido et al. 2023): exp of the entropy of the singular values of `(rows, width)`, 1 to the smaller of
    the two."""
    tall = features.cpu().double()  # squared singular values would lose too much in float32
    # The smaller of the two Gram matrices: its eigenvalues are the squares of the singular values.
    tall = tall if tall.shape[0] >= tall.shape[1] else tall.T
    values = torch.linalg.eigvalsh(tall.T @ tall).clamp(min=0).sqrt()
    shares = values / values.sum().clamp(min=1e-12)
    return torch.special.entr(shares).sum().exp().float().to(features.device)


def warning(logs: Mapping[str, float | torch.Tensor], num_prototypes: int) -> str | None:
    """One sentence if the logged `loss_distill` is within 1 % of ln K, what an output that is the same for every clip
    gives; `None` otherwise. A run may start there: say it once the warm-up is over."""
    # A student that gives the same flat output for every clip has a cross-entropy of ln K, whatever its targets.
    top = math.log(num_prototypes)
    loss, entropy = (float(logs.get(name, math.nan)) for name in ("loss_distill", "teacher_entropy"))
    if not math.isclose(loss, top, rel_tol=0, abs_tol=0.01 * top):
        return None
    # The loss alone does not tell whose fault it is; the entropy of the targets does (0.95: chosen).
    if entropy > 0.95 * top:
        cure = "the teacher's targets are flat: lower objective.teacher_temperature or set objective.targets: sinkhorn"
    else:
        cure = "the student does not follow its targets: raise learning_rate or lower views.brightness and contrast"
    return f"loss_distill={loss:.3f} is within 1 % of ln {num_prototypes} = {top:.3f}, as after a collapse; {cure}."


def assignment_warning(logs: Mapping[str, float | torch.Tensor], num_prototypes: int) -> str | None:
    """One sentence if the logged `mean_entropy` says that a few prototypes have taken all clips, or if targets tell
    nothing about their clip; `None` otherwise."""
    top = math.log(num_prototypes)
    mean, information = (float(logs.get(name, math.nan)) for name in ("mean_entropy", "teacher_information"))
    if mean < 0.5 * top:  # chosen
        return (
            f"mean_entropy={mean:.3f} is below half of ln {num_prototypes} = {top:.3f}: a few prototypes have taken "
            f"all clips; raise objective.mean_entropy_weight or set objective.targets: sinkhorn."
        )
    if information < 0.01 * top:
        return (
            f"teacher_information={information:.3f} is below 1 % of ln {num_prototypes} = {top:.3f}, as after a "
            f"collapse: every clip is assigned alike; lower objective.sharpening or raise learning_rate."
        )
    return None


GROUPS: dict[str, list[tuple[str, ...]]] = {
    "Losses": [
        ("loss",), ("loss_distill",), ("loss_global", "loss_local", "loss_landmark"), ("loss_id",), ("loss_koleo",),
        ("loss_mean_entropy",),
    ],
    "Collapse watch": [
        ("mean_entropy",),
        ("teacher_entropy",), ("kl",), ("teacher_information",), ("feature_std",), ("effective_rank",),
        ("used_prototypes",),
    ],
}  # fmt: skip
NOTES = {
    "loss": "what is trained on: the weighted sum of the terms",
    "loss_distill": "distillation, over all pairs of views; at ln K after a collapse",
    "loss_global": "distillation by family of the student's view",
    "loss_id": "instance learning with the FaceFeat Cache",
    "loss_koleo": "KoLeo: how near the nearest features of a batch are",
    "loss_mean_entropy": "ln K less mean_entropy",
    "mean_entropy": "of the student's mean assignment, in nats: ln K where all prototypes are used alike",
    "teacher_entropy": "of a target, in nats: near ln K the targets are flat",
    "kl": "student from teacher, in nats: near 0 there is nothing to learn",
    "teacher_information": "what a target tells about its clip, in nats: 0 after a collapse",
    "feature_std": "of unit features: 1/√width where they point all ways, 0 where all point one way",
    "effective_rank": "RankMe of the student's features: 1 after a collapse",
    "used_prototypes": "prototypes that are some target's highest, in a global batch",
}


def self_distillation_terms(model: PrefAceConfig) -> Terms:
    """How a report shows what is logged, for a model of so many prototypes and such width."""
    top = "ln K", math.log(model.num_prototypes)
    spread = "1/√width", 1 / math.sqrt(model.hidden_size)
    levels = dict.fromkeys(("loss_distill", "mean_entropy", "teacher_entropy"), top)
    return Terms(GROUPS, NOTES, {**levels, "feature_std": spread})
