"""Masked autoencoders: VideoMAE, and MARLIN, which adds a critic to it. A student predicts the pixels of the tokens
that it does not see.

L = MSE on the hidden cubes - 0.01 E[D(reconstruction)] (MARLIN). Shapes at line ends: B clips, T frames, C channels, S
pixels, N tokens of a clip, M of them hidden, P values of a cube.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from preface_hf.convert.marlin import CRITIC_FILE
from preface_hf.data.masked_clips import MaskConfig, MaskedBatch
from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining
from preface_hf.objectives.base import Gather, ObjectiveOutput, Terms, alone, flat, part, saved_state
from preface_hf.objectives.collapse import WATCHED_CLIPS, effective_rank, feature_std
from preface_hf.objectives.costs import Costs, masked_costs
from preface_hf.objectives.dino import check_choice


TARGETS = ("raw", "normalized")
CRITIC_BETAS = (0.9, 0.95)  # of its AdamW, without weight decay (MARLIN's code)


@dataclass
class VideoMAEObjectiveConfig:
    """What is predicted of a hidden cube."""

    targets: str = "normalized"  # less its mean, over its deviation, by channel (VideoMAE); or raw: values in [0, 1]

    def __post_init__(self) -> None:
        check_choice("targets", self.targets, TARGETS)


@dataclass
class MarlinObjectiveConfig(VideoMAEObjectiveConfig):
    """MARLIN's; the values are those of its code."""

    targets: str = "raw"
    adversarial_weight: float = 0.01  # of what the critic says of reconstructions; 0 leaves it out
    gradient_penalty_weight: float = 0.0  # of the critic's loss (WGAN-GP)


def cubes(pixels: torch.Tensor, model: PrefAceConfig) -> torch.Tensor:
    """The cubes of all tokens, `(B, N, P)`, of clips `(B, T, C, S, S)`; values ordered as in
    [`PrefAceForPreTrainingOutput`]."""
    tubelet, patch = model.tubelet_size, model.patch_size
    time, height, width = model.grid_of(tuple(pixels.shape))
    cut = pixels.reshape(len(pixels), time, tubelet, -1, height, patch, width, patch)  # (B, t, pt, C, h, ph, w, pw)
    return cut.permute(0, 1, 4, 6, 2, 5, 7, 3).reshape(len(pixels), time * height * width, -1)


def normalized(cube: torch.Tensor, channels: int) -> torch.Tensor:
    """Cubes `(..., P)`, of which each channel has mean 0 and deviation 1 (VideoMAE)."""
    values = cube.unflatten(-1, (-1, channels))
    deviation = values.var(dim=-2, keepdim=True).sqrt() + 1e-6
    return ((values - values.mean(dim=-2, keepdim=True)) / deviation).flatten(-2)


def mean_color_error(targets: torch.Tensor, channels: int) -> torch.Tensor:
    """The mean squared error of who predicts the mean color of each cube `(..., P)`, and nothing of what it shows."""
    return targets.unflatten(-1, (-1, channels)).var(dim=-2, correction=0).mean()


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
        mean, deviation = (torch.tensor(values, device=self.device)[:, None, None] for values in pixels)
        self.pixel_mean, self.pixel_std = mean, deviation  # (3, 1, 1)
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


class Critic(nn.Module):
    """Tells cubes from reconstructions: two layers (MARLIN)."""

    def __init__(self, cube: int, inner: int):
        super().__init__()
        self.hidden = nn.Linear(cube, inner)
        self.score = nn.Linear(inner, 1)

    def forward(self, cube: torch.Tensor) -> torch.Tensor:
        """Cubes `(..., P)` to scores `(..., 1)`: high where they look real."""
        return self.score(nn.functional.leaky_relu(self.hidden(cube)))


class MarlinObjective(VideoMAEObjective):
    """Teaches a student with a decoder, against a critic that learns beside it. For the arguments see
    [`VideoMAEObjective`]."""

    def __init__(self, student: PrefAceForPreTraining, config: MarlinObjectiveConfig, **settings: Any):
        super().__init__(student, config, **settings)
        model = self.model_config
        cube = model.num_channels * model.tubelet_size * model.patch_size**2
        # Frozen but for its own step, so that the student's backward pass leaves no gradient in it.
        self.critic = Critic(cube, 4 * model.decoder_hidden_size).to(self.device).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.critic.parameters(), betas=CRITIC_BETAS, weight_decay=0.0)
        self.pending: list[tuple[torch.Tensor, torch.Tensor]] = []  # (predicted, targets), a pair a batch

    def other_terms(
        self, loss: torch.Tensor, predicted: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """What the critic says of the reconstruction."""
        if not self.config.adversarial_weight:
            return loss, {}
        # The critic learns after the step, from all batches that were accumulated. MARLIN's code lets it learn first.
        self.pending.append((predicted.detach(), targets))
        fooled = -self.critic(predicted).mean()
        logs = {"loss_adversarial": fooled.detach()}
        if self.watching:
            logs["loss_critic"] = critic_loss(self.critic, predicted.detach(), targets)
        return loss + self.config.adversarial_weight * fooled, logs

    def after_step(self, step: int, learning_rate: float = 0.0) -> None:
        """One step of the critic, at the student's learning rate."""
        if not self.pending:
            return
        predicted, targets = (torch.cat(parts) for parts in zip(*self.pending, strict=True))
        self.pending.clear()
        self.critic.requires_grad_(True)
        with torch.enable_grad():
            loss = critic_loss(self.critic, predicted, targets)
            if self.config.gradient_penalty_weight:
                share = torch.rand((), generator=torch.Generator().manual_seed(self.seed + step))
                penalty = gradient_penalty(self.critic, predicted, targets, float(share))
                loss = loss + self.config.gradient_penalty_weight * penalty
            gradients = torch.autograd.grad(loss, list(self.critic.parameters()))
        self.critic.requires_grad_(False)
        for weight, gradient in zip(self.critic.parameters(), gradients, strict=True):
            weight.grad = self.gather(gradient[None].contiguous()).mean(dim=0)
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()

    def skip_step(self) -> None:
        """Forget the batches of a step that was not made."""
        self.pending.clear()

    def state_dict(self) -> dict[str, Any]:
        """The critic with the moments of its optimizer, flat."""
        moments = {name: self.optimizer.state.get(weight, {}) for name, weight in self.critic.named_parameters()}
        return flat({"critic": self.critic.state_dict(), "moments": moments})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.critic.load_state_dict(part(state, "critic"))
        for name, weight in self.critic.named_parameters():
            moments = part(part(state, "moments"), name)
            # The count of steps is kept on the CPU, as AdamW has it; nothing is there before the first step.
            self.optimizer.state[weight] = {
                key: value.clone() if key == "step" else value.clone().to(weight.device)
                for key, value in moments.items()
            }

    def take_over(self, checkpoint: str) -> str:
        """Take the critic over, from a checkpoint of MARLIN or a converted one that has it."""
        state, file = saved_state(checkpoint), Path(checkpoint) / CRITIC_FILE
        if state is not None and part(state, "critic"):
            self.load_state_dict(state)
            return f"student and critic continue from {checkpoint}."
        if file.is_file():
            self.critic.load_state_dict(load_file(file))
            return f"student and critic start from {checkpoint}."
        return f"the student starts from {checkpoint}; the critic starts anew (that checkpoint has none)."


def critic_loss(critic: Critic, predicted: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """E[D(reconstruction)] - E[D(cube)], of both `(B, M, P)` (MARLIN)."""
    return critic(predicted).mean() - critic(targets).mean()


def gradient_penalty(critic: Critic, predicted: torch.Tensor, targets: torch.Tensor, share: float) -> torch.Tensor:
    """WGAN-GP: how far the critic's slope is from 1, between the two, at `share` of the way to the targets."""
    between = (share * targets + (1 - share) * predicted).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.norm(dim=-1) - 1).square().mean()


def marlin_costs(
    model: PrefAceConfig, views: MaskConfig, config: MarlinObjectiveConfig, mixed: bool, instances: int
) -> Costs:
    """What a step costs."""
    return masked_costs(model, views, mixed, critic=bool(config.adversarial_weight))


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


@torch.no_grad()
def reconstruct(
    model: PrefAceForPreTraining, config: Any, clip: torch.Tensor, mask: torch.Tensor, pixels: tuple[Any, Any]
) -> dict[str, torch.Tensor]:
    """A clip as it was, as the student sees it, and with what it makes of the rest: uint8 `(T, 3, S, S)` by name.

    Args:
        clip: uint8 `(T, 3, S, S)`.
        mask: `(N,)`, True where hidden.
        pixels: mean and standard deviation of each channel, for values in [0, 1].
    """
    values = clip.float()[None] / 255
    mean, deviation = (torch.tensor(each)[:, None, None] for each in pixels)
    predicted = model((values - mean) / deviation, mask[None]).reconstruction[0].float()  # (M, P)
    whole = cubes(values, model.config)[0]  # (N, P)
    if config.targets == "normalized":
        # Only the texture is predicted then: mean and deviation are those of the cube itself.
        hidden = whole[mask].unflatten(-1, (-1, model.config.num_channels))
        texture = predicted.unflatten(-1, (-1, model.config.num_channels))
        predicted = (texture * hidden.std(dim=1, keepdim=True) + hidden.mean(dim=1, keepdim=True)).flatten(1)
    panels = {"original": whole, "seen": whole.clone(), "reconstructed": whole.clone()}
    panels["seen"][mask] = 0.5
    panels["reconstructed"][mask] = predicted
    return {name: to_clip(panel, clip.shape, model.config) for name, panel in panels.items()}


def to_clip(cube: torch.Tensor, shape: torch.Size, model: PrefAceConfig) -> torch.Tensor:
    """Cubes `(N, P)` in [0, 1] as a clip of `shape` `(T, C, S, S)`, uint8: the way back from [`cubes`]."""
    time, height, width = model.grid_of((1, *shape))
    cut = cube.reshape(time, height, width, model.tubelet_size, model.patch_size, model.patch_size, shape[1])
    values = cut.permute(0, 3, 6, 1, 4, 2, 5).reshape(shape)  # (t, pt, C, h, ph, w, pw)
    return (values.clamp(0, 1) * 255).round().to(torch.uint8)
