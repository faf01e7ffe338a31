"""The PrefAce backbone, a video vision transformer of VideoMAE's shape that takes any clip size, and the heads for
classification and landmarks. Read from the top.

Shapes at line ends: B clips, T frames, C channels, H and W pixels, N tokens, D hidden size, A heads.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.utils import ModelOutput, cached_file
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_preface import PrefAceConfig
from .loading_preface import check_weights, one_sentence
from .pooling_preface import PrefAceDropPath, PrefAcePooling


# What `from_pretrained` takes to find a file of a repository.
HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")


@dataclass
class PrefAceModelOutput(ModelOutput):
    r"""
    Output of [`PrefAceModel`].

    Args:
        last_hidden_state (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`):
            One vector for each visible token, ordered by time, then row, then column.
        pooler_output (`torch.FloatTensor` of shape `(batch_size, hidden_size)`):
            Mean of the tokens; with `norm_after_pooling`, the norm of the mean of the tokens before their norm.
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
    # In float64 and on the CPU whatever the default is: the same table everywhere, also where models are built on the
    # meta device.
    channel = torch.arange(hidden_size, dtype=torch.float64, device="cpu")
    rate = 10000 ** (-2 * (channel // 2) / hidden_size)
    angle = torch.arange(num_positions, dtype=torch.float64, device="cpu")[:, None] * rate  # (N, D)
    angle[:, 0::2] = angle[:, 0::2].sin()
    angle[:, 1::2] = angle[:, 1::2].cos()
    return angle[None].float()


def check_finite(pixels: torch.Tensor) -> None:
    """`ValueError` naming the first clip and frame of `(B, T, C, H, W)` with a NaN or infinity in it."""
    # Neither a compiled graph nor a meta tensor can tell values.
    if torch.compiler.is_compiling() or pixels.device.type == "meta" or pixels.isfinite().all():
        return
    clip, frame = (~pixels.isfinite()).flatten(2).any(dim=2).nonzero()[0].tolist()
    raise ValueError(
        f"pixel_values_videos holds NaN or infinity, first in clip {clip}, frame {frame}: look at that video, "
        f"and divide by no zero where you normalize."
    )


def check_mask(bool_masked_pos: torch.Tensor, tokens: torch.Tensor) -> None:
    """`ValueError` where a mask `(B, N)` does not fit tokens `(B, N, D)`, or keeps more of one clip than another."""
    batch, count, _ = tokens.shape
    if tuple(bool_masked_pos.shape) != (batch, count):
        raise ValueError(
            f"bool_masked_pos has shape {tuple(bool_masked_pos.shape)}, but ({batch} clips, {count} tokens) is needed."
        )
    counts = (~bool_masked_pos).sum(dim=1)  # (B,) visible tokens
    if counts.min() != counts.max():
        raise ValueError(
            f"bool_masked_pos keeps from {counts.min()} to {counts.max()} tokens a clip: mask the same number in each."
        )


class PrefAcePositions(nn.Module):
    """A place in time and space for each token: VideoMAE's fixed table for `grid`, and what it gives for others."""

    table: torch.Tensor

    def __init__(self, grid: tuple[int, int, int], width: int):
        super().__init__()
        self.grid, self.width = tuple(grid), width  # t, h, w
        self.register_buffer("table", self.make_table(), persistent=False)  # (1, t*h*w, width)

    def make_table(self) -> torch.Tensor:
        """Float32 `(1, t*h*w, width)`, on the CPU."""
        time, height, width = self.grid
        return sinusoid_positions(time * height * width, self.width)

    def _apply(self, fn, recurse=True):
        """As in torch, but the table is computed again."""
        # No checkpoint holds it: `to_empty` and `to("meta")` would leave nothing in it that loading could fill.
        # It stays float32, too: half precision would cost digits that interpolation needs.
        before = self.table
        super()._apply(fn, recurse)
        if self.table is not before:
            device = self.table.device
            self.table = self.make_table().to("cpu" if device.type == "meta" else device)
        return self

    def forward(self, grid: tuple[int, int, int]) -> torch.Tensor:
        """The table resampled over time and space to `grid` tokens: `(1, sequence_length, width)`."""
        if grid == self.grid:
            return self.table
        # Stretched over the clip: the middle of a longer one has the position of the middle of a training clip.
        table = self.table.reshape(1, *self.grid, -1).permute(0, 4, 1, 2, 3)  # (1, width, t, h, w)
        table = nn.functional.interpolate(table.float(), size=grid, mode="trilinear", align_corners=False)
        return table.flatten(2).transpose(1, 2)  # (1, N, width)


class PrefAceEmbeddings(nn.Module):
    """Cuts a clip into tubelets, projects each to a token and adds its place in time and space."""

    def __init__(self, config: PrefAceConfig):
        super().__init__()
        self.config = config
        # Kernel and stride are alike: tubelets do not overlap.
        kernel = (config.tubelet_size, config.patch_size, config.patch_size)
        self.projection = nn.Conv3d(config.num_channels, config.hidden_size, kernel_size=kernel, stride=kernel)
        # The weights learn this table of positions: whatever clip size the configuration asks for later, it stays.
        if config.pretrained_grid is None:
            config.pretrained_grid = list(config.grid_size)
        self.positions = PrefAcePositions(config.pretrained_grid, config.hidden_size)

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
        # Training on an accelerator goes without: the answer would make it wait at every step.
        if pixels.device.type == "cpu" or not self.training:
            check_finite(pixels)

    def forward(self, pixel_values_videos: torch.Tensor, bool_masked_pos: torch.Tensor | None = None) -> torch.Tensor:
        self.check_clip(pixel_values_videos)
        pixels = pixel_values_videos.transpose(1, 2).to(self.projection.weight.dtype)  # (B, C, T, H, W)
        tokens = self.projection(pixels)  # (B, D, t, h, w)
        positions = self.positions(tuple(tokens.shape[2:]))
        tokens = tokens.flatten(2).transpose(1, 2)  # (B, N, D)
        tokens = tokens + positions.to(tokens.device, tokens.dtype)
        # Masked tokens leave the sequence; those that are left keep their positions.
        if bool_masked_pos is not None:
            check_mask(bool_masked_pos, tokens)
            tokens = tokens[~bool_masked_pos].reshape(tokens.shape[0], -1, tokens.shape[2])  # (B, visible, D)
        return tokens


def eager_attention_forward(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
    """Attention written out: queries, keys, values `(B, A, N, d)` to `(B, N, A, d)` and the weights `(B, A, N, N)`."""
    weights = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        weights = weights + attention_mask
    # In half precision a sum over hundreds of tokens would lose digits.
    weights = nn.functional.softmax(weights, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class PrefAceAttention(nn.Module):
    """Multi-head self-attention; the implementation is the one set in the config (sdpa, flash, flex or eager)."""

    def __init__(self, config: PrefAceConfig, width: int, num_heads: int):
        super().__init__()
        self.config = config
        self.head_dim = width // num_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.q_proj = nn.Linear(width, width, bias=config.qv_bias)
        # A bias of the keys would add the same number to all scores of a query, and the softmax takes it out again.
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=config.qv_bias)
        self.o_proj = nn.Linear(width, width)

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
        # No mask: every token sees all others, and masked ones are not in the sequence.
        context, weights = attend(
            self, query, key, value, None, is_causal=False, scaling=self.scaling, dropout=dropout, **kwargs
        )
        return self.o_proj(context.reshape(hidden_states.shape)), weights


class PrefAceMLP(nn.Module):
    """The two linear layers of a transformer block."""

    def __init__(self, config: PrefAceConfig, width: int, inner: int):
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.activation = ACT2FN[config.hidden_act]
        self.fc2 = nn.Linear(inner, width)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.activation(self.fc1(hidden_states)))


class PrefAceLayer(GradientCheckpointingLayer):
    """A pre-norm transformer block, of the encoder or of a decoder."""

    def __init__(self, config: PrefAceConfig, width: int, num_heads: int, inner: int, drop_path: float = 0.0):
        super().__init__()
        self.layernorm_before = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.attention = PrefAceAttention(config, width, num_heads)
        self.layernorm_after = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.mlp = PrefAceMLP(config, width, inner)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.drop_path = PrefAceDropPath(drop_path)

    def forward(self, hidden_states: torch.Tensor, **kwargs) -> torch.Tensor:
        attended, _ = self.attention(self.layernorm_before(hidden_states), **kwargs)
        hidden_states = hidden_states + self.drop_path(self.dropout(attended))
        return hidden_states + self.drop_path(self.dropout(self.mlp(self.layernorm_after(hidden_states))))


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
    # What `output_hidden_states` and `output_attentions` collect.
    _can_record_outputs = {"hidden_states": PrefAceLayer, "attentions": PrefAceAttention}
    # Heads that other classes of the family save beside the encoder.
    _keys_to_ignore_on_load_unexpected = [
        r"^projector\.", r"^prototypes\.", r"^facefeat_projector\.", r"^feature_(mean|std)$", r"^classifier\.",
        r"^landmark_head\.", r"^decoder\.", r"^pooling\.",
    ]  # fmt: skip

    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        # Loading builds the model on the meta device: a buffer outside the checkpoint must be filled here.
        if isinstance(module, PrefAcePositions):
            init.copy_(module.table, module.make_table())
        if isinstance(module, PrefAcePooling) and module.kind == "attentive":
            init.normal_(module.query, std=self.config.initializer_range)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path,
        *args,
        config=None,
        ignore_mismatched_sizes=False,
        output_loading_info=False,
        **kwargs,
    ):
        """As in transformers, but the table of positions is the checkpoint's whatever `config` says.

        Raises `ValueError` for files that are no whole checkpoint, weights that are no numbers, weights of another
        shape than the configuration asks for, and weights of the encoder that are missing (`output_loading_info=True`
        lists these instead).
        """
        grid = cls._pretrained_grid(pretrained_model_name_or_path, config, kwargs)
        if grid and isinstance(config, PreTrainedConfig):
            # The caller's own stays as it is.
            config = deepcopy(config)
            config.pretrained_grid = grid
        elif grid:
            kwargs["pretrained_grid"] = grid
        # Weights of another shape are listed here and refused below, in a sentence that says what to do.
        with one_sentence(f"{pretrained_model_name_or_path} is no whole checkpoint"):
            model, info = super().from_pretrained(
                pretrained_model_name_or_path,
                *args,
                config=config,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **kwargs,
            )
        if info["mismatched_keys"] and not ignore_mismatched_sizes:
            name, *shapes = sorted(info["mismatched_keys"])[0]
            old, new = map(tuple, shapes)
            raise ValueError(
                f"{name} has shape {old} in the checkpoint, but the configuration asks for {new}: "
                f"give the sizes and num_labels it was saved with, or ignore_mismatched_sizes=True to start it anew."
            )
        # Who asks for the list of what is missing sees it.
        check_weights(model, [] if output_loading_info else info["missing_keys"])
        return (model, info) if output_loading_info else model

    @classmethod
    def _pretrained_grid(cls, path, config, kwargs) -> list[int] | None:
        """The grid of a checkpoint that is opened with a configuration from elsewhere, else `None`."""
        if config is None or path is None:
            return None
        # The checkpoint's own configuration knows its grid.
        if getattr(config, "name_or_path", None) == str(path) and config.pretrained_grid:
            return None
        hub = {name: kwargs[name] for name in HUB_ARGUMENTS if name in kwargs}
        try:
            return cls.config_class.from_pretrained(path, **hub).pretrained_grid
        except OSError:  # weights alone, without a config.json
            return None

    def save_pretrained(self, save_directory, *args, **kwargs):
        """As in transformers; the code of every class goes along, for `trust_remote_code=True`."""
        super().save_pretrained(save_directory, *args, **kwargs)
        if kwargs.get("is_main_process", True):
            # transformers copies the module of this class and what that imports; the other doors need theirs.
            doors = self.config.auto_map.values()  # of a model from the Hub with its name, `org/name--file.Class`
            for module in sorted({reference.split("--")[-1].split(".")[0] for reference in doors}):
                source, target = self._code_file(f"{module}.py"), Path(save_directory) / f"{module}.py"
                if source.resolve() != target.resolve():
                    copyfile(source, target)

    def _code_file(self, name: str) -> Path:
        """A file of this code. As remote code only what was needed is here; the rest is where the model came from."""
        beside = Path(__file__).parent / name
        return beside if beside.exists() else Path(cached_file(self.name_or_path, name))


class PrefAceModel(PrefAcePreTrainedModel):
    """The encoder: clips in, one vector per token and one per clip out."""

    def __init__(self, config: PrefAceConfig):
        super().__init__(config)
        self.embeddings = PrefAceEmbeddings(config)
        sizes = config.hidden_size, config.num_attention_heads, config.intermediate_size
        # Rising from 0: the first layers, which all others need, are left out least.
        rates = [
            config.drop_path_rate * i / max(config.num_hidden_layers - 1, 1) for i in range(config.num_hidden_layers)
        ]
        self.layers = nn.ModuleList(PrefAceLayer(config, *sizes, drop_path=rate) for rate in rates)
        norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.layernorm = norm if config.use_final_norm else nn.Identity()
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The projection of tubelets to tokens, a `Conv3d`."""
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
        # The mean of the norms is not the norm of the mean: converted weights need the one that they know.
        normed = self.layernorm(hidden_states)
        pooled = self.layernorm(hidden_states.mean(dim=1)) if self.config.norm_after_pooling else normed.mean(dim=1)
        return PrefAceModelOutput(last_hidden_state=normed, pooler_output=pooled)


class PrefAceHeadModel(PrefAcePreTrainedModel):
    """An encoder that a head is put on; `config.freeze_encoder` lets the head train alone."""

    def __init__(self, config: PrefAceConfig):
        super().__init__(config)
        self.preface = PrefAceModel(config)
        self.preface.requires_grad_(not config.freeze_encoder)

    @classmethod
    def from_pretrained(cls, *args, **kwargs):
        """As in transformers; loading makes the parameters anew, so a frozen encoder is frozen again."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.preface.requires_grad_(not model.config.freeze_encoder)
        return loaded

    def get_input_embeddings(self) -> nn.Module:
        return self.preface.get_input_embeddings()

    def train(self, mode: bool = True):
        """As in torch; a frozen encoder stays in evaluation mode (no dropout)."""
        super().train(mode)
        self.preface.train(mode and not self.config.freeze_encoder)
        return self


class PrefAceForVideoClassification(PrefAceHeadModel):
    """The encoder with a linear classifier (or regressor) on the pooled clip (see `config.classifier_pooling`).

    `config.problem_type` is `"single_label_classification"`, `"multi_label_classification"` or `"regression"`; left
    `None`, the first labels decide: `num_labels=1` is regression, an integer a clip a single label, `num_labels`
    numbers a clip (integers, booleans or floats) multiple labels.
    """

    def __init__(self, config: PrefAceConfig):
        super().__init__(config)
        self.pooling = PrefAcePooling(config)
        self.classifier = nn.Linear(self.pooling.width, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values_videos: torch.Tensor,
        bool_masked_pos: torch.BoolTensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> ImageClassifierOutput:
        r"""
        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch_size, num_frames, num_channels, height, width)`):
                Clips as [`PrefAceVideoProcessor`] makes them.
            bool_masked_pos (`torch.BoolTensor` of shape `(batch_size, sequence_length)`, *optional*):
                `True` leaves the token out.
            labels (`torch.Tensor`, *optional*): Single label: integers of shape `(batch_size,)` in [0, num_labels),
                -100 is left out of the loss. Multiple labels: 0 to 1 (floats, integers or booleans), and regression:
                any numbers, of shape `(batch_size, num_labels)`, or `(batch_size,)` with `num_labels=1`.

        Returns `loss` (with labels: cross-entropy, binary cross-entropy or mean squared error), `logits` of shape
        `(batch_size, num_labels)`, and `hidden_states` and `attentions` as in [`PrefAceModel`]. Raises `ValueError`
        for labels that do not fit `num_labels`.
        """
        if self.pooling.kind == "layers":
            kwargs["output_hidden_states"] = True
        encoded = self.preface(pixel_values_videos, bool_masked_pos, **kwargs)
        features = self.pooling(self.preface, encoded, pixel_values_videos.shape)  # (B, width)
        logits = self.classifier(features)  # (B, num_labels)
        loss = None
        if labels is not None:
            labels = self.fit_labels(labels, logits)
            # In float32: half precision would lose digits of a sum over the batch.
            loss = self.loss_function(labels, logits.float(), self.config)
        return ImageClassifierOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )

    def fit_labels(self, labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The labels as the loss takes them; `ValueError` where they do not fit `logits` `(B, num_labels)` and the
        kind of problem, which the first labels decide."""
        # `loss_function` would decide by the dtype alone; an error from in there would name no setting.
        count, batch, shape = self.config.num_labels, len(logits), tuple(labels.shape)
        integers = not labels.is_floating_point() and labels.dtype != torch.bool
        problem = self.config.problem_type
        if problem is None:
            several = "single_label" if integers and labels.ndim < 2 else "multi_label"
            problem = "regression" if count == 1 else f"{several}_classification"
        if problem == "single_label_classification":
            self.check_classes(labels, integers, batch)
            self.config.problem_type = problem
            return labels.long()
        if shape != (batch, count) and (shape, count) != ((batch,), 1):
            raise ValueError(
                f"labels have shape {shape}, but ({batch} clips, num_labels={count}) is needed: open the model with "
                f"another num_labels, or set problem_type for single labels."
            )
        # Of one label a clip may have the number alone. Whole numbers and yes or no are numbers to these losses.
        labels = labels.reshape(batch, count).float()
        free = problem == "regression" or torch.compiler.is_compiling()
        if not free and not ((labels >= 0) & (labels <= 1)).all():  # NaN is neither
            raise ValueError(
                f"labels go from {labels.min():g} to {labels.max():g}, but multiple labels are 0 or 1: set "
                f"problem_type to regression for other numbers."
            )
        self.config.problem_type = problem
        return labels

    def check_classes(self, labels: torch.Tensor, integers: bool, batch: int) -> None:
        """`ValueError` where `labels` are not a class number for each clip of the batch."""
        count = self.config.num_labels
        if tuple(labels.shape) != (batch,) or not integers:
            raise ValueError(
                f"labels have shape {tuple(labels.shape)} and dtype {labels.dtype}, but single labels are "
                f"integers of shape ({batch},): give one integer for each clip, or set another problem_type."
            )
        if not torch.compiler.is_compiling() and ((labels >= count) | (labels < 0) & (labels != -100)).any():
            raise ValueError(
                f"labels go from {labels.min()} to {labels.max()}, but num_labels={count} allows 0 to "
                f"{count - 1}: open the model with num_labels=…, or number the labels from 0."
            )


@dataclass
class PrefAceLandmarkDetectionOutput(ModelOutput):
    r"""
    Output of [`PrefAceForLandmarkDetection`].

    Args:
        loss (`torch.FloatTensor` of shape `()`, *optional*, with `labels`):
            Mean absolute error, in widths (x) and heights (y) of the clip.
        landmarks (`torch.FloatTensor` of shape `(batch_size, num_frames, num_landmarks, 2)`):
            x then y in pixels of the input clip, float32; the center of the top left pixel is (0, 0).
        hidden_states, attentions (`tuple(torch.FloatTensor)`, *optional*): As in [`PrefAceModel`].
    """

    loss: torch.FloatTensor | None = None
    landmarks: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


class PrefAceLandmarkHead(nn.Module):
    """Each token votes for where a point is; the answer is the mean of the votes, weighted by a softmax over the frame
    (integral regression, Sun et al. 2018, with offsets; not stated by PrefAce, chosen). It works at any clip size."""

    def __init__(self, config: PrefAceConfig):
        super().__init__()
        self.config = config
        self.weights = nn.Linear(config.hidden_size, config.tubelet_size * config.num_landmarks)
        self.offsets = nn.Linear(config.hidden_size, config.tubelet_size * config.num_landmarks * 2)

    def forward(self, tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Tokens `(B, N, D)` of clips of `height` x `width` pixels to points `(B, T, num_landmarks, 2)` in pixels."""
        config = self.config
        rows, columns = height // config.patch_size, width // config.patch_size
        tokens = tokens.unflatten(1, (-1, rows * columns))  # (B, t, h*w, D)
        per_frame = (config.tubelet_size, config.num_landmarks)
        # Pixels need more digits than half precision has.
        weights = self.weights(tokens).float().softmax(dim=2).unflatten(-1, per_frame)  # (B, t, h*w, T/t, points)
        offsets = self.offsets(tokens).float().unflatten(-1, (*per_frame, 2))  # in patches
        # Centers of the patches, counted in patches, row by row as the tokens come.
        x = torch.arange(columns, device=tokens.device).repeat(rows)
        y = torch.arange(rows, device=tokens.device).repeat_interleave(columns)
        centers = torch.stack([x, y], dim=-1)[:, None, None] + 0.5  # (h*w, 1, 1, 2)
        points = ((centers + offsets) * weights[..., None]).sum(dim=2)  # (B, t, T/t, points, 2)
        # Back to pixels, which are counted from the center of the first one.
        return points.flatten(1, 2) * config.patch_size - 0.5


class PrefAceForLandmarkDetection(PrefAceHeadModel):
    """The encoder with a head that finds the landmarks of every frame (iBUG-68 unless `config.num_landmarks` says
    otherwise; left and right are the subject's). For a still image give a clip of `tubelet_size` identical frames."""

    def __init__(self, config: PrefAceConfig):
        super().__init__(config)
        self.landmark_head = PrefAceLandmarkHead(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self, pixel_values_videos: torch.Tensor, labels: torch.Tensor | None = None, **kwargs
    ) -> PrefAceLandmarkDetectionOutput:
        r"""
        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch_size, num_frames, num_channels, height, width)`):
                Clips as [`PrefAceVideoProcessor`] makes them.
            labels (`torch.FloatTensor` of shape `(batch_size, num_frames, num_landmarks, 2)`, *optional*):
                x then y in pixels of `pixel_values_videos`. Raises `ValueError` for another shape.
        """
        encoded = self.preface(pixel_values_videos, **kwargs)
        height, width = pixel_values_videos.shape[-2:]
        landmarks = self.landmark_head(encoded.last_hidden_state, height, width)
        loss = None
        if labels is not None:
            if labels.shape != landmarks.shape:
                raise ValueError(
                    f"labels have shape {tuple(labels.shape)}, but (batch, frames, num_landmarks, 2) = "
                    f"{tuple(landmarks.shape)} is needed: give every frame its points, or change num_landmarks."
                )
            # In shares of the clip, so that the loss does not depend on its size.
            loss = ((landmarks - labels).abs() / landmarks.new_tensor([width, height])).mean()
        return PrefAceLandmarkDetectionOutput(
            loss=loss, landmarks=landmarks, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )


__all__ = [
    "PrefAceForLandmarkDetection",
    "PrefAceForVideoClassification",
    "PrefAceLandmarkDetectionOutput",
    "PrefAceModel",
    "PrefAceModelOutput",
    "PrefAcePreTrainedModel",
]
