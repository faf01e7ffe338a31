"""A fine-tuned model on any labeled set: scores with intervals, beside those of the papers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preface_hf.data.opening import open_prepared
from preface_hf.features.labeled import VALIDATION, splits_of
from preface_hf.files import replacing
from preface_hf.tasks.base import as_it_is, own_task
from preface_hf.tasks.folder import SETTINGS, prepared
from preface_hf.tasks.lipsync.scores import evaluate_generator
from preface_hf.tasks.predicting.predictor import load_predictor
from preface_hf.tasks.registry import TASKS, task_of
from preface_hf.tasks.results.reading import read_json
from preface_hf.tasks.results.report import write_task_report
from preface_hf.tasks.results.scoring import by_row, run_model, write_scores
from preface_hf.tasks.results.tables import write_tables
from preface_hf.tasks.rows.clips import LabeledClips
from preface_hf.tasks.rows.labels import LabelSpace, found_columns
from preface_hf.tasks.rows.splits import read_part
from preface_hf.tasks.sync.evaluate import evaluate_expert


def evaluate(
    run: str | Path,
    data: str | Path,
    *,
    task: str | None = None,
    label: Sequence[str] = (),
    split: str | None = None,
    group: str | None = None,
    output_dir: str | Path | None = None,
    windows: int = 2,
    samples: int = 1000,
    batch_size: int = 16,
) -> Path:
    """Score a fine-tuned model on a split of a labeled set; returns the folder of the results.

    Args:
        run: of [`preface_hf.tasks.finetune.finetune`].
        data: a prepared set, or videos as `finetune` takes them.
        task: a set of the papers whose words are read, and whose rows stand beside ours; else as in `run`.
        label: columns, where they are not called as in `run`.
        split: `test` if the set has one, else one for validation, else `train`.
        group: column of people; found by its name without.
        output_dir: `RUN/evaluation-SET` without.
        windows: clips a video; their predictions are averaged.
        samples: draws for the 95 % intervals.
        batch_size: clips a forward pass.

    Raises `ValueError` for a class that the model does not know, and a set without labels.
    """
    settings = read_run(run)
    kind = task_of(task) if task else None
    folder = Path(output_dir) if output_dir else Path(run) / f"evaluation-{Path(data).name}"
    if settings["task"] == "sync":
        return evaluate_expert(run, data, kind or TASKS["sync"], folder, split=split, group=group, samples=samples)
    if settings["task"] == "lipsync":
        return evaluate_generator(run, data, kind or TASKS["lipsync"], folder, split=split, group=group)
    predictor = load_predictor(run)
    model, processor = predictor.model, predictor.processor
    path = prepared(data, kind or own(settings), folder, model.config.image_size)
    split = split or next(
        (name for name in ("test", *VALIDATION) if name in splits_of(path)), "train"
    )  # fmt: skip
    labels = labels_of(settings, kind, path, split, label)
    part = read_part(path, split, labels, group)
    is_points = labels.kind == "landmarks"
    clips = LabeledClips(path, split, labels, processor, windows=1 if is_points else windows, rows=part.rows)
    clips.left_out = part.left_out
    folder.mkdir(parents=True, exist_ok=True)
    write_scores(
        folder, "test", clips, by_row(labels, *run_model(model, clips, batch_size), clips.windows),
        list(part.groups), samples, threshold_of(run),
    )  # fmt: skip
    told = settings | {
        "name": kind.name if kind else settings["name"], "data": str(path), "splits": {split: part.told()},
        "model": str(run), "columns": list(labels.columns),
    }  # fmt: skip
    with replacing(folder / SETTINGS) as file:
        file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    write_tables(folder)
    write_task_report(folder)
    return folder


def read_run(run: str | Path) -> dict[str, Any]:
    """`finetune.json` of a run; `ValueError` where there is none."""
    file = Path(run) / SETTINGS
    if not file.is_file():
        raise ValueError(f"{str(run)!r} holds no fine-tuned run (no {SETTINGS}): give the --output-dir of `finetune`.")
    settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return settings


def threshold_of(run: str | Path) -> float:
    """From which probability on a run takes a video for fake, as its validation part had it."""
    file = Path(run) / "scores-validation.json"
    return float(read_json(file).get("threshold", 0.5)) if file.is_file() else 0.5


def own(settings: dict[str, Any]) -> Any:
    """The task of a run."""
    if settings["name"]:
        return TASKS[settings["name"]]
    return task_of(None, settings["columns"] or ["landmarks"])


def labels_of(settings: dict[str, Any], task: Any, data: str, split: str, columns: Sequence[str]) -> LabelSpace:
    """The labels of a set as the model of a run knows them."""
    if not task and tuple(columns) == ("landmarks",):
        task = own_task(columns)
    asked, task = task, task or own(settings)
    known = open_prepared(data, split).rows.column_names or []
    # A run's own parts, such as a compression, are not those of every other set.
    where = {column: value for column, value in task.where.items() if asked or column in known}
    if (task.kind == "landmarks") != (settings["task"] == "landmarks"):
        raise ValueError(
            f"the run's model was trained for {settings['task']}, and {task.name or task.kind} asks for {task.kind}: "
            f"give a run of that."
        )
    if task.kind == "landmarks":
        return LabelSpace((), (), "landmarks", where=where)
    read = task.read
    if read is as_it_is and settings["task"] == "deepfake":
        read = TASKS["deepfake"].read
    wanted = tuple(columns) or task.columns
    if len(wanted) > 1 and task.names and set(task.names) != set(settings["names"]):
        missing = sorted(set(task.names) ^ set(settings["names"]))[:3]
        raise ValueError(
            f"the model's outputs are not those of the task {task.name!r} ({', '.join(missing)} differ): evaluate "
            f"it on the labels that it was trained on."
        )
    found = found_columns(data, split, wanted)
    return LabelSpace(found, tuple(settings["names"]), settings["task"], read, where)
