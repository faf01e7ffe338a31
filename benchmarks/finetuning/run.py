"""Fine-tune with few and with many labels, from pretrained and from random weights; resumes where it was stopped.

    OMP_NUM_THREADS=1 python benchmarks/finetuning/run.py MODEL SETS OUT TASK [SEEDS]

SETS is the folder that benchmarks/learning/sets.sh made, TASK `ck-plus`, `fer2013`, `celeba`, `helen`, or `points`
(the 68 points that `prepare` found in CelebA); a run lies in OUT/TASK-START-PROTOCOL-LABELS-SEED. Rates and decays
were chosen by search.py. The table: table.py OUT
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch

from preface_hf.features.encoders import load_encoder
from preface_hf.progress import Level, set_level
from preface_hf.tasks.finetune import finetune
from preface_hf.tasks.fit.linear import chances, choose_linear
from preface_hf.tasks.registry import task_of
from preface_hf.tasks.results.comparing import PIXELS
from preface_hf.tasks.results.scoring import PRIMARY, score
from preface_hf.tasks.rows.clips import LabeledClips
from preface_hf.tasks.rows.labels import label_space
from preface_hf.tasks.rows.splits import fewer, parts_of, read_share


SETS = {"ck-plus": "ckplus", "celeba": "celeba", "fer2013": "fer", "points": "celeba", "helen": "helen"}
WANTED = {"points": {"label": "landmarks", "group": "identity"}}  # else the task of that name
STEPS = {("celeba", "100%"): 600}  # else 200
ROWS = {
    ("pretrained", "full"): {"learning_rate": 3e-3, "layer_decay": 0.3},
    ("random", "full"): {"learning_rate": 3e-3, "layer_decay": 0.75},
    ("pretrained", "lora"): {"learning_rate": 2e-3, "lora_rank": 1},
    ("pretrained", "linear"): {},
    ("random", "linear"): {},
    ("pixels", "linear"): {},
}
POINT_ROWS = {  # mirroring alone: a short run learns more of less (benchmarks/results/2026-11-26-finetuning.md)
    (start, "full"): {"learning_rate": 3e-3, "layer_decay": 0.75, "augmentation": 0.0}
    for start in ("pretrained", "random")
}
SIDE = 16


def main(model: str, sets: str, out: str, task: str, seeds: str = "0,1,2", shares: str = "1%,10%,100%") -> None:
    set_level(Level.QUIET)
    data = Path(sets) / SETS[task]
    for seed in map(int, seeds.split(",")):
        for labels in shares.split(","):
            for (start, protocol), settings in (POINT_ROWS if task in ("points", "helen") else ROWS).items():
                folder = Path(out) / f"{task}-{start}-{protocol}-{labels.rstrip('%')}-{seed}"
                if (folder / "scores-test.json").exists():
                    continue
                shutil.rmtree(folder, ignore_errors=True)
                if start == "pixels":
                    fit_pixels(model, data, folder, task, labels, seed)
                else:
                    finetune(
                        model, data, protocol=protocol, labels=labels, seed=seed, output_dir=str(folder),
                        random_weights=start == "random", max_steps=STEPS.get((task, labels), 200),
                        batch_size=64, pooling="grid", **WANTED.get(task, {"task": task}), **settings,
                    )  # fmt: skip
                    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
                print(folder.name, (folder / "scores-test.json").read_text()[:160].replace("\n", ""), flush=True)


def fit_pixels(model: str, data: Path, folder: Path, task: str, labels: str, seed: int) -> None:
    """The linear protocol on 16x16 pixels of the same rows; `few_labels_figure` reads the folder as it does others."""
    space = label_space(data, task_of(task, ()))
    processor = load_encoder(model).processor
    found = {}
    for name, part in parts_of(data, space, seed=seed).items():
        part = part if name == "test" else fewer(part, read_share(labels), None, seed)
        clips = LabeledClips(data, part.split, space, processor, rows=part.rows)
        frames = torch.stack([clips[place]["pixel_values_videos"].mean(0) for place in range(len(clips))])
        small = torch.nn.functional.interpolate(frames, size=(SIDE, SIDE), mode="bilinear", antialias=True)
        truths = np.stack([clips[place]["labels"].numpy() for place in range(len(clips))])
        found[name] = small.flatten(1).double().numpy(), truths, part.groups
    kind = PRIMARY[space.kind][0]

    def scorer(guesses: np.ndarray) -> float:
        return float(score(space, guesses, found["validation"][1])[kind])

    pixels, truths, _ = found["train"]
    weight, bias, _ = choose_linear(pixels, truths, len(space.names), found["validation"][0], scorer)
    pixels, truths, groups = found["test"]
    guesses = chances(torch.from_numpy(pixels) @ weight.T + bias, space.is_multilabel)
    folder.mkdir(parents=True)
    scores = score(space, guesses, truths, list(map(str, groups)), samples=1000)
    about = {
        "task": space.kind, "name": task, "columns": list(space.columns), "names": list(space.names),
        "protocol": "linear", "model": PIXELS, "data": str(data), "labels": labels, "shots": None, "seed": seed,
        "splits": {}, "settings": {},
    }  # fmt: skip
    for name, written in (("finetune", about), ("scores-test", scores)):
        (folder / f"{name}.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
