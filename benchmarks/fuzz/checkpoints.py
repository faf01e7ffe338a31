"""Damaged checkpoints and run folders: refused in one sentence, or with the results of whole ones. No code may run."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.fuzz.cases import Case, Outcome
from benchmarks.fuzz.runs import judge, make_base
from benchmarks.fuzz.values import (
    damage_bytes,
    damage_json,
    damage_metrics,
    damage_tensors,
    damage_yaml,
    put_in_place,
)


__all__ = ["BASE", "cases", "make_base"]
BASE = "runs"
FINAL = ("config.json", "config.json", "model.safetensors", "model.safetensors", "video_preprocessor_config.json")
# What each command reads of a run folder: relative files, more than once where they are damaged more often.
TARGETS: dict[str, tuple[str, ...]] = {
    "extract": tuple(f"final/{name}" for name in FINAL),
    "from_pretrained": tuple(f"final/{name}" for name in FINAL),
    "init-from": tuple(f"final/{name}" for name in FINAL),
    "init-from step": ("checkpoints/step-00000002/*", *(f"checkpoints/step-00000002/{name}" for name in FINAL[1:4])),
    "resume": (
        "config.yaml", "metrics.jsonl", "checkpoints/step-00000001/*", "checkpoints/step-00000001/*",
        "checkpoints/step-00000001/training.json", "checkpoints/step-00000001/model.safetensors",
    ),
    "report": ("config.yaml", "config.yaml", "metrics.jsonl", "metrics.jsonl", "checkpoints/step-00000002/*"),
    "plan": ("config.yaml",),
}  # fmt: skip
COMMANDS = (
    "extract", "extract", "from_pretrained", "resume", "resume", "resume", "init-from", "init-from step", "report",
    "plan",
)  # fmt: skip
# Where Accelerate, transformers and this project look or looked for state, by name.
PICKLES = ("custom_checkpoint_0.pkl", "optimizer.bin", "random_states_0.pkl", "scheduler.bin", "pytorch_model.bin")
FOLDERS = dict.fromkeys(TARGETS, "run") | {"resume": "stopped", "plan": "planned"}


def cases(base: Path, folder: Path, seed: int, wanted: Iterator[int]) -> Iterator[Case]:
    """One damaged run folder for each number, given to one command."""
    for number in wanted:
        rng = np.random.default_rng([seed, 2, number])
        name = COMMANDS[int(rng.integers(len(COMMANDS)))]
        given = folder / f"case-{number}" / "given"
        shutil.copytree(base / FOLDERS[name], given)
        what, may_differ = damage_run(given, name, rng)
        yield Case(number, what, name, partial(try_one, base, name, given, may_differ))


def try_one(base: Path, name: str, given: Path, may_differ: bool) -> Outcome:
    """Give the folder to a command; code that it holds must not run."""
    outcome = judge(name, base, given, base / FOLDERS[name], given.with_name("out"), may_differ)
    if (given.parent / "marker").exists():
        return Outcome("code ran", f"the pickle was executed; {outcome.detail}", outcome.seconds)
    return outcome


def damage_run(given: Path, name: str, rng: np.random.Generator) -> tuple[str, bool]:
    """Damage one file of a run folder, or plant a pickle; what was done, and whether results may differ."""
    if name in ("resume", "init-from step", "report") and rng.random() < 0.12:
        return damage_names(given, rng), True
    if name in ("resume", "init-from step", "report") and rng.random() < 0.2:
        step = sorted((given / "checkpoints").iterdir())[-1]
        planted = PICKLES[int(rng.integers(len(PICKLES)))]
        return f"{planted}: {plant(step / planted, given.parent / 'marker', rng)}", False
    pattern = TARGETS[name][int(rng.integers(len(TARGETS[name])))]
    # Code of a checkpoint is not run, so it is not damaged.
    files = sorted(file for file in given.glob(pattern) if file.suffix != ".py" and file.is_file())
    file = files[int(rng.integers(len(files)))]
    what, may_differ = damage_file(file, given.parent / "marker", rng)
    return f"{file.relative_to(given)}: {what}", may_differ


def damage_file(file: Path, marker: Path, rng: np.random.Generator) -> tuple[str, bool]:
    """Damage a file by its kind."""
    if rng.random() < 0.1:
        # A log that is gone is not there to be shown; nothing else hangs on it.
        return put_in_place(file, rng), file.name == "metrics.jsonl"
    if file.name == "model.safetensors" and rng.random() < 0.12:
        file.unlink()
        return "gone, and " + plant(file.with_name("pytorch_model.bin"), marker, rng) + " beside it", False
    kinds: dict[str, Any] = {".json": damage_json, ".yaml": damage_yaml, ".jsonl": damage_metrics}
    if file.suffix in kinds:
        return kinds[file.suffix](file, rng)
    if file.suffix == ".safetensors":
        return damage_tensors(file, rng)
    # Bits within stored numbers give other numbers, and torch's files tell nobody.
    return damage_bytes(file, rng), True


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple:
        return (Path.write_text, (self.marker, "code ran"))


def plant(file: Path, marker: Path, rng: np.random.Generator) -> str:
    """A pickle that runs code, in one of three forms."""
    form = int(rng.integers(3))
    if form == 0:
        torch.save({"state": Payload(marker)}, file)
    elif form == 1:
        file.write_bytes(pickle.dumps(Payload(marker)))
    else:
        torch.save({"state": Payload(marker)}, file, _use_new_zipfile_serialization=False)
    return f"a planted pickle ({('torch', 'bare', 'old torch')[form]})"


def damage_names(given: Path, rng: np.random.Generator) -> str:
    """Folders of checkpoints that are none, beside or in place of those that are."""
    folder = given / "checkpoints"
    steps = sorted(folder.iterdir())
    what = int(rng.integers(5))
    if what == 0:
        (folder / "step-99999999").mkdir()
        return "an empty folder step-99999999"
    if what == 1:
        (folder / "step-99999999").write_text("no folder")
        return "a file step-99999999"
    if what == 2:
        (folder / "step-abc").mkdir()
        return "a folder step-abc"
    if what == 3:
        shutil.rmtree(folder)
        folder.write_text("no folder")
        return "a file checkpoints"
    shutil.rmtree(steps[-1])
    steps[-1].mkdir()
    return f"{steps[-1].name} emptied"
