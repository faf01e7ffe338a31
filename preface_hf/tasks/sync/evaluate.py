"""The scores of a sync expert, after `finetune` and by `evaluate`: beside what it has to beat."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from preface_hf.features.labeled import VALIDATION, splits_of
from preface_hf.files import replacing
from preface_hf.modeling import PrefAceSyncModel
from preface_hf.tasks.base import Task
from preface_hf.tasks.folder import SETTINGS, prepared
from preface_hf.tasks.rows.labels import LabelSpace
from preface_hf.tasks.rows.splits import Part, read_part
from preface_hf.tasks.sync.clips import SyncClips
from preface_hf.tasks.sync.experts import load_expert
from preface_hf.tasks.sync.measure import measure
from preface_hf.tasks.sync.offsets import LOUDNESS, Offsets, correlated, find_offsets
from preface_hf.tasks.sync.talks import Talk


POINTS = LabelSpace((), (), "landmarks")  # what a row needs beside its sound
CROP_SIZE = 160  # of a set that is prepared on the way: its mouths have the pixels that the expert sees


def evaluate_expert(
    run: str | Path, data: str | Path, task: Task, folder: Path, *, split: str | None = None,
    group: str | None = None, samples: int = 1000,
) -> Path:  # fmt: skip
    """Score an expert on a split of a set with sound, as [`preface_hf.tasks.evaluate.evaluate`]."""
    expert = load_expert(run)
    path = prepared(data, task, folder, CROP_SIZE)
    split = split or next((name for name in ("test", *VALIDATION) if name in splits_of(path)), "train")
    part = read_part(path, split, POINTS, group)
    clips = SyncClips(path, split, expert.config.num_frames, expert.config.image_size, rows=part.rows)
    folder.mkdir(parents=True, exist_ok=True)
    told = {"task": "sync", "model": str(run), "data": path, "splits": {split: part.told()}}
    write_json(folder / SETTINGS, told)
    write_scores(folder, expert, clips, people(clips, part), samples, str(run))
    return folder


def people(clips: SyncClips, part: Part) -> list[str]:
    """Who is seen in each row of `clips`."""
    known = dict(zip(part.rows.tolist(), part.groups.tolist(), strict=True))
    return [known[row] for row in dict.fromkeys(clips.rows)]


def write_scores(
    folder: Path, expert: PrefAceSyncModel, clips: SyncClips, groups: list[str], samples: int, name: str = ""
) -> None:
    """`scores-test.json`: the expert, the same with random weights, and mouth opening against loudness; a line a row
    of the expert's in `predictions-test.jsonl`."""
    torch.manual_seed(0)
    random = PrefAceSyncModel(expert.config).to(expert.device)
    compared: dict[str, tuple[Callable[[Talk], Offsets], str]] = {
        "expert": (partial(find_offsets, expert), name or str(folder)),
        "random_weights": (partial(find_offsets, random), "random weights"),
        "loudness": (correlated, LOUDNESS),
    }
    scores: dict[str, Any] = {}
    lines: list[dict[str, Any]] = []
    for kind, (compare, whose) in compared.items():
        scores[kind], found = measure(compare, clips, whose, groups, samples)
        lines = lines or found
    write_json(folder / "scores-test.json", scores)
    with replacing(folder / "predictions-test.jsonl") as file:
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def write_json(file: Path, content: Any) -> None:
    """Whole or not at all."""
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
