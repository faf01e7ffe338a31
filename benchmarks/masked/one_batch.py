"""How fast a masked autoencoder learns one batch by heart, by its settings.

    OMP_NUM_THREADS=1 python benchmarks/masked/one_batch.py METHOD SET [KEY=VALUE...]

The first clips of the split train of SET (sets.py), always with the same windows and masks; settings as in learn.py,
schedules over max_steps included. Prints the error on hidden cubes beside that of each cube's mean color at every
logged step.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from learn import settings_of

from preface_hf.data.opening import open_mixture
from preface_hf.data.order import rows_in_order
from preface_hf.modeling import PrefAceVideoProcessor
from preface_hf.training.build import build_model, pixel_scale
from preface_hf.training.optimizer import begin_moments, build_optimizer, set_schedules


def main(method: str, data: str, *changes: str) -> None:
    arguments = settings_of(method, data, "unused", changes)
    parts, opened, clips = arguments.parts(), open_mixture(data), arguments.batch_size
    torch.manual_seed(arguments.seed)
    student = build_model(arguments, parts)
    objective = parts.method.objective(
        student, parts.objective, views=parts.views, num_instances=opened.num_rows, max_steps=arguments.max_steps,
        seed=arguments.seed, pixels=pixel_scale(PrefAceVideoProcessor()),
    )  # fmt: skip
    rows = opened.reader().rows(list(rows_in_order(opened.counts, np.arange(clips))))
    batch = parts.method.stream(opened, parts.views, clips, arguments.seed).collate([(0, row) for row in rows])  # type: ignore[attr-defined]
    optimizer = build_optimizer(student, arguments.learning_rate, arguments.layer_decay, arguments.adam_beta2)
    begin_moments(optimizer)
    started = time.process_time()
    for step in range(arguments.max_steps):
        rate = set_schedules(optimizer, arguments, step, clips)["learning_rate"]
        objective.watching = (step + 1) % arguments.logging_steps == 0 or not step
        output = objective(batch, step)
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), arguments.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step(step, rate)
        if objective.watching:
            error, mean = (float(output.logs[name]) for name in ("loss_reconstruction", "mean_color_error"))
            print(
                f"step {step + 1}: {error:.4f}, mean color {mean:.4f}, CPU {time.process_time() - started:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
