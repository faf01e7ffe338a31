"""The sync expert: tells whether a voice and a mouth belong together, and by how much one of them is late.

Two towers of the kind of SyncNet (Chung and Zisserman 2016), with Wav2Lip's loss (Prajwal et al. 2020): cosine
similarity and binary cross-entropy. Both papers look at 5 frames; this one at 16, as MARLIN's lip synchronization.

Shapes at line ends: B windows, K candidates for the sound of each, T frames, M mel frames, D width of a step.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple


# Windows of 25 ms every 10 ms (Whisper, AST): of 25 frames a second each is four mel frames.
SAMPLE_RATE, FRAME_LENGTH, HOP_LENGTH, NUM_MELS, FPS = 16_000, 400, 160, 80, 25
MELS_PER_FRAME = SAMPLE_RATE // (HOP_LENGTH * FPS)


@cache
def mel_filters() -> np.ndarray:
    return mel_filter_bank(
        FRAME_LENGTH // 2 + 1, NUM_MELS, 0.0, 8000.0, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )


def log_mels(samples: np.ndarray) -> np.ndarray:
    """Log-mel frames, float32 `(samples // 160 + 1, 80)`, of 16 kHz mono sound, int16 or float from -1 to 1.

    Frame i is about second i / 100.
    """
    if samples.dtype == np.int16:
        samples = samples / 32768
    mels = spectrogram(
        samples, window_function(FRAME_LENGTH, "hann"), FRAME_LENGTH, HOP_LENGTH, power=2.0, center=True,
        pad_mode="constant", mel_filters=mel_filters(), mel_floor=1e-8, log_mel="log10",
    )  # fmt: skip
    return mels.T.astype(np.float32)


@strict
class PrefAceSyncConfig(PreTrainedConfig):
    r"""
    Configuration of [`PrefAceSyncModel`]; sizes are chosen for a CPU, no paper states them.

    Args:
        num_frames (`int`, defaults to 16): frames of a window, at 25 a second.
        image_size (`int`, defaults to 48): height and width of the mouth's picture in pixels.
        num_channels (`int`, defaults to 1): color channels: gray, as SyncNet's.
        vision_channels (`list[int]`): channels of the convolutions over each frame, each of which halves its size.
        audio_hidden_size (`int`, defaults to 64): channels of the convolutions over mel frames.
        hidden_size (`int`, defaults to 64): width of a step inside the towers.
        projection_dim (`int`, defaults to 32): width of a step of an embedding.
        num_temporal_layers (`int`, defaults to 2): convolutions over 5 frames in each tower.
        dropout (`float`, defaults to 0.1): of steps before they are projected.
    """

    model_type = "preface_sync"
    keys_to_ignore_at_inference = ["similarity", "video_embeds", "audio_embeds"]

    num_frames: int = 16
    image_size: int = 48
    num_channels: int = 1
    vision_channels: list[int] | tuple[int, ...] = (8, 16, 32, 64)
    audio_hidden_size: int = 64
    hidden_size: int = 64
    projection_dim: int = 32
    num_temporal_layers: int = 2
    dropout: float | int = 0.1

    def __post_init__(self, **kwargs):
        self.auto_map = {**SYNC_AUTO_MAP, **(kwargs.pop("auto_map", None) or {})}
        super().__post_init__(**kwargs)
        numbers = ("num_frames", "image_size", "num_channels", "audio_hidden_size", "hidden_size", "projection_dim")
        for name, value in [(name, getattr(self, name)) for name in numbers] + [
            ("vision_channels", channels) for channels in self.vision_channels or (0,)
        ]:
            if not 1 <= value <= 2**16:
                raise ValueError(f"{name}={value} must be from 1 to 65536: correct it in the PrefAceSyncConfig.")
        if self.image_size % 2 ** len(self.vision_channels):
            raise ValueError(
                f"image_size={self.image_size} must be a multiple of 2 for each of the {len(self.vision_channels)} "
                f"vision_channels: change one of the two in the PrefAceSyncConfig."
            )


SYNC_AUTO_MAP = {"AutoConfig": "sync_preface.PrefAceSyncConfig", "AutoModel": "sync_preface.PrefAceSyncModel"}


@dataclass
class PrefAceSyncOutput(ModelOutput):
    r"""
    Output of [`PrefAceSyncModel`].

    Args:
        loss (`torch.FloatTensor`, *optional*, with `labels`): Binary cross-entropy of the pairs.
        logits (`torch.FloatTensor` of shape `(batch_size,)` or `(batch_size, candidates)`):
            How well the sound fits; above 0 it is rather in sync than not.
        similarity (`torch.FloatTensor` of the same shape): Cosine of the two embeddings.
        video_embeds (`torch.FloatTensor` of shape `(batch_size, num_frames * projection_dim)`): Unit vectors.
        audio_embeds (`torch.FloatTensor` of shape `(batch_size, [candidates,] num_frames * projection_dim)`): Too.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    similarity: torch.FloatTensor | None = None
    video_embeds: torch.FloatTensor | None = None
    audio_embeds: torch.FloatTensor | None = None


def convolution(kind, inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the middle of each step where it was, batch norm, ReLU."""
    norm = nn.BatchNorm2d if kind is nn.Conv2d else nn.BatchNorm1d
    return nn.Sequential(kind(inputs, outputs, size, stride, size // 2, bias=False), norm(outputs), nn.ReLU())


class PrefAceSyncTower(nn.Module):
    """Steps `(B, C, T)` to a unit vector for the window, one part of it for each step.

    The cosine of two such vectors compares step with step, so a shift in time shows without being learned for each
    step anew; a step where nothing happens may be short.
    """

    def __init__(self, config: PrefAceSyncConfig, inputs: int):
        super().__init__()
        width = config.hidden_size
        self.reduce = nn.Conv1d(inputs, width, 1)
        self.layers = nn.ModuleList(convolution(nn.Conv1d, width, width, 5) for _ in range(config.num_temporal_layers))
        self.dropout = nn.Dropout(config.dropout)
        self.projection = nn.Conv1d(width, config.projection_dim, 1)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        steps = self.reduce(steps)  # (B, width, T)
        for layer in self.layers:
            steps = steps + layer(steps)
        return nn.functional.normalize(self.projection(self.dropout(steps)).transpose(1, 2).flatten(1), dim=-1)


class PrefAceSyncModel(PreTrainedModel):
    """The two towers, and what makes a logit of their similarity."""

    config: PrefAceSyncConfig
    config_class = PrefAceSyncConfig
    base_model_prefix = "sync"
    main_input_name = "pixel_values_videos"
    input_modalities = ("video", "audio")

    def __init__(self, config: PrefAceSyncConfig):
        super().__init__(config)
        channels = [config.num_channels, *config.vision_channels]
        self.vision = nn.Sequential(
            *(convolution(nn.Conv2d, *pair, 3, 2) for pair in zip(channels, channels[1:], strict=False))
        )
        side = config.image_size // 2 ** len(config.vision_channels)
        self.vision_tower = PrefAceSyncTower(config, channels[-1] * side**2)
        width = config.audio_hidden_size
        self.audio = nn.Sequential(
            convolution(nn.Conv1d, NUM_MELS, width, 5),
            convolution(nn.Conv1d, width, width, 5, 2),
            convolution(nn.Conv1d, width, width, 5, 2),  # a step for each frame
        )
        self.audio_tower = PrefAceSyncTower(config, width)
        # Of a sigmoid loss (SigLIP): similarity alone moves too little from pair to pair.
        self.logit_scale, self.logit_bias = nn.Parameter(torch.tensor(8.0)), nn.Parameter(torch.tensor(0.0))
        self.post_init()

    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, PrefAceSyncModel):
            init.constant_(module.logit_scale, 8.0)
            init.zeros_(module.logit_bias)

    def get_video_features(self, pixel_values_videos: torch.Tensor) -> torch.Tensor:
        """Unit vectors `(B, T * D)` of mouths `(B, T, C, H, W)`, whose values are from 0 to 1."""
        clips, frames = pixel_values_videos.shape[:2]
        # Light and skin are not what is compared: the mean and deviation of the window are taken out.
        mean = pixel_values_videos.mean(dim=(1, 2, 3, 4), keepdim=True)
        std = pixel_values_videos.std(dim=(1, 2, 3, 4), keepdim=True)
        pixels = ((pixel_values_videos - mean) / (std + 0.02)).flatten(0, 1)  # (B * T, C, H, W)
        steps = self.vision(pixels).flatten(1).unflatten(0, (clips, frames)).transpose(1, 2)  # (B, C', T)
        return self.vision_tower(steps)

    def get_audio_features(self, input_features: torch.Tensor) -> torch.Tensor:
        """Unit vectors `(B, T * D)` of the mel frames `(B, M, 80)` of a window ([`log_mels`])."""
        # How loud a recording is says nothing; in silence nothing is blown up.
        features = (input_features - input_features.mean(dim=(1, 2), keepdim=True)).transpose(1, 2)  # (B, 80, M)
        return self.audio_tower(self.audio(features))

    @can_return_tuple
    def forward(
        self,
        pixel_values_videos: torch.Tensor,
        input_features: torch.Tensor,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> PrefAceSyncOutput:
        r"""
        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch_size, num_frames, num_channels, height, width)`):
                Mouths at 25 frames a second, values from 0 to 1.
            input_features (`torch.FloatTensor` of shape `(batch_size, [candidates,] 4 * num_frames, 80)`):
                Log-mel frames of the sound to compare with, one or several for each window.
            labels (`torch.FloatTensor` of the shape of the logits, *optional*): 1 in sync, 0 not.
        """
        video = self.get_video_features(pixel_values_videos)  # (B, T * D)
        candidates = input_features.shape[1:-2]  # () or (K,)
        audio = self.get_audio_features(input_features.flatten(0, -3)).unflatten(0, (len(video), *candidates))
        similarity = torch.einsum("bd,b...d->b...", video, audio)
        logits = similarity * self.logit_scale + self.logit_bias
        loss = None
        if labels is not None:
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), labels.float())
        return PrefAceSyncOutput(loss, logits, similarity, video, audio)


__all__ = ["PrefAceSyncConfig", "PrefAceSyncModel", "PrefAceSyncOutput", "log_mels"]
