"""The teacher: a copy of the student that follows it slowly and is never trained."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from preface_hf.modeling import PrefAceForPreTraining, PrefAceForPreTrainingOutput


class Teacher(nn.Module):
    """Exponential moving average of a student of the same architecture (PrefAce: "dual encoder")."""

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
        torch._foreach_lerp_(
            list(self.model.parameters()), [weight.detach() for weight in student.parameters()], 1 - momentum
        )
