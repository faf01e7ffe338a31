"""What masked encoding saves: a step of MARLIN beside the same step with an encoder that sees every token.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/masked/step_cost.py [CONFIG] [TURNS]

CONFIG (marlin-b) says the size; a batch is one clip of noise. A step is forward pass, loss with critic, backward
pass, clipping, AdamW and the critic's step, in float32. `all visible`: the encoder is given all N tokens of the clip,
and the decoder what came of the tokens that the mask shows, so that it predicts the same hidden cubes: all but the
encoder is alike. Both take turns in one process, TURNS (7) times after one that does not count. Prints the CPU seconds
of each part (median, smallest to largest), which other work beside hardly changes while there is one thread, their
ratio, and that of the FLOPs of the plan (which a test holds to torch's own count).
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import torch
from torch import nn

from preface_hf.modeling.pretraining_preface import PrefAceForPreTraining, PrefAceForPreTrainingOutput
from preface_hf.objectives.costs import Tubes
from preface_hf.plan.flops import clip_flops, training_flops
from preface_hf.training.arguments import PretrainArguments, load_arguments
from preface_hf.training.optimizer import begin_moments, build_optimizer
from tests.noise import objective_and_batch


PARTS = ("forward", "backward", "clip and AdamW", "critic's step")


class AllVisible(nn.Module):
    """A student whose encoder sees the tokens, too, that its decoder predicts."""

    def __init__(self, model: PrefAceForPreTraining):
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor, masks: torch.Tensor) -> PrefAceForPreTrainingOutput:
        encoded = self.model.preface(pixels)
        shown = encoded.last_hidden_state[~masks].unflatten(0, (len(pixels), -1))
        decoded = self.model.decoder(shown, masks, self.model.config.grid_of(pixels.shape))
        return PrefAceForPreTrainingOutput(reconstruction=decoded, pooler_output=encoded.pooler_output)


def one_step(objective: Any, batch: Any, optimizer: torch.optim.Optimizer, max_norm: float) -> list[float]:
    """The CPU seconds of each part of a step."""
    times = [time.process_time()]
    loss = objective(batch, 0).loss
    times.append(time.process_time())
    loss.backward()
    times.append(time.process_time())
    nn.utils.clip_grad_norm_(objective.student.parameters(), max_norm)
    optimizer.step()
    optimizer.zero_grad()
    times.append(time.process_time())
    objective.after_step(0, 1e-6)
    times.append(time.process_time())
    return np.diff(times).tolist()


def flops(arguments: PretrainArguments) -> tuple[float, float, float]:
    """TFLOP of a step, masked and with all tokens visible, and their ratio."""
    parts = arguments.parts()
    masked = clip_flops(arguments, parts, 1)
    encoder = training_flops(parts.model, parts.views.num_frames, Tubes(1, parts.views.global_size))
    visible = {**masked, "student, masked clips": encoder}
    few, many = sum(masked.values()) / 1e12, sum(visible.values()) / 1e12
    return few, many, few / many


def written(seconds: np.ndarray) -> str:
    return f"{np.median(seconds):.3f} ({seconds.min():.3f} to {seconds.max():.3f})"


def main(config: str = "marlin-b", turns: str = "7") -> None:
    arguments = load_arguments(config, {"batch_size": 1, "mixed_precision": "no"})
    objective, batch = objective_and_batch(arguments, 1)
    objective.watching = False  # what only the log needs
    model: Any = objective.student
    optimizer = build_optimizer(model, 1e-6, 1.0, arguments.adam_beta2)
    begin_moments(optimizer)
    students = {"masked": model, "all visible": AllVisible(model)}
    seconds: dict[str, list[list[float]]] = {name: [] for name in students}
    for turn in range(int(turns) + 1):
        for name, student in students.items():
            objective.student = student
            taken = one_step(objective, batch, optimizer, arguments.max_grad_norm)
            seconds[name] += [taken] if turn else []
    shown = f"{int((~batch.masks).sum())} of {batch.masks.numel()} tokens"
    print(f"{config}, {tuple(batch.clips.shape)}, {shown} visible, {torch.get_num_threads()} threads", flush=True)
    print("| CPU seconds | step | " + " | ".join(PARTS) + " |")
    print("|---" * (len(PARTS) + 2) + "|")
    whole = {}
    for name, taken in seconds.items():
        table = np.array(taken)
        whole[name] = table.sum(axis=1)
        print(f"| {name} | {written(whole[name])} | " + " | ".join(map(written, table.T)) + " |")
    masked, visible = whole.values()
    print(
        f"ratio of the medians {np.median(masked) / np.median(visible):.3f}, of each turn {written(masked / visible)}"
    )
    print("TFLOP {:.3f} and {:.3f}, ratio {:.3f}".format(*flops(arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
