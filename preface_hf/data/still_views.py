"""Views of one frame of a clip, for methods of pictures: a picture is a clip of frames that are all alike.

Shapes at line ends: V views, T frames of a view, S pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps

from preface_hf.data.crop_views import make_crop_views
from preface_hf.data.views import TubeConfig, Views


@dataclass
class StillConfig(TubeConfig):
    """Which views ProS cuts of a picture, and how. It names crop, blur and color; counts and scales are not stated,
    chosen after MSN and DINO."""

    num_frames: int = 2  # all alike
    sampling_rate: int = 1  # of the processor that is published; views show one frame
    global_scale: tuple[float, float] = (0.3, 1.0)
    num_local: int = 10
    local_scale: tuple[float, float] = (0.05, 0.3)
    blur_probability: float = 0.5
    blur_radius: tuple[float, float] = (0.1, 2.0)  # deviation of the blur, in pixels of a view
    solarize_probability: float = 0.1  # bright pixels are inverted

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.blur_radius
        self.blur_radius = (low, high)  # a list, from YAML
        if self.global_rates or self.local_rates:
            raise ValueError("global_rates and local_rates are of videos, and a still has none: set both to [].")

    def frames_of(self, total: int, rng: np.random.Generator | None = None) -> np.ndarray:
        """One frame, `num_frames` times: any, or the middle one without `rng`."""
        frame = total // 2 if rng is None else int(rng.integers(total))
        return np.full(self.num_frames, frame)


def make_still_views(frame: np.ndarray, config: StillConfig, rng: np.random.Generator) -> Views:
    """All views of one frame `(1, H, W, 3)` uint8: squares of it, some of them blurred or solarized."""
    once = np.zeros((config.num_global + config.num_local, 1), int)
    views = make_crop_views(frame, config, rng, once)
    # After all that crops draw: what follows changes none of them.
    views.global_tubes = changed(views.global_tubes, config, rng)
    views.small_tubes = changed(views.small_tubes, config, rng)
    return views


def changed(stills: torch.Tensor, config: StillConfig, rng: np.random.Generator) -> torch.Tensor:
    """Views `(V, 1, 3, S, S)`, each blurred or solarized or as it was, as clips `(V, T, 3, S, S)`."""
    pictures = []
    for still in stills[:, 0].permute(0, 2, 3, 1).numpy():  # (S, S, 3)
        picture = Image.fromarray(still)
        if rng.uniform() < config.blur_probability:
            picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(*config.blur_radius)))
        if rng.uniform() < config.solarize_probability:
            picture = ImageOps.solarize(picture)
        pictures.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
    once = torch.stack(pictures)[:, None] if pictures else stills
    return once.expand(-1, config.num_frames, -1, -1, -1)
