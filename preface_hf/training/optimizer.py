"""AdamW over the student's weights, in groups that share a weight decay."""

from __future__ import annotations

import torch

from preface_hf.modeling import PrefAceForPreTraining


def build_optimizer(model: PrefAceForPreTraining, learning_rate: float) -> torch.optim.Optimizer:
    """AdamW; biases and norms do not decay."""
    groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
    for weight in model.parameters():
        groups[weight.ndim > 1].append(weight)
    return torch.optim.AdamW(
        [{"params": weights, "decays": decays} for decays, weights in groups.items()], lr=learning_rate
    )
