"""The student of PrefAce pretraining: the backbone with its two heads. Teacher, center and FaceFeat Cache live in the
objective (preface_hf/objectives), never in a checkpoint that is published."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import initialization as init
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .configuration_preface import PrefAceConfig
from .modeling_preface import PrefAceModel, PrefAcePreTrainedModel


@dataclass
class PrefAceForPreTrainingOutput(ModelOutput):
    r"""
    Output of [`PrefAceForPreTraining`].

    Args:
        prototype_logits (`torch.FloatTensor` of shape `(batch_size, num_prototypes)`):
            Cosine of the projected clip with every prototype, in [-1, 1]; divide by a temperature before a softmax.
        facefeat (`torch.FloatTensor` of shape `(batch_size, facefeat_size)`):
            Unit vector that is compared with the FaceFeat Cache.
        last_hidden_state (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`): Tokens.
        pooler_output (`torch.FloatTensor` of shape `(batch_size, hidden_size)`): Mean of the tokens.
        hidden_states, attentions (`tuple(torch.FloatTensor)`, *optional*): As in [`PrefAceModel`].
    """

    prototype_logits: torch.FloatTensor | None = None
    facefeat: torch.FloatTensor | None = None
    last_hidden_state: torch.FloatTensor | None = None
    pooler_output: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


class PrefAceProjector(nn.Module):
    """Three linear layers onto the unit sphere (DINO's head without its last layer)."""

    def __init__(self, config: PrefAceConfig, output_size: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(config.hidden_size, config.projector_hidden_size),
            nn.GELU(),
            nn.Linear(config.projector_hidden_size, config.projector_hidden_size),
            nn.GELU(),
            nn.Linear(config.projector_hidden_size, output_size),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.layers(features), dim=-1)


class PrefAceForPreTraining(PrefAcePreTrainedModel):
    """The encoder with a projector onto prototypes (self-distillation) and one into the FaceFeat Cache (identity).

    The heads see standardized features. Mean and deviation are running statistics, moved by the objective, so that a
    clip's output never depends on its batch.
    """

    feature_mean: torch.Tensor
    feature_std: torch.Tensor

    def __init__(self, config: PrefAceConfig):
        super().__init__(config)
        self.preface = PrefAceModel(config)
        # The pooled features of an untrained video transformer are nearly alike: heads that see them so take thousands
        # of steps more to tell clips apart, hence these (not stated by PrefAce, chosen).
        # They are in the checkpoint, unlike the positions: the heads that it holds were trained on them.
        self.register_buffer("feature_mean", torch.zeros(config.hidden_size))
        self.register_buffer("feature_std", torch.ones(config.hidden_size))
        self.projector = PrefAceProjector(config, config.projector_output_size)
        self.prototypes = nn.Linear(config.projector_output_size, config.num_prototypes, bias=False)
        self.facefeat_projector = PrefAceProjector(config, config.facefeat_size)
        self.post_init()

    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, PrefAceForPreTraining):
            init.zeros_(module.feature_mean)
            init.ones_(module.feature_std)

    def standardize(self, pooler_output: torch.Tensor) -> torch.Tensor:
        """Pooled features `(batch_size, hidden_size)` as the heads see them."""
        # The small number is for channels that never vary.
        return ((pooler_output - self.feature_mean) / (self.feature_std + 1e-4)).to(pooler_output.dtype)

    @can_return_tuple
    def forward(
        self, pixel_values_videos: torch.Tensor, bool_masked_pos: torch.BoolTensor | None = None, **kwargs
    ) -> PrefAceForPreTrainingOutput:
        r"""
        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch_size, num_frames, num_channels, height, width)`):
                One view per row, all of one size.
            bool_masked_pos (`torch.BoolTensor` of shape `(batch_size, sequence_length)`, *optional*):
                `True` leaves the token out.
        """
        encoded = self.preface(pixel_values_videos, bool_masked_pos, **kwargs)
        features = self.standardize(encoded.pooler_output)  # (B, D)
        # The projected clip is a unit vector, too: their product is a cosine.
        prototypes = nn.functional.normalize(self.prototypes.weight, dim=-1)  # (num_prototypes, projector_output_size)
        return PrefAceForPreTrainingOutput(
            prototype_logits=nn.functional.linear(self.projector(features), prototypes),
            facefeat=self.facefeat_projector(features),
            last_hidden_state=encoded.last_hidden_state,
            pooler_output=encoded.pooler_output,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )


__all__ = ["PrefAceForPreTraining", "PrefAceForPreTrainingOutput"]
