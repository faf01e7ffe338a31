"""The pixels of videos: HDR pictures brought to the range of an ordinary screen, as players do; and as tensors: which
axis holds the channels, another size, the middle, and the settings of that."""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch


TRANSFERS = {16: "PQ", 18: "HLG"}  # by FFmpeg's numbers
WHITE = 203.0  # candela per square meter of a white page in an HDR picture (ITU-R BT.2408)
BRIGHTEST = 1000.0  # what films are made for: where a tenth of a picture is brighter, the header lies
LUMA = np.array([0.2627, 0.678, 0.0593])  # of BT.2020
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
NODES = 33


class ToneMap:
    """Brings HDR frames to 8 bits: up to half of white as they are, brighter ones ever closer to white."""

    def __init__(self, transfer: str):
        self._table = _table(transfer)

    def __call__(self, frame: Any, height: int, width: int) -> np.ndarray:
        """A frame of PyAV's as uint8 `(height, width, 3)` in the colors of BT.709."""
        colors = frame.to_ndarray(format="rgb48le", height=height, width=width, threads=1)  # (height, width, 3)
        # The table is sampled at coordinates in [-1, 1], of which the first (red) goes along its last axis.
        places = torch.from_numpy(colors.astype(np.float32))[None, None] / 32767.5 - 1  # -1 is black, 1 the maximum
        found = torch.nn.functional.grid_sample(self._table, places, align_corners=True)  # (1, 3, 1, height, width)
        return found[0, :, 0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()


def read_tone_map(stream: Any, frame: Any, notes: list[str]) -> ToneMap | None:
    """The tone mapping that the first frame asks for, None for ordinary ones; `notes` gets a remark."""
    codes = [int(frame.color_trc or 0) if frame is not None else 0, int(stream.codec_context.color_trc or 0)]
    transfer = next((TRANSFERS[code] for code in codes if code in TRANSFERS), None)
    if transfer is None:
        return None
    if frame is not None:
        # A small copy of the frame is enough to see how bright it is.
        light = to_light(frame.to_ndarray(format="rgb48le", height=90, width=160, threads=1) / 65535, transfer)
        if np.percentile(light @ LUMA, 90) > BRIGHTEST:
            notes.append(f"its header says HDR ({transfer}), but it is too bright for that: shown as ordinary colors")
            return None
    notes.append(f"its colors are HDR ({transfer}): tone-mapped to ordinary ones")
    return ToneMap(transfer)


def to_light(colors: np.ndarray, transfer: str) -> np.ndarray:
    """Light in candela per square meter, `(..., 3)`, of colors in [0, 1] (SMPTE ST 2084; ITU-R BT.2100)."""
    if transfer == "PQ":
        power = colors ** (1 / 78.84375)
        return 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    scene = np.where(colors <= 0.5, colors**2 / 3, (np.exp((colors - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return 1000 * scene * np.maximum(scene @ LUMA, 1e-9)[..., None] ** 0.2  # on a screen of 1000 candela


@cache
def _table(transfer: str) -> torch.Tensor:
    """8-bit colors at the nodes of a cube of HDR colors: float32 `(1, 3, blue, green, red)`."""
    axis = np.linspace(0, 1, NODES)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    # In units of white.
    light = to_light(np.stack([red, green, blue], axis=-1), transfer) / WHITE
    luma = np.maximum(light @ LUMA, 1e-9)[..., None]
    # Both pieces meet at half of white with the same slope.
    mapped = np.where(luma <= 0.5, luma, 1 - 0.5 * np.exp(1 - 2 * luma))
    colors = (light * mapped / luma) @ TO_BT709.T
    # What BT.709 cannot show is drawn towards gray of the same brightness.
    high, low = colors.max(axis=-1, keepdims=True), colors.min(axis=-1, keepdims=True)
    keep_high = np.where(high > 1, (1 - mapped) / np.maximum(high - mapped, 1e-9), 1)
    keep_low = np.where(low < 0, mapped / np.maximum(mapped - low, 1e-9), 1)
    colors = mapped + (colors - mapped) * np.minimum(np.minimum(keep_high, keep_low), 1)
    # The curve of an ordinary screen.
    values = colors.clip(0, 1) ** (1 / 2.4) * 255
    return torch.from_numpy(values.astype(np.float32)).permute(3, 0, 1, 2)[None].contiguous()


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
