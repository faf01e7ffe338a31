"""Clips as cubes of pixels, a cube a token: what a masked autoencoder predicts, and the way back.

Shapes at line ends: B clips, T frames, C channels, S pixels, N tokens of a clip, M of them hidden, P values of a cube.
"""

from __future__ import annotations

from typing import Any

import torch

from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining
from preface_hf.objectives.base import by_channel


def cubes(pixels: torch.Tensor, model: PrefAceConfig) -> torch.Tensor:
    """The cubes of all tokens, `(B, N, P)`, of clips `(B, T, C, S, S)`; values ordered as in
    [`PrefAceForPreTrainingOutput`]."""
    tubelet, patch = model.tubelet_size, model.patch_size
    time, height, width = model.grid_of(tuple(pixels.shape))
    cut = pixels.reshape(len(pixels), time, tubelet, -1, height, patch, width, patch)  # (B, t, pt, C, h, ph, w, pw)
    return cut.permute(0, 1, 4, 6, 2, 5, 7, 3).reshape(len(pixels), time * height * width, -1)


def normalized(cube: torch.Tensor, channels: int) -> torch.Tensor:
    """Cubes `(..., P)`, of which each channel has mean 0 and deviation 1 (VideoMAE)."""
    values = cube.unflatten(-1, (-1, channels))
    deviation = values.var(dim=-2, keepdim=True).sqrt() + 1e-6
    return ((values - values.mean(dim=-2, keepdim=True)) / deviation).flatten(-2)


def mean_color_error(targets: torch.Tensor, channels: int) -> torch.Tensor:
    """The mean squared error of who predicts the mean color of each cube `(..., P)`, and nothing of what it shows."""
    return targets.unflatten(-1, (-1, channels)).var(dim=-2, correction=0).mean()


@torch.no_grad()
def reconstruct(
    model: PrefAceForPreTraining, config: Any, clip: torch.Tensor, mask: torch.Tensor, pixels: tuple[Any, Any]
) -> dict[str, torch.Tensor]:
    """A clip as it was, as the student sees it, and with what it makes of the rest: uint8 `(T, 3, S, S)` by name.

    Args:
        clip: uint8 `(T, 3, S, S)`.
        mask: `(N,)`, True where hidden.
        pixels: mean and standard deviation of each channel, for values in [0, 1].
    """
    values = clip.float()[None] / 255
    mean, deviation = by_channel(pixels)
    predicted = model((values - mean) / deviation, mask[None]).reconstruction[0].float()  # (M, P)
    whole = cubes(values, model.config)[0]  # (N, P)
    if config.targets == "normalized":
        # Only the texture is predicted then: mean and deviation are those of the cube itself.
        hidden = whole[mask].unflatten(-1, (-1, model.config.num_channels))
        texture = predicted.unflatten(-1, (-1, model.config.num_channels))
        predicted = (texture * hidden.std(dim=1, keepdim=True) + hidden.mean(dim=1, keepdim=True)).flatten(1)
    panels = {"original": whole, "seen": whole.clone(), "reconstructed": whole.clone()}
    panels["seen"][mask] = 0.5
    panels["reconstructed"][mask] = predicted
    return {name: to_clip(panel, clip.shape, model.config) for name, panel in panels.items()}


def to_clip(cube: torch.Tensor, shape: torch.Size, model: PrefAceConfig) -> torch.Tensor:
    """Cubes `(N, P)` in [0, 1] as a clip of `shape` `(T, C, S, S)`, uint8: the way back from [`cubes`]."""
    time, height, width = model.grid_of((1, *shape))
    cut = cube.reshape(time, height, width, model.tubelet_size, model.patch_size, model.patch_size, shape[1])
    values = cut.permute(0, 3, 6, 1, 4, 2, 5).reshape(shape)  # (t, pt, C, h, ph, w, pw)
    return (values.clamp(0, 1) * 255).round().to(torch.uint8)
