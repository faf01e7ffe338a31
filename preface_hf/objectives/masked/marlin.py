"""MARLIN: a masked autoencoder of faces, with a critic.

L = MSE on the hidden cubes - 0.01 E[D(reconstruction)] (MARLIN). Shapes as in `videomae.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from preface_hf.convert.marlin import CRITIC_FILE
from preface_hf.data.masked_clips import MaskConfig
from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining
from preface_hf.objectives.base import flat, part, saved_state
from preface_hf.objectives.costs import Costs, masked_costs
from preface_hf.objectives.masked.critic import BETAS, Critic, critic_loss, gradient_penalty
from preface_hf.objectives.masked.videomae import VideoMAEObjective, VideoMAEObjectiveConfig


@dataclass
class MarlinObjectiveConfig(VideoMAEObjectiveConfig):
    """MARLIN's; the values are those of its code."""

    targets: str = "raw"
    adversarial_weight: float = 0.01  # of what the critic says of reconstructions; 0 leaves it out
    gradient_penalty_weight: float = 0.0  # of the critic's loss (WGAN-GP)


class MarlinObjective(VideoMAEObjective):
    """Teaches a student with a decoder, against a critic that learns beside it. For the arguments see
    [`VideoMAEObjective`]."""

    def __init__(self, student: PrefAceForPreTraining, config: MarlinObjectiveConfig, **settings: Any):
        super().__init__(student, config, **settings)
        model = self.model_config
        cube = model.num_channels * model.tubelet_size * model.patch_size**2
        # Frozen but for its own step, so that the student's backward pass leaves no gradient in it.
        self.critic = Critic(cube, 4 * model.decoder_hidden_size).to(self.device).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.critic.parameters(), betas=BETAS, weight_decay=0.0)
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


def marlin_costs(
    model: PrefAceConfig, views: MaskConfig, config: MarlinObjectiveConfig, mixed: bool, instances: int
) -> Costs:
    """What a step costs."""
    return masked_costs(model, views, mixed, critic=bool(config.adversarial_weight))
