"""Checkpoints of a pretraining run: written whole or not at all, each one a folder that `AutoModel` opens."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from safetensors import SafetensorError

from preface_hf.files import discard, put_in_place, start_building, unfinished, writing_tensors
from preface_hf.objectives.base import Objective, saved_state, write_state
from preface_hf.training.arguments import with_new_names
from preface_hf.training.pickles import check_pickles, without_pickled_state
from preface_hf.training.sharding import gather_model


if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel

    from preface_hf.data.opening import Mixture
    from preface_hf.modeling import PrefAceForPreTraining, PrefAceVideoProcessor

# Settings that may change when a run is resumed: they do not touch what is computed. (`data` may: `named_sets`.)
FREE = {
    "output_dir",
    "save_steps",
    "keep_checkpoints",
    "keep_best",
    "logging_steps",
    "probe_steps",
    "probe_data",
    "probe_label",
    "probe_group",
    "probe_split",
    "num_workers",
    "gradient_checkpointing",
    "publish",
}


# Settings that came after runs that are to be resumed, and what those runs had.
LATER = {"adam_beta2": 0.999}


def save_published(folder: Path, model: PreTrainedModel, processor: PrefAceVideoProcessor) -> None:
    """Model, its code and its processor: what goes to the Hub."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def checkpoint_name(step: int) -> str:
    """The name of the folder of a checkpoint after `step` steps."""
    return f"step-{step:08d}"


def save_checkpoint(
    accelerator: Accelerator,
    folder: Path,
    step: int,
    model: PrefAceForPreTraining,
    objective: Objective,
    processor: PrefAceVideoProcessor,
    data: dict[str, Any],
    keep: int | None = None,
    keep_best: bool = False,
    probe_knn: float | None = None,
    published: dict[str, PreTrainedModel] | None = None,
) -> Path:
    """Write `folder/step-…` after `step` optimizer steps: model, optimizer, objective and generators of every process.

    `data` says what the run is trained on ([`describe`]).
    Opened by `AutoModel` as it stands, a checkpoint is the student; models that are `published` in its place are saved
    too, each in a folder of its name.
    Then all but the last `keep` checkpoints, and with `keep_best` that of the highest `probe_knn`, are deleted. Raises
    `OSError` where the disk is full.
    """
    # Written beside and moved into place when it is whole: a kill leaves nothing that `--resume` would take.
    target = folder / checkpoint_name(step)
    building = unfinished(target)
    if accelerator.is_main_process:
        for leftover in folder.glob(".building-*"):  # of a run that was killed while it wrote another step
            shutil.rmtree(leftover, ignore_errors=True)
        start_building(building)
    accelerator.wait_for_everyone()
    with writing_tensors(target):
        # Every process calls these: each saves generators of its own, and gives its shards.
        accelerator.save_state(str(building))
        model, learned = gather_model(accelerator, model), objective.state_dict()
        if accelerator.is_main_process:
            write_state(building, learned)
            objective.save_files(building)
            save_published(building, model, processor)
            for name, other in (published or {}).items():
                save_published(building / name, other, processor)
            state = {
                "step": step,
                "processes": accelerator.num_processes,
                "sharded": accelerator.is_fsdp2,
                "probe_knn": probe_knn,
                "data": data,
            }
            (building / "training.json").write_text(json.dumps(state), encoding="utf-8")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        put_in_place(building, target)
        # Older ones go only now, when the new one is in place: there is always a whole one.
        best = best_checkpoint(folder) if keep_best else None
        for old in list_checkpoints(folder)[: -keep if keep else 0]:
            if old != best:
                discard(old)
    accelerator.wait_for_everyone()
    return target


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, by step."""
    found = [path for path in folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name)]
    return sorted(found, key=lambda path: int(path.name[5:]))


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step, or `None`."""
    return next(reversed(list_checkpoints(folder)), None)


def best_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest `probe_knn`, of equals the first; `None` where none was probed. Each holds its own
    number, so that no kill leaves a name without its checkpoint."""
    probed = [path for path in list_checkpoints(folder) if probe_of(path) is not None]
    return max(probed, key=probe_of, default=None)  # type: ignore[arg-type]


def probe_of(checkpoint: Path) -> float | None:
    """The `probe_knn` of a checkpoint, if its step was probed."""
    return read_training(checkpoint).get("probe_knn")


def read_training(checkpoint: Path) -> dict[str, Any]:
    """What `training.json` of a checkpoint says; raises `ValueError` where it is not as it was written."""
    file = checkpoint / "training.json"
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(file, str(error)) from error
    if not isinstance(state, dict):
        raise damaged(file, "it holds no names")
    for name in ("step", "processes"):
        number = state.get(name)
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise damaged(file, f"{name} is {number!r}, no whole number above 0")
    # A folder is found by its name: the step inside must be the same, or a run would go on at another.
    if re.fullmatch(r"step-\d+", checkpoint.name) and state["step"] != int(checkpoint.name[5:]):
        raise damaged(file, f"step is {state['step']}, the folder's name says {int(checkpoint.name[5:])}")
    probe = state.get("probe_knn")
    if probe is not None and (isinstance(probe, bool) or not isinstance(probe, int | float) or not 0 <= probe <= 1):
        raise damaged(file, f"probe_knn is {probe!r}, no share from 0 to 1")
    return state


def damaged(file: Path, reason: str) -> ValueError:
    """What to tell a user of a checkpoint whose `training.json` is not as it was written."""
    return ValueError(f"{file} is damaged ({reason}): delete {file.parent}, and --resume takes the one before it.")


def check_resumable(checkpoint: Path, data: dict[str, Any], steps: int) -> None:
    """`ValueError` where a run on this `data` ([`describe`]) of so many `steps` cannot go on from `checkpoint`."""
    state = read_training(checkpoint)
    if state["step"] > steps:
        raise ValueError(f"{checkpoint} is beyond max_steps={steps}: give the run's own max_steps, or a larger one.")
    before = state.get("data")  # not written by releases up to 0.2
    if isinstance(before, dict) and before != data:
        raise ValueError(
            f"{checkpoint} was trained on other data ({in_words(before)}; given: {in_words(data)}): give the set that "
            "it was trained on, or choose another --output-dir."
        )


def describe(data: Mixture) -> dict[str, Any]:
    """What a run is trained on, wherever it lies: its rows, and a digest of their sources."""
    return {"rows": data.num_rows, "sources": data.digest}


def in_words(data: dict[str, Any]) -> str:
    """What [`describe`] gave."""
    return f"{data.get('rows')} rows, sources {data.get('sources')}"


def load_checkpoint(accelerator: Accelerator, checkpoint: Path, objective: Objective) -> int:
    """Restore a run from `checkpoint`; returns the number of optimizer steps that it has behind it.

    Raises `ValueError` where it is damaged, holds code, or is of another kind of run.
    """
    state = read_training(checkpoint)
    # Generators and the rows of a batch are those of a process: with another number neither would continue.
    if state["processes"] != accelerator.num_processes:
        raise ValueError(
            f"{checkpoint} was written by {state['processes']} processes and cannot be resumed by "
            f"{accelerator.num_processes}: start as many again."
        )
    if state.get("sharded", False) != accelerator.is_fsdp2:
        was, now = ("FSDP2", "DDP") if state.get("sharded") else ("DDP", "FSDP2")
        raise ValueError(f"{checkpoint} was written under {was} and cannot be resumed under {now}: launch as before.")
    check_pickles(checkpoint)
    learned = saved_state(checkpoint)
    if learned is None:
        raise ValueError(f"{checkpoint} holds no training state: delete it, and --resume takes the one before it.")
    try:
        with without_pickled_state(checkpoint) as folder:
            accelerator.load_state(str(folder))
        objective.load_state_dict(learned)
        objective.load_files(checkpoint)
    # Names and shapes that do not fit, and files of weights that are cut.
    except (KeyError, RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise ValueError(
            f"{checkpoint} does not fit this run ({' '.join(str(error).split())[:300]}): resume it on the data "
            "and with the settings that it was trained with."
        ) from error
    return state["step"]


def saved_settings(folder: Path) -> dict[str, Any]:
    """The settings in the `config.yaml` of a run's folder; raises `ValueError` where it has none that can be read."""
    file = folder / "config.yaml"
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    # The parser of YAML recurses, and takes some words for dates that do not exist.
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{file} cannot be read ({reason}): give a folder that `pretrain` wrote.") from error
    if not isinstance(settings, dict) or not settings or not all(isinstance(name, str) for name in settings):
        raise ValueError(f"{file} is empty or cut, it holds no settings: write it anew, or choose another folder.")
    return settings


def claim_folder(folder: Path, resolved: dict[str, Any], data: dict[str, Any], resume: bool) -> None:
    """Make `folder` this run's: write `config.yaml`, or check that the run it holds is this one, on the same `data`
    ([`describe`]).

    Raises `ValueError` if it holds anything else; nothing in it is touched then.
    """
    config = folder / "config.yaml"
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"the output folder {str(folder)!r} is a file: choose another --output-dir.")
    if config.exists():
        if not resume:
            raise ValueError(f"{str(folder)!r} holds a run already: add --resume, or choose another --output-dir.")
        differences = list(compare(with_new_names(saved_settings(folder)), resolved))
        if differences:
            raise ValueError(
                f"the run in {str(folder)!r} cannot be resumed with other settings ({'; '.join(differences)}): "
                f"give the same ones, or choose another --output-dir."
            )
        if checkpoint := latest_checkpoint(folder / "checkpoints"):
            check_resumable(checkpoint, data, resolved["max_steps"])
    elif folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{str(folder)!r} is not empty and holds no run: choose another --output-dir.")
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(resolved, sort_keys=False), encoding="utf-8")


def compare(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Settings that differ, as `name: before -> now`."""
    differences = []
    # `FREE` names settings of the top level; those within a section always count.
    for key in sorted({*before, *now} - (FREE if not prefix else set())):
        old, new = before.get(key, LATER.get(key) if not prefix else None), now.get(key)
        if not prefix and key == "data":
            old, new = named_sets(old), named_sets(new)
        if isinstance(old, dict) and isinstance(new, dict):
            differences += compare(old, new, f"{prefix}{key}.")
        elif old != new:
            differences.append(f"{prefix}{key}: {old} -> {new}")
    return differences


def named_sets(data: str | dict[str, float] | None) -> str:
    """Several sets with their weights, in the order that numbers their rows; nothing for a single set."""
    # A single set may have moved since: its path is not compared. Of several, path and order say whose rows come
    # first.
    return " ".join(f"{path}={float(weight)}" for path, weight in data.items()) if isinstance(data, dict) else ""
