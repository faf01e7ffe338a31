"""AdamW over the student's weights, in groups that share weight decay and learning rate."""

from __future__ import annotations

import re

import torch

from preface_hf.modeling import PrefAceForPreTraining
from preface_hf.objectives.schedules import cosine, warmup_cosine
from preface_hf.training.arguments import PretrainArguments


def build_optimizer(
    model: PrefAceForPreTraining, learning_rate: float, layer_decay: float = 1.0, beta2: float = 0.999
) -> torch.optim.Optimizer:
    """AdamW; biases and norms do not decay. A group's `factor` is what its learning rate is multiplied by."""
    # By (decays, factor). A weight of one axis is a bias or a norm's, and does not decay (DINO).
    groups: dict[tuple[bool, float], list[torch.nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        factor = layer_decay ** layers_above(name, model.config.num_hidden_layers)
        groups.setdefault((weight.ndim > 1, factor), []).append(weight)
    return torch.optim.AdamW(
        [{"params": weights, "decays": decays, "factor": factor} for (decays, factor), weights in groups.items()],
        lr=learning_rate,
        betas=(0.9, beta2),
    )


def begin_moments(optimizer: torch.optim.Optimizer) -> None:
    """Give every weight its moments, zero, before the first step."""
    # AdamW makes moments at a weight's first gradient. Weights that rest at first would have none, and FSDP2's
    # checkpoints of that time could not be loaded. A step at rate 0 makes them and changes no weight: decay is
    # multiplied by the rate too.
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
        for weight in group["params"]:
            weight.grad = torch.zeros_like(weight)
    optimizer.step()
    optimizer.zero_grad()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    # The count behind Adam's bias correction: the step just made was none.
    for moments in optimizer.state.values():
        moments["step"].zero_()


def set_schedules(
    optimizer: torch.optim.Optimizer, arguments: PretrainArguments, step: int, global_batch: int
) -> dict[str, float]:
    """Set learning rate and weight decay of the coming step; returns them for the log."""
    # DINO's linear rule: the peak is given for a global batch of 256. The final rate is not scaled.
    total, scale = arguments.max_steps, global_batch / 256
    warmup = min(arguments.warmup_steps, total)
    rate = warmup_cosine(step, warmup, total, arguments.learning_rate * scale, arguments.final_learning_rate)
    decay = cosine(step, total, arguments.weight_decay, arguments.final_weight_decay)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
        group["weight_decay"] = decay if group["decays"] else 0.0
    return {"learning_rate": rate, "weight_decay": decay}


def layers_above(name: str, num_layers: int) -> int:
    """How many steps the weight `name` lies below the heads: 0 for heads and last norm, 1 for the last layer,
    `num_layers + 1` for the embeddings (BEiT's and VideoMAE's count)."""
    if name.startswith("preface.embeddings."):
        return num_layers + 1
    layer = re.match(r"preface\.layers\.(\d+)\.", name)
    return num_layers - int(layer[1]) if layer else 0
