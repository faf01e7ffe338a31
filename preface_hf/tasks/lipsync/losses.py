"""What a generator learns from: pixels, the features of the encoder, a sync expert, and an adversary if asked for."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn
from transformers import Trainer

from preface_hf.faces.crops import MOUTH_IN_TIGHT
from preface_hf.modeling import PrefAceForLipSync, PrefAceSyncModel
from preface_hf.modeling.sync_preface import MELS_PER_FRAME
from preface_hf.tasks.lipsync.adversary import Adversary, AdversaryFile
from preface_hf.tasks.sync.talks import LUMA


# Chosen. With more of the expert (0.01, Wav2Lip has 0.03) the generator learns to mislead it within 150 steps: dark
# lines over the cheeks, which an expert with other first weights also takes for mouths.
PERCEPTUAL, SYNC = 0.05, 0.003
SYNC_FROM = 0.5  # of the steps: earlier the mouths are no mouths that the expert knows


class LipSyncTrainer(Trainer):
    """A `Trainer` for generators; the expert and the encoder that judges features are frozen.

    Args:
        expert: the sync expert, None to do without.
        adversarial_weight: of the adversary's loss, 0 to do without.
    """

    def __init__(
        self, model: PrefAceForLipSync, *args: Any, expert: PrefAceSyncModel | None, adversarial_weight: float = 0.0,
        **more: Any,
    ):  # fmt: skip
        super().__init__(model, *args, **more)
        device = self.args.device
        self.expert = expert.eval().requires_grad_(False).to(device) if expert is not None else None
        self.critic = deepcopy(model.preface).eval().requires_grad_(False).to(device)  # as it began
        self.config, self.adversarial_weight = model.config, adversarial_weight
        if adversarial_weight and self.args.world_size > 1:
            raise ValueError(
                f"adversarial_weight={adversarial_weight} and {self.args.world_size} processes would train an "
                f"adversary each: start one process, or leave it out."
            )
        self.adversary = Adversary(self.args.seed).to(device) if adversarial_weight else None
        if self.adversary is not None:
            self.add_callback(AdversaryFile(self.adversary))

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any) -> Any:
        """L1; in training with what the features and, from half of the steps on, the expert say."""
        outputs = model(**inputs)
        loss = outputs.loss
        if model.training:
            loss = loss + PERCEPTUAL * feature_distance(self.critic, self.config, outputs.frames, inputs["labels"])
            if self.expert is not None and self.state.global_step >= SYNC_FROM * self.state.max_steps:
                frames = outputs.frames, inputs["labels"]
                found, true = (
                    out_of_sync(self.expert, one, inputs["input_features"], self.config.audio_margin) for one in frames
                )
                # No mouth is to please the expert more than the true one.
                loss = loss + SYNC * (found - true).relu().mean()
            if self.adversary is not None:
                self.adversary.learn(outputs.frames, inputs["labels"])
                loss = loss + self.adversarial_weight * self.adversary.loss(outputs.frames)
        return (loss, outputs) if return_outputs else loss


def feature_distance(encoder: Any, config: Any, found: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the layers' tokens of frames `(B, T, 3, S, S)`, each token standardized."""
    layers = []
    for frames in (found, true):
        mean, std = (frames.new_tensor(values)[:, None, None] for values in (config.image_mean, config.image_std))
        with torch.set_grad_enabled(frames.requires_grad):
            states = encoder((frames - mean) / std, output_hidden_states=True).hidden_states[1:]
        layers.append([nn.functional.layer_norm(state, state.shape[-1:]) for state in states])
    return torch.stack([(one - other).abs().mean() for one, other in zip(*layers, strict=True)]).mean()


def out_of_sync(
    expert: PrefAceSyncModel, frames: torch.Tensor, input_features: torch.Tensor, margin: int
) -> torch.Tensor:
    """The expert's binary cross-entropy of mouths and their sound `(B,)`, of frames `(B, T, 3, S, S)`."""
    low = margin * MELS_PER_FRAME
    sounds = input_features[:, low : input_features.shape[1] - low]
    mouths = mouths_of(frames, expert.config.image_size)
    logits = expert(mouths, sounds).logits
    return nn.functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits), reduction="none")


def mouths_of(frames: torch.Tensor, size: int) -> torch.Tensor:
    """The mouths of tight faces `(B, T, 3, S, S)` as an expert sees them, gray `(B, T, 1, size, size)`."""
    left, top, right, bottom = (round(share * frames.shape[-1]) for share in MOUTH_IN_TIGHT)
    mouths = (frames[..., top:bottom, left:right] * frames.new_tensor(LUMA)[:, None, None]).sum(dim=2)  # (B, T, s, s)
    return nn.functional.interpolate(mouths, size=(size, size), mode="bilinear", antialias=True)[:, :, None]
