"""The facts of runs of `finetune --task sync` and `--task lipsync`; scores stand beside what they are to beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from preface_hf.hub.facts import Facts, Score, count_weights, read_config
from preface_hf.hub.figures import finetuning_figures
from preface_hf.hub.finetuning import budget, command
from preface_hf.hub.sources import read_source
from preface_hf.tasks.results.reading import Run
from preface_hf.tasks.results.tables import score_rows


# The part of `scores-test.json` that is of the model, by task.
SCORED = {"sync": "expert", "lipsync": "generator"}
GAP = "not measured: mouths and voices are scored over all people of the test split."


def speech_facts(run: Run) -> Facts:
    """The facts of a sync expert or a lip-sync generator. Raises `ValueError` where the run has no model."""
    about, folder = told(run.about), run.folder
    run = Run(folder, about, run.log, run.scores, run.predictions)
    source = read_source(str(run.about["data"]))
    base = str(about["model"])
    found = (run.scores.get("test") or {}).get(SCORED[about["task"]]) or {}
    how = command(about)
    return Facts(
        "fine-tuning", folder.resolve().name, read_config(folder), count_weights(folder),
        protocol=str(about["protocol"]), base="" if base == "scratch" else base, sources=(source,),
        budget=budget(run),
        scores=tuple(
            Score(row.metric, row.value, row.low, row.high, row.items, "test", source, how)
            for row in score_rows(found, about)
        ),
        gap=GAP, command=how, figures=finetuning_figures(run),
        settings={name: value for name, value in about["settings"].items() if name != "output_dir"},
    )  # fmt: skip


def told(about: dict[str, Any]) -> dict[str, Any]:
    """What a run wrote, in the words of other fine-tunings, and without the expert's place on a disk."""
    settings = dict(about.get("settings") or {})
    if settings.get("expert"):
        settings["expert"] = Path(settings["expert"]).name
    filled = {"name": about["task"], "columns": [], "trainable": about.get("parameters"), "protocol": "full"}
    return {**filled, **{name: value for name, value in about.items() if value is not None}, "settings": settings}
