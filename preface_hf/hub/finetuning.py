"""The facts of a fine-tuning run: `finetune.json`, its log, its scores, and predictions by group."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from preface_hf.hub.facts import CONFIG, Facts, Score, Source, count_weights, read_config
from preface_hf.hub.figures import finetuning_figures
from preface_hf.hub.groups import METRICS, group_scores
from preface_hf.hub.sources import hub_name, read_source
from preface_hf.tasks.arguments import FinetuneArguments
from preface_hf.tasks.results.reading import Run, read_lines, read_run
from preface_hf.tasks.results.tables import score_rows
from preface_hf.training.checkpoint import saved_settings


# Settings that change no number, or that have no flag.
UNTOLD = {"output_dir", "num_workers", "samples", "weight_decay"}


def finetuning_facts(folder: Path) -> Facts:
    """Read the facts of a run. Raises `ValueError` where it has no model, or is damaged."""
    run = read_run(folder)
    about = run.about
    if not (folder / CONFIG).is_file():
        raise ValueError(
            f"{str(folder)!r} holds scores and no model (protocol {about.get('protocol')}): push the --output-dir of "
            "a `finetune` that trained one and has ended."
        )
    source, base = read_source(str(about["data"])), str(about["model"])
    groups, gap = group_scores(str(about["data"]), about["task"], run.predictions.get("test") or [])
    return Facts(
        "fine-tuning", folder.resolve().name, read_config(folder), count_weights(folder), pretraining_method(base),
        protocol=str(about["protocol"]), base=base,
        sources=(source,),
        budget=budget(run),
        scores=tuple(scores_of(run, source)),
        groups=groups, group_metric=METRICS[about["task"]], gap=gap,
        command=command(about),
        settings={name: value for name, value in (about.get("settings") or {}).items() if name != "output_dir"},
        figures=finetuning_figures(run),
    )  # fmt: skip


def pretraining_method(base: str) -> str:
    """The method of the checkpoint that was fine-tuned, where its run lies beside it."""
    # `run/final` or `run/checkpoints/step-…`; a converted checkpoint lies in no run.
    for folder in list(Path(base).parents)[:2]:
        if (folder / "config.yaml").is_file():
            return str(saved_settings(folder).get("method") or "")
    return ""


def budget(run: Run) -> dict[str, str]:
    """What the run cost, as far as its files tell."""
    about, settings = run.about, run.about.get("settings") or {}
    shown = {name: f"{part['rows']:,} rows of {part['people']:,} people, {part.get('left_out') or 0:,} left out"
             for name, part in about["splits"].items() if part}  # fmt: skip
    logged = read_lines(run.folder / "log.jsonl")
    if logged:
        steps = int(logged[-1]["step"])
        epochs = max(row.get("epoch", 0) for row in logged)
        shown |= {"steps": f"{steps:,}", "epochs": f"{epochs:.2f}"}
        if settings.get("batch_size"):
            shown |= {
                "batch": f"{settings['batch_size']:,} clips",
                "clips seen": f"{steps * settings['batch_size']:,}",
            }
    for row in logged:
        if "train_runtime" in row:
            shown["seconds"] = f"{row['train_runtime']:.1f}"
    if about.get("parameters"):
        shown["trained parameters"] = f"{about.get('trainable') or 0:,} of {about['parameters']:,}"
    return shown | {"seed": str(about.get("seed"))}


def scores_of(run: Run, source: Source) -> Iterator[Score]:
    """The scores on the run's own test split, and those of `preface-hf evaluate` in its folder."""
    yield from one_table(run, source, command(run.about))
    for folder in sorted(run.folder.glob("evaluation-*")):
        if (folder / "finetune.json").is_file():
            found = read_run(folder)
            other = read_source(str(found.about["data"]))
            yield from one_table(found, other, f"preface-hf evaluate run/ --data {shlex.quote(other.name)}")


def one_table(run: Run, source: Source, command: str) -> Iterator[Score]:
    """The scores on `test`, the split that nothing was chosen by."""
    for row in score_rows(run.scores.get("test") or {}, run.about):
        yield Score(row.metric, row.value, row.low, row.high, row.items, "test", source, command)


def command(about: dict[str, Any]) -> str:
    """The command of a run: its settings that are no defaults, and no places on a disk."""
    known = {field.name: field.default for field in dataclasses.fields(FinetuneArguments)}
    model, data = (hub_name(str(about[name])) or Path(str(about[name])).name for name in ("model", "data"))
    words = ["preface-hf", "finetune", model, "--data", data]
    if about.get("name"):
        words += ["--task", about["name"]]
    else:
        words += [word for column in about["columns"] or ["landmarks"] for word in ("--label", str(column))]
    for name, value in (about.get("settings") or {}).items():
        if name in UNTOLD or value is None or value is False or value == known.get(name):
            continue
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join([*words, "--output-dir", "run/"])
