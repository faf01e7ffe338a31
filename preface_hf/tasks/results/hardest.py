"""The rows of a set that a model gets most wrong, and their faces."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from preface_hf.data.opening import open_prepared
from preface_hf.data.row_groups import COLUMNS, open_parquet
from preface_hf.data.streams import read_frames


Key = tuple[str, int]  # source and track of a row
HARDEST, WORST_ATTRIBUTES = 20, 3  # shown on a page
LEAST = 1e-12  # a probability of 0 would lose without end


@dataclass(frozen=True)
class Hard:
    """A row of the set: how wrong it is (`loss`; of landmarks the error), its truth and its guess in words."""

    key: Key
    group: str
    truth: str
    guess: str
    score: float
    loss: float


def hardest(predictions: list[dict[str, Any]], count: int = HARDEST) -> list[Hard]:
    """The `count` rows of the highest loss, the worst first; rows without a label or a number are none of them."""
    found = [judged(row) for row in predictions]
    known = [row for row in found if row is not None and np.isfinite(row.loss)]
    return sorted(known, key=lambda row: (-row.loss, row.key))[:count]


def judged(row: dict[str, Any]) -> Hard | None:
    """The loss of a row; `None` where nobody labeled it."""
    key, group = (str(row["source"]), int(row.get("track") or 0)), str(row.get("group") or "")
    if "error" in row:
        return None if row["error"] is None else Hard(key, group, "", "", row["error"], row["error"])
    label, scores = row.get("label"), row["scores"]
    if label is None:
        return None
    if isinstance(label, dict):
        return judged_attributes(key, group, label, scores)
    guess = max(scores, key=lambda name: scores[name])
    loss = -log(max(scores.get(str(label), 0.0), LEAST))
    return Hard(key, group, str(label), guess, scores[guess], loss)


def judged_attributes(key: Key, group: str, label: dict[str, Any], scores: dict[str, float]) -> Hard | None:
    """The mean loss over the labeled attributes, and the worst of them by name; the score is of the very worst."""
    losses = {
        name: -log(max(scores[name] if value else 1 - scores[name], LEAST))
        for name, value in label.items()
        if value is not None
    }
    if not losses:
        return None
    worst = sorted(losses, key=lambda name: -losses[name])[:WORST_ATTRIBUTES]
    truth = ", ".join(f"{name} {'yes' if label[name] else 'no'}" for name in worst)
    guess = ", ".join(f"{name} {scores[name]:.2f}" for name in worst)
    return Hard(key, group, truth, guess, scores[worst[0]], sum(losses.values()) / len(losses))


def first_frames(data: str | Path, split: str, keys: Collection[Key]) -> dict[Key, Image.Image]:
    """The first frame of the rows of a prepared set that are asked for; no other video is read.

    Raises `ValueError` where the set has none of them.
    """
    wanted, found = set(keys), {}
    for file, number in open_prepared(data, split).groups:
        with open_parquet(file) as opened:
            names = opened.read_row_group(number, columns=["source", "track"]).to_pylist()
            places = [place for place, row in enumerate(names) if (row["source"], row["track"]) in wanted]
            if not places:
                continue
            rows = opened.read_row_group(number, columns=COLUMNS).take(places).to_pylist()
        for place, row in zip(places, rows, strict=True):
            frame = read_frames(row, np.array([0]))[0][0]
            found[names[place]["source"], names[place]["track"]] = Image.fromarray(frame)
    if wanted and not found:
        raise ValueError(f"{str(data)!r} has none of the rows in {split!r}: give the set that the run was tested on.")
    return found
