"""Probe frozen encoders on people that were not in pretraining, and append the scores to OUT.

    python benchmarks/learning/probes.py SETS OUT.jsonl LIKE ENCODER...

SETS is the folder that sets.sh made. LIKE is a checkpoint: all encoders see clips of its length and speed. An
ENCODER is `pixels`, `random:SEED` (LIKE before training), `NAME=CHECKPOINT`, or `mean` (the mean shape, of the tasks
that find points). One line an encoder, with every task's score by the probes of `PROBES`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from features import SPLITS, Rows, encoder_features, pixel_features, read_rows
from tasks import LESS_IS_BETTER, TASKS

from preface_hf.features.encoders import load_encoder, random_encoder


# Each probe's way to read features, and the features.
PROBES = {
    "kNN": ("kNN", "pooled"),
    "linear": ("linear", "pooled"),
    "layers": ("linear", "layers"),
    "grid": ("linear", "grid"),
    "attentive": ("attentive", "tokens"),
}


def score(features: dict[str, dict[str, np.ndarray]], rows: dict[str, Rows]) -> dict[str, float]:
    """Every task's scores, named `task/probe`; pixels have no layers and no grid of tokens."""
    scores = {}
    for task, (data, measure) in TASKS.items():
        for name, (probe, kind) in PROBES.items():
            if kind in features[data]:
                scores[f"{task}/{name}"] = measure(features[data][kind], rows[data].columns, probe)
    return scores


def mean_shape(rows: dict[str, Rows]) -> dict[str, float]:
    """What tells nothing of a face, where points are found: a linear probe of it says their mean."""
    scores = {}
    for task in LESS_IS_BETTER:
        data, measure = TASKS[task]
        scores[f"{task}/linear"] = measure(np.zeros((len(rows[data].ends), 1)), rows[data].columns, "linear")
    return scores


def main(sets: str, out: str, like: str, *names: str) -> None:
    model = load_encoder(like)
    rows = {name: read_rows(Path(sets) / name, splits, *model.clip) for name, splits in SPLITS.items()}
    for name in names:
        if name == "mean":
            append(out, name, mean_shape(rows))
            continue
        if name == "pixels":
            features = {data: pixel_features(part) for data, part in rows.items()}
        else:
            title, _, path = name.partition("=")
            encoder = load_encoder(path) if path else random_encoder(model, int(name.removeprefix("random:")))
            name, features = title, {data: encoder_features(encoder, part) for data, part in rows.items()}
        append(out, name, score(features, rows))


def append(out: str, name: str, scores: dict[str, float]) -> None:
    """Write a line to OUT."""
    line = {"encoder": name, **{key: round(value, 2) for key, value in scores.items()}}
    with open(out, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
