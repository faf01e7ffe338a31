"""The teacher: a copy of the student that follows it slowly and is never trained; and what every method with one
shares. Letter: D hidden size."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from preface_hf.data.views import TubeConfig, photometric
from preface_hf.modeling import PrefAceForPreTraining, PrefAceForPreTrainingOutput
from preface_hf.objectives.base import Gather, alone, by_channel, flat, part, saved_state, whole
from preface_hf.objectives.plain_features import plain_features
from preface_hf.objectives.schedules import cosine


class Teacher(nn.Module):
    """Exponential moving average of a student of the same architecture (PrefAce: "dual encoder"), whole on every
    process."""

    def __init__(self, student: PrefAceForPreTraining):
        super().__init__()
        # Whole on every process, also where FSDP2 shards the student: 4 bytes a weight (1.3 GB for vit-l with heads).
        # So it is the same bits on all, its heads can be called one by one, and a checkpoint holds it as it is.
        self.model: PrefAceForPreTraining = deepcopy(student).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Teacher:
        """A teacher stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, pixel_values_videos: torch.Tensor) -> PrefAceForPreTrainingOutput:
        """Clips `(batch, frames, channels, height, width)` to what the student returns of them, without gradients."""
        return self.model(pixel_values_videos)

    def completed(self, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The weights of a teacher of another method, without heads that this one lacks or has in other shapes, and
        with its own where that one lacked them."""
        ours = self.state_dict()
        fit = {name: weight for name, weight in weights.items() if name in ours and weight.shape == ours[name].shape}
        return {**ours, **fit}

    @torch.no_grad()
    def follow(self, student: nn.Module, momentum: float) -> None:
        """weights <- momentum * weights + (1 - momentum) * student's, parameter by parameter."""
        # One weight at a time is gathered from its shards, so there is never a second whole student in memory.
        for ours, theirs in zip(self.model.parameters(), student.parameters(), strict=True):
            ours.lerp_(whole(theirs.detach()), 1 - momentum)


def move_statistics(model: PrefAceForPreTraining, features: torch.Tensor, pace: float) -> None:
    """Move a model's running mean and deviation towards those of `features` `(rows, D)`; a single row has none."""
    model.feature_mean.lerp_(features.mean(dim=0), pace)
    if len(features) > 1:
        model.feature_std.lerp_(features.std(dim=0), pace)


class TeacherObjective:
    """A student with a teacher, and the statistics that the heads of both standardize by: how they start, move and are
    saved. The loss is the subclass's.

    Args:
        student: the model to train; set `objective.student` to its prepared (wrapped) form afterwards.
        config: of the method, with `teacher_momentum` and `center_momentum`.
        views: the tubes of a clip.
        num_instances: rows of the prepared set.
        max_steps: length of the schedules.
        seed: of what is drawn at random.
        pixels: mean and standard deviation of each channel, for values in [0, 1].
        gather: joins a tensor's rows over all processes, in the order of their ranks.
        scratch: folder for files that are memory.
        rest_epochs: epochs in which the prototypes rest.
    """

    def __init__(
        self,
        student: PrefAceForPreTraining,
        config: Any,
        *,
        views: TubeConfig,
        num_instances: int,
        max_steps: int,
        seed: int,
        pixels: tuple[list[float], list[float]],
        gather: Gather = alone,
        scratch: str | Path = ".",
        rest_epochs: float = 0.0,
    ):
        self.student: nn.Module = student
        self.heads = student
        self.config = config
        self.num_local, self.num_instances = views.num_local, num_instances
        self.max_steps, self.seed, self.gather = max_steps, seed, gather
        self.scratch, self.rest_epochs = scratch, rest_epochs
        self.teacher = Teacher(student)
        self.device = next(student.parameters()).device
        self.pixel_mean, self.pixel_std = by_channel(pixels, self.device)  # (3, 1, 1)
        self.watching = True  # whether the coming steps are logged: what only the log needs is left out of others
        self.started = 0
        self.continues = False  # whether the statistics are set already
        self.pending: list[dict[str, torch.Tensor]] = []  # what after_step will need, a dict a batch

    def pixel_values(self, tubes: torch.Tensor, colors: torch.Tensor | None = None) -> torch.Tensor:
        """uint8 tubes `(V, T, 3, S, S)` as the model's input, after the photometric change `(V, 3, 4)`."""
        # Colors change values in [0, 1]; normalization comes after, as in the processor.
        values = tubes.float() / 255
        if colors is not None:
            values = photometric(values, colors)
        return (values - self.pixel_mean) / self.pixel_std

    def before_step(self, epoch: float) -> None:
        """The prototypes rest at first."""
        # Without a gradient AdamW leaves a weight alone, its decay included. DINO does it here too, after clipping.
        if epoch < self.rest_epochs:
            self.heads.prototypes.weight.grad = None

    @torch.no_grad()
    def after_step(self, step: int, learning_rate: float = 0.0) -> None:
        """Teacher and statistics move on, alike on every process, and what the subclass has."""
        momentum = cosine(step, self.max_steps, self.config.teacher_momentum, 1.0)
        self.teacher.follow(self.student, momentum)
        # One gather for each name, over all accumulated batches of the step and all processes.
        rows = {
            name: self.gather(torch.cat([part[name] for part in self.pending]).contiguous())
            for name in self.pending[0]
            if name in self.moving
        }
        self.pending.clear()
        self.move(rows, 1 - self.config.center_momentum)

    moving: tuple[str, ...] = ("student", "teacher")  # what `move` needs of all processes

    def move(self, rows: dict[str, torch.Tensor], pace: float) -> None:
        """Move what follows the batches of a step, of rows of all processes by name."""
        for model, features in ((self.teacher.model, rows["teacher"]), (self.heads, rows["student"])):
            move_statistics(model, features, pace)

    def skip_step(self) -> None:
        """Forget the batches of a step that was not made."""
        self.pending.clear()

    @torch.no_grad()
    def start(self, clips: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """On clips un-augmented (ids `(b,)`, uint8 `(b, T, 3, S, S)`): unless they are there already, set the
        statistics that the heads are standardized by, from the first 16,384 clips; then [`pass_through`]."""
        # The heads standardize what they get. Without it the features of an untrained model are so alike that short
        # runs end below the random encoder (measured). Pace 1 sets the statistics, later steps move them.
        first = not self.continues
        for ids, features in plain_features(clips, self.encode, self.gather, self.device):
            if first:
                for model in (self.teacher.model, self.heads):
                    move_statistics(model, features, 1.0)
            if not self.pass_through(ids, features, first):
                break
            first = False
        self.started, self.continues = self.num_instances, True

    def encode(self, tubes: torch.Tensor) -> torch.Tensor:
        """The teacher's pooled features `(b, D)` of clips `(b, T, 3, S, S)` uint8."""
        return self.teacher.model.preface(self.pixel_values(tubes)).pooler_output.float()

    def pass_through(self, ids: torch.Tensor, features: torch.Tensor, first: bool) -> bool:
        """What is done with ids `(n,)` and features `(n, D)` of all clips before the first step; whether more of them
        are needed."""
        return False

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The weights of the student."""
        return [weight for weight in self.student.parameters() if weight.requires_grad]

    def published_model(self, publish: str) -> PrefAceForPreTraining | None:
        """The teacher, where it is asked for."""
        return self.teacher.model if publish == "teacher" else None

    def state_dict(self) -> dict[str, Any]:
        """The teacher."""
        return flat({"teacher": self.teacher.state_dict()})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.teacher.load_state_dict(part(state, "teacher"))
        self.started, self.continues = self.num_instances, True

    def save_files(self, folder: Path) -> None:
        """All is in `state_dict`."""

    def load_files(self, folder: Path) -> None:
        """All is in `state_dict`."""

    def take_over(self, checkpoint: str) -> str:
        """Take the teacher, and what goes with it, over, if `checkpoint` is that of a run."""
        state = saved_state(checkpoint)
        if state is None or not part(state, "teacher"):
            reason = "it is of a run without one" if state else "it holds no training state"
            return f"the student starts from {checkpoint}; its teacher starts anew ({reason})."
        # What a run of another method has not, stays as it is here.
        rest = {name: value for name, value in state.items() if not name.startswith("teacher.")}
        teacher = flat({"teacher": self.teacher.completed(part(state, "teacher"))})
        self.load_state_dict({**self.state_dict(), **rest, **teacher})
        return f"student and teacher continue from {checkpoint}."
