"""Views of one clip for a method without landmarks: resting squares of the frame, as DINO and SVT cut them."""

from __future__ import annotations

import numpy as np
import torch

from preface_hf.data.views import TubeConfig, Views, cut_tube, draw_color, resting_box


def make_crop_views(frames: np.ndarray, config: TubeConfig, rng: np.random.Generator, times: np.ndarray) -> Views:
    """All views of one clip: each tube is a square of a random share of the frame's area that rests through time.

    Args:
        frames: uint8 `(F, H, W, 3)`.
        config: how many tubes, and how large.
        rng: of everything random.
        times: `(V, T)`, the frames that each tube shows, globals first.
    """
    # Of each tube whether it is mirrored, then its box; all colors last: the order of draws of `make_views`.
    large = [(config.global_scale, config.global_size)] * config.num_global
    small = [(config.local_scale, config.local_size)] * config.num_local
    tubes = []
    for (scale, size), time in zip(large + small, times, strict=True):
        pixels = frames[:, :, ::-1] if rng.uniform() < config.flip_probability else frames
        tubes.append(cut_tube(pixels, resting_box(pixels, scale, rng), size, time))  # (T, 3, S, S)
    names = ["global"] * config.num_global + ["local"] * config.num_local
    colors = np.stack([draw_color(config, rng) for _ in names])  # (V, 3, 4)
    nothing = torch.empty(0, config.num_frames, 3, config.local_size, config.local_size, dtype=torch.uint8)
    return Views(
        global_tubes=torch.stack(tubes[: config.num_global]),
        small_tubes=torch.stack(tubes[config.num_global :]) if config.num_local else nothing,
        colors=torch.from_numpy(colors),
        names=names,
    )
