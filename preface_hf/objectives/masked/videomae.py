"""VideoMAE: a student predicts the pixels of the tokens that it does not see.

Shapes at line ends: B clips, T frames, C channels, S pixels, N tokens of a clip, M of them hidden, P values of a cube.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from preface_hf.data.masked_clips import MaskConfig, MaskedBatch
from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining
from preface_hf.objectives.base import Gather, ObjectiveOutput, Terms, alone, by_channel
from preface_hf.objectives.collapse import WATCHED_CLIPS, effective_rank, feature_std
from preface_hf.objectives.costs import Costs, masked_costs
from preface_hf.objectives.distillation import check_choice
from preface_hf.objectives.masked.cubes import cubes, mean_color_error, normalized


TARGETS = ("raw", "normalized")


@dataclass
class VideoMAEObjectiveConfig:
    """What is predicted of a hidden cube."""

    targets: str = "normalized"  # less its mean, over its deviation, by channel (VideoMAE); or raw: values in [0, 1]

    def __post_init__(self) -> None:
        check_choice("targets", self.targets, TARGETS)


class VideoMAEObjective:
    """Teaches a student with a decoder.

    Args:
        student: the model to train; set `objective.student` to its prepared (wrapped) form afterwards.
        config: of the method.
        num_instances: rows of the prepared set.
        seed: of what is drawn at random.
        pixels: mean and standard deviation of each channel, for values in [0, 1].
        gather: joins a tensor's rows over all processes, in the order of their ranks.
    """

    def __init__(
        self,
        student: PrefAceForPreTraining,
        config: Any,
        *,
        num_instances: int,
        seed: int,
        pixels: tuple[list[float], list[float]],
        gather: Gather = alone,
        **_: Any,
    ):
        self.student: nn.Module = student
        self.model_config = student.config
        self.config, self.seed, self.gather = config, seed, gather
        self.device = next(student.parameters()).device
        self.pixel_mean, self.pixel_std = by_channel(pixels, self.device)  # (3, 1, 1)
        self.watching = True
        self.started = num_instances  # nothing is needed of the set before the first step

    def start(self, clips: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Nothing is needed."""

    def targets(self, pixels: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """What is to be predicted, `(B, M, P)`, of clips `(B, T, C, S, S)` in [0, 1] with masks `(B, N)`."""
        hidden = cubes(pixels, self.model_config)[masks].unflatten(0, (len(pixels), -1))
        return normalized(hidden, self.model_config.num_channels) if self.config.targets == "normalized" else hidden

    def __call__(self, batch: MaskedBatch, step: int) -> ObjectiveOutput:
        """The loss of one batch."""
        pixels = batch.clips.float() / 255
        output = self.student((pixels - self.pixel_mean) / self.pixel_std, batch.masks)
        with torch.autocast(pixels.device.type, enabled=False):
            predicted, targets = output.reconstruction.float(), self.targets(pixels, batch.masks)  # (B, M, P)
            reconstruction = nn.functional.mse_loss(predicted, targets)
            loss, logs = self.other_terms(reconstruction, predicted, targets)
        logs = {"loss_reconstruction": reconstruction.detach(), **logs}
        if self.watching:
            logs |= self.watch(targets, output.pooler_output.detach())
        return ObjectiveOutput(loss, logs)

    def other_terms(
        self, loss: torch.Tensor, predicted: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss with what is added to it, and what is logged of that."""
        return loss, {}

    @torch.no_grad()
    def watch(self, targets: torch.Tensor, pooled: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the error is compared with, and how alike the features `(B, D)` of what is seen are."""
        features = self.gather(pooled.float().contiguous())[:WATCHED_CLIPS].nan_to_num(0, 0, 0)
        return {
            "mean_color_error": mean_color_error(targets, self.model_config.num_channels),
            "feature_std": feature_std(features),
            "effective_rank": effective_rank(features),
        }

    def before_step(self, epoch: float) -> None:
        """Nothing rests."""

    def after_step(self, step: int, learning_rate: float = 0.0) -> None:
        """Nothing follows the student."""

    def skip_step(self) -> None:
        """Nothing is left of a step."""

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The weights of the student."""
        return [weight for weight in self.student.parameters() if weight.requires_grad]

    def published_model(self, publish: str) -> PrefAceForPreTraining | None:
        """The student."""
        return None

    def warning(self, logs: dict[str, float]) -> str | None:
        """One sentence where nothing is predicted beyond the mean color of each cube, after the warm-up."""
        error, baseline = logs.get("loss_reconstruction"), logs.get("mean_color_error")
        if error is None or baseline is None or error < baseline:
            return None
        return (
            f"loss_reconstruction={error:.4f} is no lower than that of each cube's mean color ({baseline:.4f}): the "
            f"student has not learned what the cubes show yet; train longer or raise learning_rate."
        )

    def state_dict(self) -> dict[str, Any]:
        """Nothing beside the student."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing beside the student."""

    def save_files(self, folder: Path) -> None:
        """All is in `state_dict`."""

    def load_files(self, folder: Path) -> None:
        """All is in `state_dict`."""

    def take_over(self, checkpoint: str) -> str:
        """The student has it all."""
        return f"the student starts from {checkpoint}."


def videomae_costs(
    model: PrefAceConfig, views: MaskConfig, config: VideoMAEObjectiveConfig, mixed: bool, instances: int
) -> Costs:
    """What a step costs."""
    return masked_costs(model, views, mixed)


def masked_terms(model: PrefAceConfig) -> Terms:
    """How a report shows what is logged."""
    return Terms(
        groups={
            "Losses": [
                ("loss",),
                ("loss_reconstruction", "mean_color_error"),
                ("loss_adversarial",),
                ("loss_critic",),
            ],
            "Collapse watch": [("feature_std",), ("effective_rank",)],
        },
        notes={
            "loss": "what is trained on: the weighted sum of the terms",
            "loss_reconstruction": "squared error on hidden cubes, beside that of each cube's mean color",
            "loss_adversarial": "what the critic says of reconstructions, negative: low where they look real to it",
            "loss_critic": "the critic's own: below 0 where it tells cubes from reconstructions",
            "feature_std": "of unit features: 1/√width where they point all ways, 0 where all point one way",
            "effective_rank": "RankMe of the features of what is seen: 1 after a collapse",
        },
        levels={"feature_std": ("1/√width", model.hidden_size**-0.5)},
    )
