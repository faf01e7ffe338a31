"""MARLIN's critic: it learns to tell cubes of pixels from reconstructions, and the student to mislead it.

Shapes at line ends: B clips, M hidden tokens of a clip, P values of a cube.
"""

from __future__ import annotations

import torch
from torch import nn


BETAS = (0.9, 0.95)  # of its AdamW, without weight decay (MARLIN's code)


class Critic(nn.Module):
    """Tells cubes from reconstructions: two layers (MARLIN)."""

    def __init__(self, cube: int, inner: int):
        super().__init__()
        self.hidden = nn.Linear(cube, inner)
        self.score = nn.Linear(inner, 1)

    def forward(self, cube: torch.Tensor) -> torch.Tensor:
        """Cubes `(..., P)` to scores `(..., 1)`: high where they look real."""
        return self.score(nn.functional.leaky_relu(self.hidden(cube)))


def critic_loss(critic: Critic, predicted: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """E[D(reconstruction)] - E[D(cube)], of both `(B, M, P)` (MARLIN)."""
    return critic(predicted).mean() - critic(targets).mean()


def gradient_penalty(critic: Critic, predicted: torch.Tensor, targets: torch.Tensor, share: float) -> torch.Tensor:
    """WGAN-GP: how far the critic's slope is from 1, between the two, at `share` of the way to the targets."""
    between = (share * targets + (1 - share) * predicted).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.norm(dim=-1) - 1).square().mean()
