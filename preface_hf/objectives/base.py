"""What every pretraining objective offers to the training loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from preface_hf.data.streams import Batch


@dataclass
class ObjectiveOutput:
    """`loss` is a scalar with gradient; `logs` are detached scalars by name, `/` groups them."""

    loss: torch.Tensor
    logs: dict[str, torch.Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """A student, what teaches it, and a loss. State outside the student changes in `after_step` only.

    watching: whether what only the log needs is computed too; alike on every process.
    """

    watching: bool

    def __call__(self, batch: Batch, step: int) -> ObjectiveOutput:
        """The loss of a batch at optimizer step `step`, with the terms that are logged."""

    def after_step(self, step: int) -> None:
        """Called after every real optimizer step: moving averages and memories move on."""

    def skip_step(self) -> None:
        """Called in place of `after_step` where no step was made: what its batches left is forgotten."""

    def trainable_parameters(self) -> list[torch.nn.Parameter]:
        """What the optimizer may touch."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs beside the student to go on exactly."""
