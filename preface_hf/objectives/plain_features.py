"""What an objective needs before its first step: statistics of the features, and a FaceFeat Cache that is filled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch

from preface_hf.modeling import PrefAceForPreTraining


if TYPE_CHECKING:
    from preface_hf.objectives.preface import PrefAceObjective

ROWS_AT_ONCE = 16_384  # while the cache is filled: 70 MB of vit-l's features on each process


@torch.no_grad()
def start(
    objective: PrefAceObjective, clips: Iterable[tuple[torch.Tensor, torch.Tensor]], statistics: bool = True
) -> None:
    """On clips un-augmented (ids `(b,)`, uint8 `(b, T, 3, S, S)`): fill the FaceFeat Cache by the teacher (PrefAce);
    and before that, unless they are there already (`statistics` false), set the statistics that the heads are
    standardized by, from the first 16,384 clips."""
    teacher = objective.teacher.model
    for ids, features in plain_features(objective, clips):
        if statistics:
            for model in (teacher, objective.heads):
                move_statistics(model, features, 1.0)
        facefeat = teacher.facefeat_projector(teacher.standardize(features)).float()
        if statistics:
            objective.facefeat_center.copy_(facefeat.mean(dim=0))
        if not objective.config.instance_weight:
            return
        objective.cache.fill(ids, facefeat - objective.facefeat_center)
        statistics = False


def plain_features(
    objective: PrefAceObjective, clips: Iterable[tuple[torch.Tensor, torch.Tensor]]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Ids `(n,)` and the teacher's pooled features `(n, D)` of the clips of all processes, some at a time; every
    process has as many batches, of as many clips."""
    device = objective.center.device
    processes = len(objective.gather(torch.zeros(1, device=device)))
    rows: list[tuple[torch.Tensor, torch.Tensor]] = []
    for ids, tubes in clips:
        pixels = objective.pixel_values(tubes.to(device))
        rows.append((ids.to(device), objective.teacher.model.preface(pixels).pooler_output.float()))
        if sum(len(ids) for ids, _ in rows) * processes >= ROWS_AT_ONCE:
            yield join(objective, rows)
            rows = []
    if rows:
        yield join(objective, rows)


def join(
    objective: PrefAceObjective, rows: list[tuple[torch.Tensor, torch.Tensor]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and features of all processes, each id once: processes may repeat rows."""
    ids, features = (objective.gather(torch.cat(parts).contiguous()) for parts in zip(*rows, strict=True))
    once = list({instance: row for row, instance in enumerate(ids.tolist())}.values())
    return ids[once], features[once]


def move_statistics(model: PrefAceForPreTraining, features: torch.Tensor, pace: float) -> None:
    """Move a model's running mean and deviation towards those of `features` `(rows, D)`; a single row has none."""
    model.feature_mean.lerp_(features.mean(dim=0), pace)
    if len(features) > 1:
        model.feature_std.lerp_(features.std(dim=0), pace)
