"""Videos as tensors: which axis holds the channels, another size, the middle."""

import torch


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
