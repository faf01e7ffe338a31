"""Videos as tensors: which axis holds the channels, another size, the middle; and the settings of that."""

import math
from collections.abc import Mapping
from typing import Any

import torch


FLAGS = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_sample_frames")


def channel_axis(shape, layout: str | None, number: int) -> int:
    """Which axis of a video holds its 1 (gray), 3 or 4 (alpha) channels: 1 or 3; `layout` as in transformers."""
    # A video of 3 rows or columns looks both ways: channels first is taken, as torch has it.
    found = {axis for axis in (1, 3) if len(shape) == 4 and shape[axis] in (1, 3, 4)}
    axis = {"channels_first": 1, "channels_last": 3}.get(str(getattr(layout, "value", layout)), min(found, default=0))
    if axis not in found:
        raise ValueError(
            f"video {number} has shape {tuple(shape)}: give (frames, height, width, channels) or (frames, channels, "
            f"height, width) with 1, 3 or 4 channels."
        )
    return axis


def resize(video: torch.Tensor, size) -> torch.Tensor:
    """`(frames, channels, height, width)` to the shortest edge, or the height and width, that `size` names."""
    height, width = video.shape[-2:]
    if size["shortest_edge"]:
        scale = size["shortest_edge"] / min(height, width)
        target = (round(height * scale), round(width * scale))
    else:
        target = (size["height"], size["width"])
    if target == (height, width):
        return video
    resized = torch.nn.functional.interpolate(
        video.float(), size=target, mode="bilinear", antialias=True, align_corners=False
    )
    return resized if video.is_floating_point() else resized.round().clamp(0, 255).to(video.dtype)


def center_crop(video: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The middle `height` x `width` pixels of `(frames, channels, height, width)`, zeros beyond the border."""
    top, left = (video.shape[-2] - height) // 2, (video.shape[-1] - width) // 2
    if top < 0 or left < 0:
        pads = [max(-left, 0), max(width - video.shape[-1] + left, 0)]
        pads += [max(-top, 0), max(height - video.shape[-2] + top, 0)]
        video = torch.nn.functional.pad(video, pads)  # left, right, top, bottom
        top, left = max(top, 0), max(left, 0)
    return video[..., top : top + height, left : left + width]


def check_settings(settings: Mapping[str, Any]) -> None:
    """`ValueError` for the first setting of a video processor that no clip can be made with, such as a deviation of 0.

    What is `None` or left out has no value yet: it is asked for where it is needed.
    """
    for name, value in settings.items():
        if value is not None and (wanted := _wanted(name, value)):
            raise ValueError(
                f"{name}={value!r} of the video processor is not {wanted}: correct it, in a checkpoint in its "
                f"video_preprocessor_config.json."
            )


def _wanted(name: str, value: Any) -> str | None:
    """What a setting has to be, where it is not."""
    if name in ("image_mean", "image_std"):
        least = 0 if name == "image_std" else -math.inf
        good = isinstance(value, list | tuple) and len(value) == 3 and all(_is_number(v) and v > least for v in value)
        return None if good else "3 finite numbers" + (" above 0" if name == "image_std" else "")
    if name in ("size", "crop_size"):
        sides = [side for side in dict(value).values() if side is not None]
        return None if sides and all(_is_count(side) for side in sides) else "whole numbers of pixels from 1 on"
    if name in ("num_frames", "sampling_rate"):
        return None if _is_count(value) else "a whole number from 1 on"
    if name == "rescale_factor":
        return None if _is_number(value) and value > 0 else "a finite number above 0"
    if name in FLAGS:
        return None if isinstance(value, bool | int) and value in (0, 1) else "true or false"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1
