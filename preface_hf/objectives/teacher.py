"""The teacher: a copy of the student that follows it slowly and is never trained."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from preface_hf.modeling import PrefAceForPreTraining, PrefAceForPreTrainingOutput
from preface_hf.objectives.base import whole


class Teacher(nn.Module):
    """Exponential moving average of a student of the same architecture (PrefAce: "dual encoder").

    It is whole on every process, also where FSDP2 shards the student: it costs 4 bytes a weight there (1.3 GB for
    vit-l with its heads), and as many are gathered after every step, weight by weight. So it is the same bits on all,
    its heads can be called one by one, and a checkpoint holds it as it is.
    """

    def __init__(self, student: PrefAceForPreTraining):
        super().__init__()
        self.model: PrefAceForPreTraining = deepcopy(student).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Teacher:
        """A teacher stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, pixel_values_videos: torch.Tensor) -> PrefAceForPreTrainingOutput:
        """Clips `(batch, frames, channels, height, width)` to what the student returns of them, without gradients."""
        return self.model(pixel_values_videos)

    @torch.no_grad()
    def follow(self, student: nn.Module, momentum: float) -> None:
        """weights <- momentum * weights + (1 - momentum) * student's, parameter by parameter."""
        for ours, theirs in zip(self.model.parameters(), student.parameters(), strict=True):
            ours.lerp_(whole(theirs.detach()), 1 - momentum)


def move_statistics(model: PrefAceForPreTraining, features: torch.Tensor, pace: float) -> None:
    """Move a model's running mean and deviation towards those of `features` `(rows, D)`; a single row has none."""
    model.feature_mean.lerp_(features.mean(dim=0), pace)
    if len(features) > 1:
        model.feature_std.lerp_(features.std(dim=0), pace)
