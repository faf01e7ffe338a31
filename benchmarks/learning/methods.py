"""Pretrain the five methods on the same real faces, at equal FLOPs of the encoder; goes on where it was stopped.

    OMP_NUM_THREADS=1 python benchmarks/learning/methods.py SETS OUT STEPS [SEED [METHOD...]]

SETS is the folder that sets.sh made; STEPS are those of PrefAce, the others make as many as cost as much, but see at
most MOST times as many clips: the encoder of a masked autoencoder sees 6 of 64 tokens of one tube, so its share would
be 35 times as many. Settings and backbone (48 pixels, patches of 6) are those of examples/compare_methods.py. A run
lies in OUT/METHOD-SEED; probes.py reads OUT/METHOD-SEED/final.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from train import mixture

from examples.compare_methods import plan_runs
from preface_hf.objectives.methods import METHODS
from preface_hf.training.loop import pretrain


MOST = 4


def main(sets: str, out: str, steps: str, seed: str = "0", *names: str) -> None:
    runs = plan_runs(list(METHODS), "preface", int(steps), mixture(sets), int(seed), Path(out))
    budget = runs["preface"].start + int(steps) * runs["preface"].step
    for name in names or METHODS:
        run, settings = runs[name], runs[name].settings
        most = MOST * int(steps) * runs["preface"].settings.batch_size // settings.batch_size
        steps_made = min(settings.max_steps, most)
        spent = (run.start + steps_made * run.step) / budget
        print(f"{name}: {steps_made:,} steps of {settings.batch_size}, {spent:.2f} of PrefAce's FLOPs", flush=True)
        settings = replace(
            settings, output_dir=str(Path(out) / f"{name}-{seed}"), max_steps=steps_made, mixed_precision="auto",
            warmup_steps=round(settings.warmup_steps * steps_made / settings.max_steps),
        )  # fmt: skip
        pretrain(settings, resume=Path(settings.output_dir).exists())


if __name__ == "__main__":
    main(*sys.argv[1:])
