"""What a pretraining method offers to those who run, plan and show it. `methods.py` has the table of methods."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor

from preface_hf.files import why_unopened
from preface_hf.modeling import PrefAceForPreTraining


OBJECTIVE_FILE = "objective.safetensors"  # in a checkpoint: tensors of the state, its other values in the header
PICKLED_STATE = "custom_checkpoint_0.pkl"  # what releases up to 0.2 wrote in its place: read, never written
# What releases before 0.2 called the state's parts: read, never written.
OLD_NAMES = {"centre": "center", "facefeat_centre": "facefeat_center"}

# Joins a tensor's rows over all processes, in the order of their ranks.
Gather = Callable[[torch.Tensor], torch.Tensor]


def alone(rows: torch.Tensor) -> torch.Tensor:
    """The [`Gather`] of a single process."""
    return rows


@dataclass
class ObjectiveOutput:
    """`loss` is a scalar with gradient; `logs` are detached scalars by name, `/` groups them."""

    loss: torch.Tensor
    logs: dict[str, torch.Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """A student, what it learns from, and a loss. State outside the student changes in `start` and `after_step` only.

    A network with an optimizer of its own (a critic) is part of the objective: `after_step` trains it, and
    `state_dict` holds it with its optimizer ([`flat`] joins the names of what is nested, [`part`] takes it out again).

    Attributes:
        student: what is called in training; the loop sets it to the wrapped form of the model.
        watching: whether what only the log needs is computed too; alike on every process.
        started: how many instances, from 0 on, need no `start` any more.
    """

    student: torch.nn.Module
    watching: bool
    started: int

    def start(self, clips: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Before the first step, on un-augmented clips of the instances from `started` on: ids `(b,)` and uint8
        `(b, T, 3, S, S)`. Every process has as many."""

    # In an optimizer step: one call for each accumulated batch, `before_step`, the optimizer, then `after_step` or
    # `skip_step`.
    def __call__(self, batch: Any, step: int) -> ObjectiveOutput:
        """The loss of a batch of the method's stream at optimizer step `step`, with the terms that are logged."""

    def before_step(self, epoch: float) -> None:
        """Called when gradients are whole and clipped, before the optimizer uses them; `epoch` counts from 0."""

    def after_step(self, step: int, learning_rate: float = 0.0) -> None:
        """Called after every real optimizer step, which was made at `learning_rate`: moving averages, memories and
        networks beside the student move on."""

    def skip_step(self) -> None:
        """Called in place of `after_step` where no step was made: what its batches left is forgotten."""

    def trainable_parameters(self) -> list[torch.nn.Parameter]:
        """What the run's optimizer may touch."""

    def published_model(self, publish: str) -> PrefAceForPreTraining | None:
        """The model that a run with this setting `publish` ends with, whole on every process; `None`: the student."""

    def warning(self, logs: dict[str, float]) -> str | None:
        """One sentence if what is logged shows that nothing is learned any more."""

    # `write_state` writes the state to `OBJECTIVE_FILE` of a checkpoint; files lie beside it.
    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs beside the student to continue exactly: whole tensors and values of JSON by name.
        Every process calls it."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`, of this release or an earlier one."""

    def save_files(self, folder: Path) -> None:
        """Write what is too large for `state_dict` into a checkpoint; called on the main process."""

    def load_files(self, folder: Path) -> None:
        """Read what `save_files` wrote; called on every process."""

    def take_over(self, checkpoint: str) -> str:
        """Start from `checkpoint`, whose weights the student has already; returns what was taken over, in words."""


@dataclass(frozen=True)
class Terms:
    """How a report shows what a method logs.

    Attributes:
        groups: pictures by group, each the names that share one.
        notes: what a number is, by the first name of its picture.
        levels: values to compare with, by the first name of a picture: what they are called, and where they lie.
    """

    groups: dict[str, list[tuple[str, ...]]]
    notes: dict[str, str]
    levels: dict[str, tuple[str, float]]


@dataclass(frozen=True)
class Neighbors:
    """Which instances a method finds alike: a report shows some of them.

    Attributes:
        title, note: of the report's section.
        place: what has a vector for every instance, in words.
        count: how many instances it has.
        nearest: for instances (a list of ids) and k, ids int64 and similarities float32 of the nearest, `(n, k)` each,
            the best first; an instance may be among its own.
    """

    title: str
    note: str
    place: str
    count: int
    nearest: Callable[[list[int], int], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Groups:
    """Which of some faces a method sorts together: a report shows a few.

    Attributes:
        title, note: of the report's section.
        rows: name of a group, and its members: places among the faces and similarities, the most alike first.
    """

    title: str
    note: str
    rows: list[tuple[str, list[tuple[int, float]]]]


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor that FSDP2 may have sharded; every process must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def by_channel(
    pixels: tuple[list[float], list[float]], device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each channel as tensors `(3, 1, 1)`, for clips `(…, 3, S, S)`."""
    mean, deviation = (torch.tensor(values, device=device)[:, None, None] for values in pixels)
    return mean, deviation


def flat(state: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested state as one dictionary, its names joined by points."""
    joined: dict[str, Any] = {}
    for name, value in state.items():
        joined |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return joined


def part(state: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What [`flat`] put under `name`, by the names it had."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a flat state into a checkpoint. No pickle: what opens it runs no code."""
    tensors = {name: value.contiguous() for name, value in state.items() if isinstance(value, torch.Tensor)}
    values = {name: value for name, value in state.items() if name not in tensors}
    save_file(tensors, folder / OBJECTIVE_FILE, {"values": json.dumps(values)})


def saved_state(checkpoint: str | Path) -> dict[str, Any] | None:
    """What `state_dict()` was in a checkpoint, mapped, to be read only; `None` where it holds no training state.

    Raises `ValueError` where the file is damaged, or is one of an earlier release and holds code.
    """
    file, old = (Path(checkpoint) / name for name in (OBJECTIVE_FILE, PICKLED_STATE))
    try:
        if file.is_file():
            return read_state(file)
        if old.is_file():
            # Mapped, so that who needs the cache alone does not read the teacher's weights from disk.
            state = torch.load(old, map_location="cpu", weights_only=True, mmap=True)
            return flat(with_new_names(state))
    # Of a file that is cut or changed, torch may raise almost anything.
    except Exception as error:
        raise unsafe(file if file.is_file() else old, error) from error
    return None


def read_state(file: Path) -> dict[str, Any]:
    """What [`write_state`] wrote."""
    with safe_open(file, framework="pt") as opened:
        values = json.loads((opened.metadata() or {}).get("values", "{}"))
        # Tensors are mapped: what is not looked at is not read.
        return {**values, **{name: opened.get_tensor(name) for name in opened.keys()}}  # noqa: SIM118


def unsafe(file: Path, error: Exception) -> ValueError:
    """What to tell a user of a file of a checkpoint that is not opened."""
    return ValueError(
        f"{file} is not opened ({why_unopened(error)}): take another checkpoint, of a source that you trust."
    )


def with_new_names(state: dict[str, Any]) -> dict[str, Any]:
    """`state` with the names of today, whatever release wrote it."""
    return {OLD_NAMES.get(name, name): value for name, value in state.items()}
