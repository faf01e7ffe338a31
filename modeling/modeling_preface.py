"""The PrefAce backbone: a video vision transformer of VideoMAE's shape that takes any clip size. Read from the top.

Shapes at line ends: B clips, T frames, C channels, H and W pixels, N tokens, D hidden size, A heads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

import torch
from torch import nn
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.utils import ModelOutput, cached_file
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_preface import AUTO_MAP, PrefAceConfig


@dataclass
class PrefAceModelOutput(ModelOutput):
    r"""
    Output of [`PrefAceModel`].

    Args:
        last_hidden_state (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`):
            One vector for each visible token, ordered by time, then row, then column.
        pooler_output (`torch.FloatTensor` of shape `(batch_size, hidden_size)`): Mean of the tokens.
        hidden_states (`tuple(torch.FloatTensor)`, *optional*, with `output_hidden_states=True`):
            Output of the embeddings and of each layer, each of shape `(batch_size, sequence_length, hidden_size)`.
        attentions (`tuple(torch.FloatTensor)`, *optional*, with `output_attentions=True`):
            One tensor per layer of shape `(batch_size, num_heads, sequence_length, sequence_length)`.
    """

    last_hidden_state: torch.FloatTensor | None = None
    pooler_output: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


def sinusoid_positions(num_positions: int, hidden_size: int) -> torch.Tensor:
    """VideoMAE's fixed table: position p, channel j is sin (even j) or cos (odd j) of p / 10000^(2⌊j/2⌋/D).

    Returns a float32 tensor of shape `(1, num_positions, hidden_size)`.
    """
    channel = torch.arange(hidden_size, dtype=torch.float64, device="cpu")
    rate = 10000 ** (-2 * (channel // 2) / hidden_size)
    angle = torch.arange(num_positions, dtype=torch.float64, device="cpu")[:, None] * rate  # (N, D)
    angle[:, 0::2] = angle[:, 0::2].sin()
    angle[:, 1::2] = angle[:, 1::2].cos()
    return angle[None].float()


class PrefAceEmbeddings(nn.Module):
    """Cuts a clip into tubelets, projects each to a token and adds its place in time and space."""

    positions: torch.Tensor

    def __init__(self, config: PrefAceConfig):
        super().__init__()
        self.config = config
        kernel = (config.tubelet_size, config.patch_size, config.patch_size)
        self.projection = nn.Conv3d(config.num_channels, config.hidden_size, kernel_size=kernel, stride=kernel)
        self.register_buffer("positions", self.position_table(), persistent=False)

    def position_table(self) -> torch.Tensor:
        time, height, width = self.config.grid_size
        return sinusoid_positions(time * height * width, self.config.hidden_size)

    def interpolate_positions(self, grid: tuple[int, int, int]) -> torch.Tensor:
        """The table resampled over time and space to `grid` tokens: `(1, sequence_length, hidden_size)`."""
        if grid == self.config.grid_size:
            return self.positions
        table = self.positions.reshape(1, *self.config.grid_size, -1).permute(0, 4, 1, 2, 3)  # (1, D, t, h, w)
        table = nn.functional.interpolate(table.float(), size=grid, mode="trilinear", align_corners=False)
        return table.flatten(2).transpose(1, 2)

    def check_clip(self, pixels: torch.Tensor) -> None:
        config = self.config
        if pixels.ndim != 5 or pixels.shape[2] != config.num_channels:
            raise ValueError(
                f"pixel_values_videos has shape {tuple(pixels.shape)}, but (batch, frames, {config.num_channels} "
                f"channels, height, width) is needed: let PrefAceVideoProcessor make it."
            )
        for axis, part in ((1, "tubelet_size"), (3, "patch_size"), (4, "patch_size")):
            if pixels.shape[axis] % getattr(config, part) or not pixels.shape[axis]:
                name = {1: "frame count", 3: "height", 4: "width"}[axis]
                raise ValueError(
                    f"the {name} {pixels.shape[axis]} of pixel_values_videos is not a multiple of "
                    f"{part}={getattr(config, part)}: crop, resize or repeat frames until it is."
                )

    def forward(self, pixel_values_videos: torch.Tensor, bool_masked_pos: torch.Tensor | None = None) -> torch.Tensor:
        self.check_clip(pixel_values_videos)
        pixels = pixel_values_videos.transpose(1, 2).to(self.projection.weight.dtype)  # (B, C, T, H, W)
        tokens = self.projection(pixels)  # (B, D, t, h, w)
        positions = self.interpolate_positions(tuple(tokens.shape[2:]))
        tokens = tokens.flatten(2).transpose(1, 2)  # (B, N, D)
        tokens = tokens + positions.to(tokens.dtype)
        if bool_masked_pos is not None:
            tokens = tokens[~bool_masked_pos].reshape(tokens.shape[0], -1, tokens.shape[2])
        return tokens


def eager_attention_forward(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
    """Attention written out: queries, keys, values `(B, A, N, d)` to `(B, N, A, d)` and the weights `(B, A, N, N)`."""
    weights = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        weights = weights + attention_mask
    weights = nn.functional.softmax(weights, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class PrefAceAttention(nn.Module):
    """Multi-head self-attention; the implementation is the one set in the config (sdpa, flash, flex or eager)."""

    def __init__(self, config: PrefAceConfig):
        super().__init__()
        self.config = config
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=config.qv_bias)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=config.qv_bias)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: torch.Tensor, **kwargs) -> tuple[torch.Tensor, torch.Tensor | None]:
        heads = (*hidden_states.shape[:-1], -1, self.head_dim)
        query, key, value = (
            project(hidden_states).view(heads).transpose(1, 2)  # (B, A, N, d)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        attend: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        context, weights = attend(
            self, query, key, value, None, is_causal=False, scaling=self.scaling, dropout=dropout, **kwargs
        )
        return self.o_proj(context.reshape(hidden_states.shape)), weights


class PrefAceMLP(nn.Module):
    """The two linear layers of a transformer block."""

    def __init__(self, config: PrefAceConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.activation(self.fc1(hidden_states)))


class PrefAceLayer(GradientCheckpointingLayer):
    """A pre-norm transformer block."""

    def __init__(self, config: PrefAceConfig):
        super().__init__()
        self.layernorm_before = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = PrefAceAttention(config)
        self.layernorm_after = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = PrefAceMLP(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden_states: torch.Tensor, **kwargs) -> torch.Tensor:
        attended, _ = self.attention(self.layernorm_before(hidden_states), **kwargs)
        hidden_states = hidden_states + self.dropout(attended)
        return hidden_states + self.dropout(self.mlp(self.layernorm_after(hidden_states)))


class PrefAcePreTrainedModel(PreTrainedModel):
    """What every PrefAce model shares: initial weights, attention back ends, and checkpoints that carry their code."""

    config: PrefAceConfig
    config_class = PrefAceConfig
    base_model_prefix = "preface"
    main_input_name = "pixel_values_videos"
    input_modalities = ("video",)
    supports_gradient_checkpointing = True
    _no_split_modules = ["PrefAceEmbeddings", "PrefAceLayer"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": PrefAceLayer, "attentions": PrefAceAttention}

    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        # Loading builds the model on the meta device: a buffer outside the checkpoint must be filled here.
        if isinstance(module, PrefAceEmbeddings):
            init.copy_(module.positions, module.position_table())

    def save_pretrained(self, save_directory, *args, **kwargs):
        """As in transformers; the code of every class goes along, for `trust_remote_code=True`."""
        super().save_pretrained(save_directory, *args, **kwargs)
        if kwargs.get("is_main_process", True):
            for module in sorted({reference.split(".")[0] for reference in AUTO_MAP.values()}):
                source, target = self._code_file(f"{module}.py"), Path(save_directory) / f"{module}.py"
                if source.resolve() != target.resolve():
                    copyfile(source, target)

    def _code_file(self, name: str) -> Path:
        """A file of this code. As remote code only what was needed is here; the rest is where the model came from."""
        beside = Path(__file__).parent / name
        return beside if beside.exists() else Path(cached_file(self.name_or_path, name))


class PrefAceModel(PrefAcePreTrainedModel):
    """The encoder: clips in, one vector per token and one per clip out."""

    # Heads that other classes of the family save beside the encoder.
    _keys_to_ignore_on_load_unexpected = [r"^projector\.", r"^prototypes\.", r"^facefeat_projector\.", r"^feature_"]

    def __init__(self, config: PrefAceConfig):
        super().__init__(config)
        self.embeddings = PrefAceEmbeddings(config)
        self.layers = nn.ModuleList(PrefAceLayer(config) for _ in range(config.num_hidden_layers))
        norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.layernorm = norm if config.use_final_norm else nn.Identity()
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.projection

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self, pixel_values_videos: torch.Tensor, bool_masked_pos: torch.BoolTensor | None = None, **kwargs
    ) -> PrefAceModelOutput:
        r"""
        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch_size, num_frames, num_channels, height, width)`):
                Clips as [`PrefAceVideoProcessor`] makes them. Frames must be a multiple of `tubelet_size`, height and
                width of `patch_size`; a `ValueError` names what is not.
            bool_masked_pos (`torch.BoolTensor` of shape `(batch_size, sequence_length)`, *optional*):
                `True` leaves the token out. Every clip of the batch must keep the same number of tokens.

        Example:

        ```python
        >>> model = PrefAceModel.from_pretrained(folder)
        >>> clip = PrefAceVideoProcessor.from_pretrained(folder)("face.mp4", return_tensors="pt")
        >>> model(**clip).pooler_output.shape
        torch.Size([1, 768])
        ```
        """
        hidden_states = self.embeddings(pixel_values_videos, bool_masked_pos)
        for layer in self.layers:
            hidden_states = layer(hidden_states, **kwargs)
        hidden_states = self.layernorm(hidden_states)
        return PrefAceModelOutput(last_hidden_state=hidden_states, pooler_output=hidden_states.mean(dim=1))


__all__ = ["PrefAceModel", "PrefAceModelOutput", "PrefAcePreTrainedModel"]
