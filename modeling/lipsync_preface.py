"""The lip-sync generator: the mouth of a face that fits another sound.

The PrefAce encoder sees the face without its lower half, and a window of the same person from elsewhere (Wav2Lip's
inputs, Prajwal et al. 2020); a decoder joins their tokens with the sound and draws the lower half. Sizes are chosen
for a CPU, no paper states them.

Not to be used to put words into a person's mouth without their consent.

Shapes at line ends: B windows, T frames, M mel frames, S side of a picture, N tokens, D hidden size, W width of the
decoder, A of the sound, C channels of a map.
"""

from dataclasses import dataclass

import numpy as np
import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from transformers import initialization as init
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .configuration_preface import PrefAceConfig
from .modeling_preface import PrefAceHeadModel, PrefAceLayer, PrefAcePositions
from .sync_preface import MELS_PER_FRAME, NUM_MELS, convolution, log_mels


MOST_FLOW = 0.25  # how far a pixel of the reference may be moved, in half sides of the picture


def level_of(mels: np.ndarray) -> float:
    """How loud the loud parts of a recording are, of its log-mel frames `(M, 80)`: the model hears what is below."""
    return float(np.percentile(mels.mean(axis=1), 95))


def blend_mask(size: int) -> torch.Tensor:
    """How much of the drawn picture is shown, float32 `(S, S)`: 0 in the upper half and at the border, 1 about mouth
    and chin, soft between."""
    place = (torch.arange(size) + 0.5) / size
    rows = ((place - 0.5) * 8).clamp(0, 1) * ((1 - place) * 16).clamp(0, 1)
    columns = (torch.minimum(place, 1 - place) * 8).clamp(0, 1)
    return rows[:, None] * columns


@strict
class PrefAceLipSyncConfig(PrefAceConfig):
    r"""
    Configuration of [`PrefAceForLipSync`]: that of its encoder ([`PrefAceConfig`], whose `decoder_*` are the widths of
    the decoder's layers), and what follows.

    Args:
        audio_hidden_size (`int`, defaults to 64): width of what is heard at a frame.
        audio_margin (`int`, defaults to 4): frames of sound before and after the window that are heard too.
        generator_channels (`int`, defaults to 16): channels of the decoder's maps at full size, up to four times as
            many at smaller ones.
        image_mean, image_std (`list[float]`): what the encoder's values are normalized by, of ImageNet by default.
    """

    model_type = "preface_lipsync"

    audio_hidden_size: int = 64
    audio_margin: int = 4
    generator_channels: int = 16
    image_mean: list[float] | tuple[float, ...] = (0.485, 0.456, 0.406)
    image_std: list[float] | tuple[float, ...] = (0.229, 0.224, 0.225)

    def __post_init__(self, **kwargs):
        doors = {**LIPSYNC_AUTO_MAP, **(kwargs.pop("auto_map", None) or {})}
        super().__post_init__(**kwargs)
        self.auto_map = doors

    def _check_sizes(self):
        super()._check_sizes()
        for name, least in (("audio_hidden_size", 1), ("audio_margin", 0), ("generator_channels", 1)):
            if not least <= getattr(self, name) <= 2**16:
                raise ValueError(f"{name}={getattr(self, name)} must be from {least} to 65536: correct it.")
        if self.patch_size & (self.patch_size - 1) or self.image_size // self.patch_size % 2:
            raise ValueError(
                f"image_size={self.image_size} must have an even number of patches, whose patch_size="
                f"{self.patch_size} must be a power of 2: take another encoder or another image_size."
            )


LIPSYNC_AUTO_MAP = {
    "AutoConfig": "lipsync_preface.PrefAceLipSyncConfig",
    "AutoModel": "lipsync_preface.PrefAceForLipSync",
}


@dataclass
class PrefAceForLipSyncOutput(ModelOutput):
    r"""
    Output of [`PrefAceForLipSync`].

    Args:
        loss (`torch.FloatTensor`, *optional*, with `labels`): Mean absolute error of the lower half, more about the
            mouth.
        frames (`torch.FloatTensor` of shape `(batch_size, num_frames, 3, height, width)`): Values from 0 to 1.
    """

    loss: torch.FloatTensor | None = None
    frames: torch.FloatTensor | None = None


class PrefAceSound(nn.Module):
    """Mel frames to a step for each frame of the window; those of the margin are only heard."""

    def __init__(self, config: PrefAceLipSyncConfig):
        super().__init__()
        width, self.margin = config.audio_hidden_size, config.audio_margin
        self.steps = nn.Sequential(
            convolution(nn.Conv1d, NUM_MELS, width, 5),
            convolution(nn.Conv1d, width, width, 5, 2),
            convolution(nn.Conv1d, width, width, 5, 2),
        )
        self.context = convolution(nn.Conv1d, width, width, 5)

    def forward(self, input_features: torch.Tensor) -> torch.Tensor:
        # From silence to loud, 4 in log-mels, is about from -1 to 1.
        steps = self.steps((input_features.clamp(min=-4) / 2 + 1).transpose(1, 2))  # (B, A, T + 2 margins)
        steps = steps + self.context(steps)
        return steps[..., self.margin : steps.shape[-1] - self.margin].transpose(1, 2)  # (B, T, A)


class PrefAceMaps(nn.Sequential):
    """A convolution, norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        norm = nn.GroupNorm(min(8, outputs), outputs)
        super().__init__(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), norm, nn.SiLU())


class PrefAceDrawingStage(nn.Module):
    """Twice as large: maps of frames, those of what is known at that size, and what is heard."""

    def __init__(self, inputs: int, skips: int, outputs: int, heard: int):
        super().__init__()
        self.convolution = nn.Conv2d(inputs + skips, outputs, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(min(8, outputs), outputs)
        self.hear = nn.Linear(heard, 2 * outputs)

    def forward(self, maps: torch.Tensor, skips: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
        maps = torch.cat([nn.functional.interpolate(maps, scale_factor=2.0), skips], dim=1)  # (B * T, C, h, w)
        scale, shift = self.hear(heard)[..., None, None].chunk(2, dim=1)  # (B * T, outputs, 1, 1)
        return nn.functional.silu(self.norm(self.convolution(maps)) * (1 + scale) + shift)


class PrefAceDrawing(nn.Module):
    """Tokens of the lower half to its pixels: those of the reference's middle frame, moved and repainted.

    Convolutions see that frame beside the upper half of each frame: where the head is, tokens alone tell too coarsely.
    """

    def __init__(self, config: PrefAceLipSyncConfig):
        super().__init__()
        self.config = config
        # Of maps from full size to that of the token grid.
        channels = [config.generator_channels * min(2**i, 4) for i in range(config.patch_size.bit_length())]
        self.maps = nn.Linear(config.decoder_hidden_size, config.tubelet_size * channels[-1])
        inputs = [2 * config.num_channels, *channels]
        self.known = nn.ModuleList(
            PrefAceMaps(*pair, stride=1 if level == 0 else 2)
            for level, pair in enumerate(zip(inputs, channels, strict=False))
        )
        self.whole = nn.Sequential(*(PrefAceMaps(channels[-1], channels[-1]) for _ in range(2)))
        self.stages = nn.ModuleList(
            PrefAceDrawingStage(channels[level + 1], channels[level], channels[level], config.audio_hidden_size)
            for level in reversed(range(len(channels) - 1))
        )
        self.pixels = nn.Conv2d(channels[0], 2 + config.num_channels, 3, padding=1)

    def forward(
        self,
        tokens: torch.Tensor,
        heard: torch.Tensor,
        target: torch.Tensor,
        reference: torch.Tensor,
        grid: tuple[int, int, int],
    ) -> torch.Tensor:
        """Tokens `(B, N / 2, W)`, sound `(B, T, A)`, frames `(B, T, C, S, S)` and a picture `(B, C, S, S)` to
        `(B, T, C, S / 2, S)`."""
        time, height, width = grid
        frames, half = heard.shape[1], reference.shape[-1] // 2
        upper = nn.functional.pad(target[..., :half, :] - 0.5, (0, 0, 0, half)).flatten(0, 1)
        seen = torch.cat([(reference - 0.5).repeat_interleave(frames, dim=0), upper], dim=1)  # (B * T, 2 C, S, S)
        skips = []
        for layer in self.known:
            seen = layer(seen)
            skips.append(lower_half(seen))
        maps = self.maps(tokens).unflatten(1, (time, height // 2, width)).unflatten(-1, (self.config.tubelet_size, -1))
        maps = maps.permute(0, 1, 4, 5, 2, 3).flatten(0, 2) + skips.pop()  # (B * T, C, h / 2, w)
        maps = maps + lower_half(self.whole(seen))
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            maps = stage(maps, skip, heard.flatten(0, 1))
        flow, paint = self.pixels(maps).split([2, self.config.num_channels], dim=1)
        moved = move(reference, MOST_FLOW * flow.tanh(), frames)
        return (moved + paint).unflatten(0, heard.shape[:2])


def lower_half(maps: torch.Tensor) -> torch.Tensor:
    """Of maps `(..., h, w)`."""
    return maps[..., maps.shape[-2] // 2 :, :]


def move(picture: torch.Tensor, flow: torch.Tensor, frames: int) -> torch.Tensor:
    """The lower half of pictures `(B, C, S, S)`, each pixel from where `flow` `(B * T, 2, S / 2, S)` says, in half
    sides: `(B * T, C, S / 2, S)`."""
    height, width = picture.shape[-2:]
    x = (torch.arange(width, device=flow.device) + 0.5) * 2 / width - 1
    y = (torch.arange(height // 2, height, device=flow.device) + 0.5) * 2 / height - 1
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).to(flow.dtype)  # (S / 2, S, 2)
    places = places + flow.permute(0, 2, 3, 1)
    return nn.functional.grid_sample(
        picture.repeat_interleave(frames, dim=0), places, padding_mode="border", align_corners=False
    )


class PrefAceLipSyncDecoder(nn.Module):
    """Learned tokens for the lower half, with the sound of their time, beside those that the encoder has seen."""

    def __init__(self, config: PrefAceLipSyncConfig, grid: tuple[int, int, int]):
        super().__init__()
        width = config.decoder_hidden_size
        sizes = width, config.decoder_num_attention_heads, config.decoder_intermediate_size
        self.tubelet = config.tubelet_size
        self.target, self.known = nn.Linear(config.hidden_size, width), nn.Linear(config.hidden_size, width)
        self.hear = nn.Linear(config.tubelet_size * config.audio_hidden_size, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = PrefAcePositions(grid, width)
        self.layers = nn.ModuleList(PrefAceLayer(config, *sizes) for _ in range(config.decoder_num_hidden_layers))
        self.layernorm = nn.LayerNorm(width, eps=1e-5)

    def forward(
        self,
        target: torch.Tensor,
        known: torch.Tensor,
        heard: torch.Tensor,
        lower: torch.Tensor,
        grid: tuple[int, int, int],
    ) -> torch.Tensor:
        """Tokens of the target's upper half `(B, N / 2, D)` and of the reference `(B, N, D)`, sound `(B, T, A)`, and
        which tokens are of the lower half, bool `(N,)`, to tokens of that `(B, N / 2, W)`."""
        positions = self.positions(grid).to(target.device, target.dtype)  # (1, N, W)
        said = self.hear(heard.unflatten(1, (-1, self.tubelet)).flatten(2))  # (B, t, W)
        wanted = self.mask_token + positions[:, lower] + said.repeat_interleave(grid[1] * grid[2] // 2, dim=1)
        tokens = [wanted, self.target(target) + positions[:, ~lower], self.known(known) + positions]
        hidden_states = torch.cat(tokens, dim=1)  # (B, 2 N, W)
        for layer in self.layers:
            hidden_states = layer(hidden_states)
        return self.layernorm(hidden_states[:, : wanted.shape[1]])


class PrefAceForLipSync(PrefAceHeadModel):
    """A face whose lower half is drawn to fit a sound. All outside `blend_mask` is the target's own picture.

    Not to be used to put words into a person's mouth without their consent.
    """

    config: PrefAceLipSyncConfig
    config_class = PrefAceLipSyncConfig

    def __init__(self, config: PrefAceLipSyncConfig):
        super().__init__(config)
        self.audio = PrefAceSound(config)
        self.decoder = PrefAceLipSyncDecoder(config, self.preface.embeddings.positions.grid)
        self.drawing = PrefAceDrawing(config)
        self.post_init()

    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, PrefAceLipSyncDecoder):
            init.normal_(module.mask_token, std=self.config.initializer_range)
        if isinstance(module, PrefAceDrawing):  # it begins with the reference as it is
            init.normal_(module.pixels.weight, std=1e-3)

    def encode(self, videos: torch.Tensor, bool_masked_pos: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens of videos `(B, T, C, S, S)` whose values are from 0 to 1."""
        mean, std = (
            torch.tensor(values, device=videos.device, dtype=videos.dtype)[:, None, None]
            for values in (self.config.image_mean, self.config.image_std)
        )
        return self.preface((videos - mean) / std, bool_masked_pos).last_hidden_state

    @can_return_tuple
    def forward(
        self,
        pixel_values_videos: torch.Tensor,
        reference_values_videos: torch.Tensor,
        input_features: torch.Tensor,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> PrefAceForLipSyncOutput:
        r"""
        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch_size, num_frames, 3, height, width)`):
                The face at 25 frames a second, values from 0 to 1; its lower half is not looked at.
            reference_values_videos (`torch.FloatTensor` of the same shape):
                The same person at another time.
            input_features (`torch.FloatTensor` of shape `(batch_size, 4 * (num_frames + 2 * audio_margin), 80)`):
                Log-mel frames of the sound ([`log_mels`]) less their level ([`level_of`]), from `audio_margin` frames
                before the window to as many after it.
            labels (`torch.FloatTensor` of the shape of the videos, *optional*): The true frames.
        """
        clips, frames = pixel_values_videos.shape[:2]
        needed = MELS_PER_FRAME * (frames + 2 * self.config.audio_margin)
        if input_features.shape[1] != needed or reference_values_videos.shape != pixel_values_videos.shape:
            raise ValueError(
                f"the reference has shape {tuple(reference_values_videos.shape)} and the sound "
                f"{input_features.shape[1]} mel frames: {tuple(pixel_values_videos.shape)} and {needed} are needed."
            )
        grid = self.config.grid_of(tuple(pixel_values_videos.shape))
        places = torch.arange(grid[0] * grid[1] * grid[2], device=pixel_values_videos.device)
        lower = places // grid[2] % grid[1] >= grid[1] // 2  # (N,)
        heard = self.audio(input_features)
        tokens = self.decoder(
            self.encode(pixel_values_videos, lower.expand(clips, -1)), self.encode(reference_values_videos),
            heard, lower, grid,
        )  # fmt: skip
        picture = reference_values_videos[:, frames // 2]
        drawn = self.drawing(tokens, heard, pixel_values_videos, picture, grid)  # (B, T, C, S / 2, S)
        drawn = nn.functional.pad(drawn, (0, 0, drawn.shape[-2], 0))
        mask = blend_mask(drawn.shape[-1]).to(drawn)
        shown = mask * drawn + (1 - mask) * pixel_values_videos
        loss = None
        if labels is not None:
            loss = ((shown - labels).abs() * mouth_weights(mask)).mean()
        return PrefAceForLipSyncOutput(loss, shown if self.training else shown.clamp(0, 1))


def mouth_weights(mask: torch.Tensor) -> torch.Tensor:
    """What pixels weigh in the loss, `(S, S)`, 1 on the mean over the picture: most in the middle, where the mouth
    is."""
    place = (torch.arange(len(mask), device=mask.device) + 0.5) / len(mask)
    bump = torch.exp(-((place[:, None] - 0.72) ** 2 + (place - 0.5) ** 2) / (2 * 0.12**2))
    weights = mask * (1 + 4 * bump)
    return weights / weights.mean()


__all__ = [
    "PrefAceForLipSync",
    "PrefAceForLipSyncOutput",
    "PrefAceLipSyncConfig",
    "blend_mask",
    "level_of",
    "log_mels",
]
