"""Which rate, decay and pooling suit a task: what run.py takes, found on a seed of its own and never by the test part.

    OMP_NUM_THREADS=1 python benchmarks/finetuning/search.py MODEL SETS OUT TASK LABELS SETTING...

A SETTING is PROTOCOL:POOLING:RATE:DECAY, or that with :AUGMENTATION.
Each setting is run from pretrained and from random weights, for 200 steps, and judged by the whole validation part,
also where the labels to train on are few.
"""

import json
import shutil
import sys
from pathlib import Path

from run import SETS, WANTED

from preface_hf.progress import Level, set_level
from preface_hf.tasks import finetune as finetuning
from preface_hf.tasks.results.scoring import PRIMARY
from preface_hf.tasks.rows.splits import Part, fewer


SEED = 7


def main(model: str, sets: str, out: str, task: str, labels: str, *settings: str) -> None:
    set_level(Level.QUIET)
    for setting in settings:
        protocol, pooling, rate, decay, *strength = setting.split(":")
        for random in (False, True):
            folder = Path(out) / f"{task}-{labels}-{setting}-{'random' if random else 'pretrained'}"
            if (folder / "scores-validation.json").exists():
                continue
            shutil.rmtree(folder, ignore_errors=True)
            finetuning.fewer = train_alone()
            finetuning.finetune(
                model, Path(sets) / SETS[task], labels=labels, seed=SEED, protocol=protocol, pooling=pooling,
                learning_rate=float(rate), layer_decay=float(decay), augmentation=float((strength or [1])[0]),
                random_weights=random, output_dir=str(folder), max_steps=200, batch_size=64, samples=0,
                **WANTED.get(task, {"task": task}),
            )  # fmt: skip
            scores = json.loads((folder / "scores-validation.json").read_text(encoding="utf-8"))
            kind = json.loads((folder / "finetune.json").read_text(encoding="utf-8"))["task"]
            print(folder.name, f"{100 * scores[PRIMARY[kind][0]]:.1f}", flush=True)


def train_alone():
    """`fewer` that leaves the validation part, which comes second, whole."""
    seen = []

    def thinned(part: Part, *few) -> Part:
        seen.append(part)
        return fewer(part, *few) if len(seen) == 1 else part

    return thinned


if __name__ == "__main__":
    main(*sys.argv[1:])
