"""The student of pretraining: the backbone with the heads of its method. Teacher, center, FaceFeat Cache and critic
live in the objective (preface_hf/objectives), never in a checkpoint that is published.

Shapes at line ends: B clips, N tokens of a clip, M of them masked, D hidden size, W width of the decoder.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .configuration_preface import PrefAceConfig
from .modeling_preface import PrefAceLayer, PrefAceModel, PrefAcePositions, PrefAcePreTrainedModel


@dataclass
class PrefAceForPreTrainingOutput(ModelOutput):
    r"""
    Output of [`PrefAceForPreTraining`]; what the method has no head for is `None`.

    Args:
        prototype_logits (`torch.FloatTensor` of shape `(batch_size, num_prototypes)`):
            Cosine of the projected clip with every prototype, in [-1, 1]; divide by a temperature before a softmax.
        facefeat (`torch.FloatTensor` of shape `(batch_size, facefeat_size)`):
            Unit vector that is compared with the FaceFeat Cache.
        reconstruction (`torch.FloatTensor` of shape `(batch_size, masked_tokens, cube)`):
            The cubes of the masked tokens, ordered by time, then row, then column. A cube has `tubelet_size`,
            `patch_size`, `patch_size`, `num_channels` values in this order (VideoMAE).
        last_hidden_state (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`): Tokens.
        pooler_output (`torch.FloatTensor` of shape `(batch_size, hidden_size)`): Mean of the tokens.
        hidden_states, attentions (`tuple(torch.FloatTensor)`, *optional*): As in [`PrefAceModel`].
    """

    prototype_logits: torch.FloatTensor | None = None
    facefeat: torch.FloatTensor | None = None
    reconstruction: torch.FloatTensor | None = None
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


class PrefAceDecoder(nn.Module):
    """Predicts the pixels of masked tokens from the visible ones (VideoMAE, MARLIN): a few narrow layers, which see a
    learned token, with its position, in the place of each that was masked."""

    def __init__(self, config: PrefAceConfig, grid: tuple[int, int, int]):
        super().__init__()
        width = config.decoder_hidden_size
        sizes = width, config.decoder_num_attention_heads, config.decoder_intermediate_size
        self.projection = nn.Linear(config.hidden_size, width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = PrefAcePositions(grid, width)
        self.layers = nn.ModuleList(PrefAceLayer(config, *sizes) for _ in range(config.decoder_num_hidden_layers))
        self.layernorm = nn.LayerNorm(width, eps=1e-5)  # of both, whatever the encoder's
        self.head = nn.Linear(width, config.num_channels * config.tubelet_size * config.patch_size**2)

    def forward(
        self, visible: torch.Tensor, bool_masked_pos: torch.Tensor, grid: tuple[int, int, int]
    ) -> torch.Tensor:
        """Visible tokens `(B, N - M, D)` and the mask `(B, N)`, `True` where masked, to the cubes `(B, M, cube)`."""
        clips, width = len(visible), self.positions.width
        positions = self.positions(grid).to(visible.device, self.mask_token.dtype).expand(clips, -1, -1)  # (B, N, W)
        seen = self.projection(visible) + positions[~bool_masked_pos].reshape(clips, -1, width)
        masked = self.mask_token + positions[bool_masked_pos].reshape(clips, -1, width)
        hidden_states = torch.cat([seen, masked], dim=1)
        for layer in self.layers:
            hidden_states = layer(hidden_states)
        # Visible tokens have served: their pixels are not predicted.
        return self.head(self.layernorm(hidden_states[:, seen.shape[1] :]))


class PrefAceForPreTraining(PrefAcePreTrainedModel):
    """The encoder with the heads of `config.pretraining_method`.

    marlin and videomae have a decoder. The others have a projector onto prototypes (self-distillation), preface also
    one into the FaceFeat Cache (identity). Projectors see standardized features. Mean and deviation are running
    statistics, moved by the objective, so that a clip's output never depends on its batch.
    """

    feature_mean: torch.Tensor
    feature_std: torch.Tensor
    # `None` where the method has no such head.
    decoder: Any
    projector: Any
    prototypes: Any
    facefeat_projector: Any

    def __init__(self, config: PrefAceConfig):
        super().__init__(config)
        self.preface = PrefAceModel(config)
        heads = config.pretraining_heads
        self.decoder = self.projector = self.prototypes = self.facefeat_projector = None
        if "decoder" in heads:
            self.decoder = PrefAceDecoder(config, self.preface.embeddings.positions.grid)
        if "projector" in heads:
            # The pooled features of an untrained video transformer are nearly alike: heads that see them so take
            # thousands of steps more to tell clips apart, hence these (not stated by PrefAce, chosen).
            # They are in the checkpoint, unlike the positions: the heads that it holds were trained on them.
            self.register_buffer("feature_mean", torch.zeros(config.hidden_size))
            self.register_buffer("feature_std", torch.ones(config.hidden_size))
            self.projector = PrefAceProjector(config, config.projector_output_size)
            self.prototypes = nn.Linear(config.projector_output_size, config.num_prototypes, bias=False)
        if "facefeat_projector" in heads:
            self.facefeat_projector = PrefAceProjector(config, config.facefeat_size)
        self.post_init()

    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, PrefAceForPreTraining) and module.projector is not None:
            init.zeros_(module.feature_mean)
            init.ones_(module.feature_std)
        if isinstance(module, PrefAceDecoder):
            init.normal_(module.mask_token, std=self.config.initializer_range)

    def standardize(self, pooler_output: torch.Tensor) -> torch.Tensor:
        """Pooled features `(batch_size, hidden_size)` as the projectors see them."""
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
                `True` leaves the token out; a decoder predicts it. marlin and videomae need it.
        """
        if self.decoder is not None and (bool_masked_pos is None or not bool_masked_pos.any()):
            raise ValueError(
                f"bool_masked_pos leaves {self.config.pretraining_method} nothing to predict: mask some tokens of "
                f"each clip (preface_hf.data.masking draws masks)."
            )
        encoded = self.preface(pixel_values_videos, bool_masked_pos, **kwargs)
        output = PrefAceForPreTrainingOutput(
            last_hidden_state=encoded.last_hidden_state,
            pooler_output=encoded.pooler_output,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )
        if self.decoder is not None:
            grid = self.config.grid_of(pixel_values_videos.shape)
            output.reconstruction = self.decoder(encoded.last_hidden_state, bool_masked_pos, grid)
            return output
        features = self.standardize(encoded.pooler_output)  # (B, D)
        # The projected clip is a unit vector, too: their product is a cosine.
        prototypes = nn.functional.normalize(self.prototypes.weight, dim=-1)  # (num_prototypes, width)
        logits: Any = nn.functional.linear(self.projector(features), prototypes)
        output.prototype_logits = logits
        if self.facefeat_projector is not None:
            output.facefeat = self.facefeat_projector(features)
        return output


__all__ = ["PrefAceForPreTraining", "PrefAceForPreTrainingOutput"]
