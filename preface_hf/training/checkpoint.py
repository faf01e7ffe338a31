"""Checkpoints of a pretraining run: written whole or not at all, each one a folder that `AutoModel` opens."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from preface_hf.files import discard, put_in_place, start_building, unfinished, writing_tensors
from preface_hf.training.arguments import with_new_names
from preface_hf.training.sharding import gather_model


if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel

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
    "num_workers",
    "gradient_checkpointing",
    "publish",
}


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
    processor: PrefAceVideoProcessor,
    keep: int | None = None,
    keep_best: bool = False,
    probe_knn: float | None = None,
    published: dict[str, PreTrainedModel] | None = None,
) -> Path:
    """Write `folder/step-…` after `step` optimizer steps: model, optimizer, objective and generators of every process.

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
        # Every process calls both: each saves generators of its own, and gives its shards.
        accelerator.save_state(str(building))
        model = gather_model(accelerator, model)
        if accelerator.is_main_process:
            save_published(building, model, processor)
            for name, other in (published or {}).items():
                save_published(building / name, other, processor)
            state = {
                "step": step,
                "processes": accelerator.num_processes,
                "sharded": accelerator.is_fsdp2,
                "probe_knn": probe_knn,
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
    return json.loads((checkpoint / "training.json").read_text(encoding="utf-8")).get("probe_knn")


def load_checkpoint(accelerator: Accelerator, checkpoint: Path) -> int:
    """Restore a run from `checkpoint`; returns the number of optimizer steps that it has behind it."""
    state = json.loads((checkpoint / "training.json").read_text(encoding="utf-8"))
    # Generators and the rows of a batch are those of a process: with another number neither would continue.
    if state["processes"] != accelerator.num_processes:
        raise ValueError(
            f"{checkpoint} was written by {state['processes']} processes and cannot be resumed by "
            f"{accelerator.num_processes}: start as many again."
        )
    if state.get("sharded", False) != accelerator.is_fsdp2:
        was, now = ("FSDP2", "DDP") if state.get("sharded") else ("DDP", "FSDP2")
        raise ValueError(f"{checkpoint} was written under {was} and cannot be resumed under {now}: launch as before.")
    accelerator.load_state(str(checkpoint))
    return state["step"]


def claim_folder(folder: Path, resolved: dict[str, Any], resume: bool) -> None:
    """Make `folder` this run's: write `config.yaml`, or check that the run it holds is this one.

    Raises `ValueError` if it holds anything else; nothing in it is touched then.
    """
    config = folder / "config.yaml"
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"the output folder {str(folder)!r} is a file: choose another --output-dir.")
    if config.exists():
        if not resume:
            raise ValueError(f"{str(folder)!r} holds a run already: add --resume, or choose another --output-dir.")
        differences = list(compare(with_new_names(yaml.safe_load(config.read_text(encoding="utf-8"))), resolved))
        if differences:
            raise ValueError(
                f"the run in {str(folder)!r} cannot be resumed with other settings ({'; '.join(differences)}): "
                f"give the same ones, or choose another --output-dir."
            )
    elif folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{str(folder)!r} is not empty and holds no run: choose another --output-dir.")
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(resolved, sort_keys=False), encoding="utf-8")


def compare(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Settings that differ, as `name: before -> now`."""
    differences = []
    # `FREE` names settings of the top level; those within a section always count.
    for key in sorted({*before, *now} - (FREE if not prefix else set())):
        old, new = before.get(key), now.get(key)
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
