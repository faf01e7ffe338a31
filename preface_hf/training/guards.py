"""What stops a run before it learns from numbers that are none."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from accelerate import Accelerator

from preface_hf.data.streams import Batch
from preface_hf.objectives.base import ObjectiveOutput


def check_finite(accelerator: Accelerator, output: ObjectiveOutput, batch: Batch, step: int, folder: Path) -> None:
    """`FloatingPointError` on every process if the loss of one is NaN or infinite, before optimizer step `step`.

    Instances and terms of the batch, a row per process, are left in `folder/nonfinite-step-….json`. It costs one
    gather of a number.
    """
    losses = accelerator.gather(output.loss.detach().reshape(1))  # (processes,)
    if losses.isfinite().all():
        return
    ids = accelerator.gather(batch.instance_ids[None])  # (processes, B)
    terms = accelerator.gather(torch.stack([value.detach().float() for value in output.logs.values()])[None])
    file = folder / f"nonfinite-step-{step}.json"
    if accelerator.is_main_process:
        found = {"step": step, "losses": losses.tolist(), "instance_ids": ids.tolist()}
        found["terms"] = [dict(zip(output.logs, row, strict=True)) for row in terms.tolist()]
        file.write_text(json.dumps(found, indent=1), encoding="utf-8")
    # All processes come here, as all have all losses: one that ended alone would leave the others waiting.
    bad = ~losses.isfinite()
    raise FloatingPointError(
        f"the loss is {float(losses[bad][0])} at step {step} on instances {ids[bad].flatten().tolist()} ({file} tells "
        f"more): lower learning_rate or leave mixed precision; {folder / 'checkpoints'} is whole."
    )


def window_warning(batch: int, window: int, rows: int) -> str | None:
    """One sentence if the rows that are shuffled together are fewer than a global `batch` and fewer than the set has:
    row groups are then read again and again, by every process. `None` otherwise."""
    if window >= min(batch, rows):
        return None
    return (
        f"shuffle_window={window} is smaller than a global batch of {batch} clips, so that row groups are read "
        f"several times: set it to {8 * batch} or so."
    )
