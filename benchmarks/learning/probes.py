"""Probe frozen encoders on people that were not in pretraining, and append the scores that OUT lacks to it.

    python benchmarks/learning/probes.py SETS OUT.jsonl LIKE ENCODER...

SETS is the folder that sets.sh made. LIKE is a checkpoint: all encoders see clips of its length and speed. An
ENCODER is `pixels`, `random:SEED` (LIKE before training), `NAME=CHECKPOINT`, or `mean` (the mean shape, of the tasks
that find points). One line an encoder, with every task's score by the probes of `PROBES`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

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


def score(features_of: Callable[[Rows], Any], rows: dict[str, Rows], known: dict[str, float]) -> dict[str, float]:
    """Scores of the tasks of which none is known, named `task/probe`; pixels have no layers and no grid of tokens."""
    scores = {}
    for data, part in rows.items():
        wanted = {task: measure for task, (of, measure) in TASKS.items() if of == data and not any_of(task, known)}
        features = features_of(part) if wanted else {}
        for task, measure in wanted.items():
            for name, (probe, kind) in PROBES.items():
                if kind in features:
                    scores[f"{task}/{name}"] = measure(features[kind], part.columns, probe)
    return scores


def any_of(task: str, known: dict[str, float]) -> bool:
    """Whether a task has a score."""
    return any(key.startswith(f"{task}/") for key in known)


def read_scores(file: Path) -> dict[str, dict[str, float]]:
    """The scores of every encoder; of one that was probed again the last."""
    scores: dict[str, dict[str, float]] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        values = json.loads(line)
        scores.setdefault(values.pop("encoder"), {}).update(values)
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
        title, _, path = name.partition("=")
        known = read_scores(Path(out)).get(title, {})
        if title == "mean":
            found = {} if known else mean_shape(rows)
        elif title == "pixels":
            found = score(pixel_features, rows, known)
        else:
            encoder = load_encoder(path) if path else random_encoder(model, int(title.removeprefix("random:")))
            found = score(partial(encoder_features, encoder), rows, known)
        if found:
            line = {"encoder": title, **{key: round(value, 2) for key, value in found.items()}}
            with open(out, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
