"""The facts of a pretraining run: `config.yaml`, `metrics.jsonl`, and what its last checkpoint says."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from preface_hf.hub.facts import Facts, Score, count_weights, read_config
from preface_hf.hub.figures import pretraining_figures
from preface_hf.hub.sources import hub_name, read_source
from preface_hf.training.arguments import with_new_names
from preface_hf.training.checkpoint import latest_checkpoint, read_training, saved_settings
from preface_hf.training.log import read_metrics


PROBE = "probe_knn"


def pretraining_facts(folder: Path) -> Facts:
    """Read the facts of a run. Raises `ValueError` where it has not ended, or is damaged."""
    settings, final = with_new_names(saved_settings(folder)), folder / "final"
    if not final.is_dir():
        raise ValueError(
            f"{str(folder)!r} has no final/ yet: let the run end (--resume), or push a checkpoint of it by its path."
        )
    rows = read_metrics(folder / "metrics.jsonl")
    return Facts(
        "pretraining", folder.resolve().name, read_config(final), count_weights(final), str(settings["method"]),
        base=str(settings.get("init_from") or ""),
        sources=tuple(map(read_source, sets_of(settings))),
        budget=budget(settings, rows, processes(folder)),
        scores=probe_scores(settings, rows),
        gap="the run measured no groups." if rows else "nothing was measured.",
        command=f"preface-hf pretrain --config config.yaml --data {' --data '.join(named(sets_of(settings)))} "
        "--output-dir run/",
        settings=without_places(settings),
        figures=pretraining_figures(settings, rows),
    )  # fmt: skip


def sets_of(settings: dict[str, Any]) -> list[str]:
    """The sets of a run."""
    data = settings.get("data") or {}
    return [data] if isinstance(data, str) else list(data)


def named(sets: list[str]) -> list[str]:
    """Sets by name, without their place on a disk."""
    return [hub_name(path) or Path(path).name for path in sets]


def without_places(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that may be shown: no folder of anybody's disk is among them."""
    shown = {name: value for name, value in settings.items() if name not in ("output_dir", "init_from")}
    data = settings.get("data")
    if isinstance(data, dict):
        shown["data"] = dict(zip(named(list(data)), data.values(), strict=True))
    else:
        shown["data"] = ", ".join(named(sets_of(settings)))
    if shown.get("probe_data"):
        shown["probe_data"] = named([shown["probe_data"]])[0]
    return shown


def processes(folder: Path) -> int | None:
    """How many trained together; `None` where no checkpoint tells."""
    checkpoint = latest_checkpoint(folder / "checkpoints")
    return read_training(checkpoint)["processes"] if checkpoint else None


def budget(settings: dict[str, Any], rows: list[dict[str, float]], processes: int | None) -> dict[str, str]:
    """What the run cost, as far as its files tell."""
    if not rows:
        return {"steps": f"{settings['max_steps']:,} asked for; none is logged"}
    steps, batch = int(rows[-1]["step"]), settings["batch_size"] * settings["gradient_accumulation_steps"]
    shown = {"steps": f"{steps:,}", "epochs": f"{rows[-1]['epoch']:.2f}"}
    if processes:
        shown |= {"batch": f"{batch * processes:,} clips", "clips seen": f"{steps * batch * processes:,}"}
        shown["processes"] = str(processes)
    else:
        shown["batch"] = f"{batch:,} clips a process; the number of processes is not stated"
    seconds = [row["seconds"] for row in rows if "seconds" in row]
    if seconds:
        shown["seconds a step"] = f"{median(seconds):.4g} (median of the {len(seconds):,} steps in the log)"
    return shown | {"last loss": f"{rows[-1]['loss']:.4g}", "precision": str(settings.get("mixed_precision"))}


def probe_scores(settings: dict[str, Any], rows: list[dict[str, float]]) -> tuple[Score, ...]:
    """The probe of the last step, which is of the weights in final/; none where the run did not probe."""
    if not rows or PROBE not in rows[-1] or rows[-1]["step"] != settings["max_steps"]:
        return ()
    command = (
        f"the run itself, every {settings['probe_steps']} steps (5 nearest neighbors of `{settings['probe_label']}`"
    )
    chance = rows[-1].get("probe_chance")
    command += f"; chance {chance:.3f})" if chance is not None else ")"
    source = read_source(settings["probe_data"])
    return (Score("probe_knn", rows[-1][PROBE], None, None, 0, settings.get("probe_split") or "", source, command),)
