"""Probe frozen encoders on people that were not in pretraining, and append the scores that OUT lacks to it.

    python benchmarks/learning/probes.py SETS OUT.jsonl LIKE ENCODER...

SETS is the folder that sets.sh made. LIKE is a checkpoint: all encoders see clips of its length and speed. An
ENCODER is `pixels`, `random:SEED` (LIKE before training), `NAME=CHECKPOINT`, or `mean` (the mean shape, of the tasks
that find points). One line an encoder, with every task's score by the probes of `PROBES`, and the ends of its interval
over people. What was said of each row lies beside OUT, in the folder OUT.said, for compare.py.
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
from tasks import LESS_IS_BETTER, TASKS, Columns, people

from preface_hf.features.encoders import load_encoder, random_encoder
from preface_hf.metrics.intervals import bootstrap


# Each probe's way to read features, and the features.
PROBES = {
    "kNN": ("kNN", "pooled"),
    "linear": ("linear", "pooled"),
    "layers": ("linear", "layers"),
    "grid": ("linear", "grid"),
    "attentive": ("attentive", "tokens"),
}
Scores = dict[str, float]
DRAWS = 200  # of people, for an interval
FEWEST = 10  # people that an interval needs: of three speakers it says nothing


def score(features_of: Callable[[Rows], Any], rows: dict[str, Rows], known: dict[str, float], said: Path) -> Scores:
    """Scores of the tasks of which none is known, named `task/probe`; pixels have no layers and no grid of tokens."""
    scores: Scores = {}
    for data, part in rows.items():
        wanted = [name for name, task in TASKS.items() if task.data == data and not any_of(name, known)]
        features = features_of(part) if wanted else {}
        for task in wanted:
            for name, (probe, kind) in PROBES.items():
                if kind in features:
                    found = TASKS[task].say(features[kind], part.columns, probe)
                    scores |= judged(task, name, found, part.columns, said)
    return scores


def judged(task: str, probe: str, said: np.ndarray, columns: Columns, folder: Path) -> Scores:
    """Score and interval of what was said of rows, which is kept for compare.py."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{task}-{probe}.npy", said.astype(np.float32))
    found = spread(task, columns, partial(TASKS[task].score, said, columns))
    return {f"{task}/{probe}{end}": 100 * value for end, value in found.items()}


def spread(task: str, columns: Columns, score: Callable[[np.ndarray], float]) -> Scores:
    """A score of rows by their weights, and the ends of its 95 % interval over people, where there are enough."""
    groups = people(task, columns)
    found = {"": score(np.ones(len(groups)))}
    if groups.max() + 1 >= FEWEST:
        found["/low"], found["/high"] = bootstrap(lambda weights: {"": score(weights)}, groups, DRAWS)[""]
    return found


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


def mean_shape(rows: dict[str, Rows], said: Path) -> Scores:
    """What tells nothing of a face, where points are found: a linear probe of it says their mean."""
    scores: Scores = {}
    for task in LESS_IS_BETTER:
        part = rows[TASKS[task].data]
        found = TASKS[task].say(np.zeros((len(part.ends), 1)), part.columns, "linear")
        scores |= judged(task, "linear", found, part.columns, said)
    return scores


def main(sets: str, out: str, like: str, *names: str) -> None:
    model = load_encoder(like)
    rows = {name: read_rows(Path(sets) / name, splits, *model.clip) for name, splits in SPLITS.items()}
    for name in names:
        title, _, path = name.partition("=")
        known, said = read_scores(Path(out)).get(title, {}), Path(f"{out}.said", title)
        if title == "mean":
            found = {} if known else mean_shape(rows, said)
        elif title == "pixels":
            found = score(pixel_features, rows, known, said)
        else:
            encoder = load_encoder(path) if path else random_encoder(model, int(title.removeprefix("random:")))
            found = score(partial(encoder_features, encoder), rows, known, said)
        if found:
            line = {"encoder": title, **{key: round(value, 2) for key, value in found.items()}}
            with open(out, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
