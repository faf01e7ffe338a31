"""Batches of clips with masks, for masked autoencoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from preface_hf.data.masking import FACE_STRATEGIES, STRATEGIES, draw_mask, visible_tokens
from preface_hf.data.streams import ClipStream, read_frames
from preface_hf.data.views import cut_tube, mirror, resting_box, sample_indices
from preface_hf.faces.regions import region_map


@dataclass
class MaskConfig:
    """What a masked autoencoder sees of a video, and what is hidden of it. The defaults are MARLIN's."""

    num_frames: int = 16
    sampling_rate: int = 2  # every n-th frame of the video
    global_size: int = 224  # pixels
    tubelet_size: int = 2  # of the model
    patch_size: int = 16  # of the model
    global_scale: tuple[float, float] = (1.0, 1.0)  # of the crop's area
    flip_probability: float = 0.0
    mask_strategy: str = "fasking"  # see [`preface_hf.data.masking.draw_mask`]
    mask_ratio: float = 0.9  # share of the tokens that is hidden

    def __post_init__(self) -> None:
        low, high = self.global_scale
        self.global_scale = (low, high)  # a list, from YAML
        if self.mask_strategy not in STRATEGIES:
            raise ValueError(
                f"mask_strategy={self.mask_strategy!r} is unknown: choose one of {', '.join(STRATEGIES)}."
            )
        visible_tokens(int(np.prod(self.grid)), self.mask_ratio)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Tokens of a clip along time, height and width."""
        side = self.global_size // self.patch_size
        return self.num_frames // self.tubelet_size, side, side

    @property
    def needs_landmarks(self) -> bool:
        """Whether a clip without landmarks cannot be masked."""
        return self.mask_strategy in FACE_STRATEGIES

    @property
    def without_landmarks(self) -> str:
        """The settings that do without them, in words."""
        return "set views.mask_strategy to tube, random or frame"


@dataclass
class TubeMaskConfig(MaskConfig):
    """Likewise, as VideoMAE has it: crops of several scales, and the same places hidden at all times."""

    global_scale: tuple[float, float] = (0.44, 1.0)
    mask_strategy: str = "tube"


@dataclass
class MaskedBatch:
    """`batch_size` clips of one process.

    instance_ids: int64 `(batch_size,)`
    clips: uint8 `(batch_size, T, 3, S, S)`
    masks: bool `(batch_size, N)`, True where a token is hidden; as many in every clip
    """

    instance_ids: torch.Tensor
    clips: torch.Tensor
    masks: torch.Tensor

    def to(self, device: torch.device) -> MaskedBatch:
        """The same batch on `device`."""
        return MaskedBatch(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))


class MaskStream(ClipStream):
    """Endless batches of clips with masks; see [`ClipStream`]."""

    def sample(self, epoch: int, row: dict[str, Any]) -> tuple[torch.Tensor, np.ndarray]:
        """A clip uint8 `(T, 3, S, S)` and its mask `(N,)`: drawn from (seed, epoch, instance_id) alone."""
        config = self.config
        rng = self.generator(epoch, row)
        indices = sample_indices(int(row["num_frames"]), config.num_frames, config.sampling_rate, rng)
        frames, landmarks = read_frames(row, indices)
        if rng.uniform() < config.flip_probability:
            frames, landmarks = mirror(frames, landmarks)
        box = resting_box(frames, config.global_scale, rng)  # (1, 4)
        regions = token_regions(landmarks, box, config) if config.needs_landmarks else None
        mask = draw_mask(config.mask_strategy, config.grid, config.mask_ratio, rng, regions)
        return cut_tube(frames, box, config.global_size), mask

    def collate(self, block: list[tuple[int, dict[str, Any]]]) -> MaskedBatch:
        """The clips and masks of (epoch, row) pairs as one batch."""
        clips, masks = zip(*(self.sample(epoch, row) for epoch, row in block), strict=True)
        return MaskedBatch(
            instance_ids=torch.tensor([int(row["instance_id"]) for _, row in block]),
            clips=torch.stack(clips),
            masks=torch.from_numpy(np.stack(masks)),
        )


def token_regions(landmarks: np.ndarray, box: np.ndarray, config: MaskConfig) -> np.ndarray:
    """Codes of the regions that the tokens of a clip show, uint8 `(t, h, w)`.

    Args:
        landmarks: `(T, 68, 2)` in pixels of the frames.
        box: `(1, 4)`, what the clip shows of them.
    """
    # The first frame of each tubelet speaks for it (MARLIN's code).
    side = round(float(box[0, 2] - box[0, 0]))
    points = landmarks[:: config.tubelet_size] - box[0, :2] - 0.5  # the first pixel's center is 0
    return region_map(points, side, side, config.grid[1])
