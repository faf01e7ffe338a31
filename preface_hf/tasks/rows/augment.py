"""What training changes of a clip that the processor has made: its place, size, turn, colors; and clips mixed."""

from __future__ import annotations

import math
from typing import Any

import torch


# Not stated by the papers, chosen: mild, as crops are aligned already.
DEGREES, SCALE, SHIFT = 10.0, 0.12, 0.06  # shift in sizes of the clip
CONTRAST, BRIGHTNESS = 0.2, 0.2


def draw_motion(size: int, strength: float = 1.0) -> torch.Tensor:
    """A similarity `(2, 3)` from pixels of a clip of `size` x `size` to pixels, drawn from torch's generator."""
    turn, grow, right, down = (strength * (2 * torch.rand(4) - 1)).tolist()
    angle, scale = math.radians(DEGREES) * turn, math.exp(SCALE * grow)
    cos, sin, middle = scale * math.cos(angle), scale * math.sin(angle), (size - 1) / 2
    # About the middle of the clip, then moved.
    x = middle - cos * middle + sin * middle + SHIFT * size * right
    y = middle - sin * middle - cos * middle + SHIFT * size * down
    return torch.tensor([[cos, -sin, x], [sin, cos, y]])


def move_points(points: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    """Points `(..., 2)` moved by [`draw_motion`]."""
    return points @ motion[:, :2].T + motion[:, 2]


def move_pixels(pixels: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    """Clips `(T, C, S, S)` moved alike; beyond their edge is its last pixel."""
    size = pixels.shape[-1]
    whole = torch.cat([motion, torch.tensor([[0.0, 0.0, 1.0]])])
    # torch asks where each pixel comes from, in shares of the clip from -1 to 1 between its outer edges.
    unit = torch.tensor([[2 / size, 0, 1 / size - 1], [0, 2 / size, 1 / size - 1], [0, 0, 1]])
    back = (unit @ whole.inverse() @ unit.inverse())[:2]
    grid = torch.nn.functional.affine_grid(back[None].expand(len(pixels), -1, -1), list(pixels.shape), False)
    return torch.nn.functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def change_colors(pixels: torch.Tensor, strength: float = 1.0) -> torch.Tensor:
    """Contrast and brightness of a clip, one draw for all its frames."""
    contrast, brightness = (strength * (2 * torch.rand(2) - 1)).tolist()
    middle = pixels.mean()
    return (pixels - middle) * (1 + CONTRAST * contrast) + middle + BRIGHTNESS * brightness * pixels.std()


def mix(batch: dict[str, Any], alpha: float) -> dict[str, Any]:
    """Each clip of a batch mixed with another, and its labels `(B, K)` alike (mixup, Zhang et al. 2018)."""
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    other = torch.randperm(len(batch["labels"]))
    return {name: share * values + (1 - share) * values[other] for name, values in batch.items()}
