"""Views of one clip: global tubes, local tubes that follow a facial region, landmark tubes that follow a part.

PrefAce's "multi-scale, landmark-guided views". A tube is `(frames, 3, size, size)` uint8. Every random number comes
from the generator that is passed in; geometry and colour are drawn once per tube and held fixed over its frames.
Shapes at line ends: T frames, H, W pixels of the face crop, V views, S pixels of the tube.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from preface_hf.data.landmarks import (
    PARTS,
    REGIONS,
    face_heights,
    flip_landmarks,
    part_boxes,
    region_centres,
    square_boxes,
)


LUMA = np.array([0.299, 0.587, 0.114])


@dataclass
class ViewConfig:
    """Which tubes are cut, and how. Counts and sizes are not stated by PrefAce; chosen after DINO and SVT."""

    num_frames: int = 16  # frames of every tube
    sampling_rate: int = 2  # every n-th frame of the video
    num_global: int = 2  # seen by teacher and student
    global_size: int = 224  # pixels
    global_scale: tuple[float, float] = (0.4, 1.0)  # of the crop's area
    num_local: int = 6
    local_size: int = 96  # pixels, of local and landmark tubes
    local_scale: tuple[float, float] = (0.4, 0.9)  # side in face heights
    local_shift: float = 0.15  # largest distance from the region's centre, in face heights
    parts: tuple[str, ...] = PARTS  # one landmark tube each
    tracking: bool = True  # local and landmark tubes follow the face; else each rests at its mean place over the clip
    flip_probability: float = 0.5
    brightness: float = 0.4  # factor within 1 ± this
    contrast: float = 0.4
    saturation: float = 0.2
    hue: float = 0.1  # turn of the colour wheel, within ± this
    grey_probability: float = 0.2

    def __post_init__(self) -> None:
        self.global_scale, self.local_scale, self.parts = (
            tuple(self.global_scale),  # type: ignore[assignment]
            tuple(self.local_scale),  # type: ignore[assignment]
            tuple(self.parts),
        )
        if self.num_global < 1:
            raise ValueError(f"num_global={self.num_global} leaves the teacher nothing to see: set it to 1 or more.")
        for part in self.parts:
            if part not in PARTS:
                raise ValueError(f"unknown part {part!r} in parts: choose from {', '.join(PARTS)}.")


@dataclass
class Views:
    """The views of one clip.

    global_tubes: uint8 `(num_global, frames, 3, global_size, global_size)`
    small_tubes: uint8 `(num_local + parts, frames, 3, local_size, local_size)`, the local tubes first
    colours: float32 `(views, 3, 4)`, the photometric change of each tube (globals first), see [`photometric`]
    names: what each tube shows, globals first
    """

    global_tubes: torch.Tensor
    small_tubes: torch.Tensor
    colours: torch.Tensor
    names: list[str] = field(default_factory=list)


def sample_indices(total: int, count: int, rate: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Indices `(count,)` of the frames of a clip: every `rate`-th from a random start (the middle without `rng`).

    A short video is taken at a slower rate; one of fewer than `count` frames repeats its last frame.
    """
    rate = min(rate, max((total - 1) // max(count - 1, 1), 1))
    room = max(total - ((count - 1) * rate + 1), 0)
    start = room // 2 if rng is None else int(rng.integers(room + 1))
    return np.minimum(start + np.arange(count) * rate, total - 1)


def at_rest(boxes: np.ndarray) -> np.ndarray:
    """The boxes `(T, 4)` of a tube, all at their mean place."""
    return np.repeat(boxes.mean(axis=0, keepdims=True), len(boxes), axis=0)


def cut_tube(frames: np.ndarray, boxes: np.ndarray, size: int) -> torch.Tensor:
    """Cut the square `boxes` `(T, 4)` out of `frames` `(T, H, W, 3)` uint8 and resize them, antialiased.

    The boxes have one size; they are set to whole pixels, and beyond the picture its edge is repeated.
    Returns uint8 `(T, 3, size, size)`.
    """
    side = max(round(float(boxes[0, 2] - boxes[0, 0])), 1)
    corners = np.rint((boxes[:, :2] + boxes[:, 2:] - (side - 1)) / 2).astype(int)  # (T, 2): x, y
    steps = np.arange(side)
    columns = np.clip(corners[:, :1] + steps, 0, frames.shape[2] - 1)  # (T, side)
    rows = np.clip(corners[:, 1:] + steps, 0, frames.shape[1] - 1)
    cut = frames[np.arange(len(frames))[:, None, None], rows[:, :, None], columns[:, None, :]]  # (T, side, side, 3)
    tube = torch.from_numpy(cut).permute(0, 3, 1, 2)
    if side == size:
        return tube.contiguous()
    return torch.nn.functional.interpolate(tube, size=(size, size), mode="bilinear", antialias=True).contiguous()


def mirror(frames: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The clip as a mirror shows it: pixels reversed, landmarks reflected, left and right swapped."""
    return frames[:, :, ::-1], flip_landmarks(landmarks, frames.shape[2])


def global_boxes(frames: np.ndarray, config: ViewConfig, rng: np.random.Generator) -> np.ndarray:
    """One resting box `(T, 4)` of a random share of the crop's area, anywhere inside it."""
    length, height, width = frames.shape[:3]
    side = np.sqrt(rng.uniform(*config.global_scale)) * min(height, width)
    half = (side - 1) / 2
    centre = rng.uniform([half, half], [width - 1 - half, height - 1 - half])
    return square_boxes(np.repeat(centre[None], length, axis=0), side)


def local_boxes(landmarks: np.ndarray, region: str, config: ViewConfig, rng: np.random.Generator) -> np.ndarray:
    """A box `(T, 4)` of random size that follows `region`, a little off its centre."""
    height = float(np.median(face_heights(landmarks)))
    side = rng.uniform(*config.local_scale) * height
    shift = rng.uniform(-config.local_shift, config.local_shift, size=2) * height
    return square_boxes(region_centres(landmarks, region) + shift, side)


def draw_colour(config: ViewConfig, rng: np.random.Generator) -> np.ndarray:
    """A photometric change as an affine map of RGB in [0, 1], `(3, 4)`: hue, saturation, contrast, brightness."""
    spread = lambda amount: 1 + rng.uniform(-amount, amount)  # noqa: E731
    brightness, contrast = spread(config.brightness), spread(config.contrast)
    saturation = 0.0 if rng.uniform() < config.grey_probability else spread(config.saturation)
    change = saturation * np.eye(3) + (1 - saturation) * LUMA  # every row of the second term is the luma
    change = change @ turn_hue(2 * np.pi * rng.uniform(-config.hue, config.hue))
    offset = np.full((3, 1), 0.5 * (1 - contrast) * brightness)  # contrast turns about mid-grey
    return np.concatenate([brightness * contrast * change, offset], axis=1).astype(np.float32)


def turn_hue(angle: float) -> np.ndarray:
    """Rotation `(3, 3)` of RGB about its grey axis, `angle` in radians."""
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def make_views(frames: np.ndarray, landmarks: np.ndarray, config: ViewConfig, rng: np.random.Generator) -> Views:
    """All views of one clip: `frames` `(T, H, W, 3)` uint8 and `landmarks` `(T, 68, 2)` in its pixels."""
    both = [(frames, landmarks), mirror(frames, landmarks)]
    follow = (lambda boxes: boxes) if config.tracking else at_rest

    def draw() -> tuple[np.ndarray, np.ndarray]:
        return both[int(rng.uniform() < config.flip_probability)]

    large, small, regions = [], [], []
    for _ in range(config.num_global):
        pixels, _ = draw()
        large.append(cut_tube(pixels, global_boxes(pixels, config, rng), config.global_size))
    for _ in range(config.num_local):
        pixels, points = draw()
        regions.append(REGIONS[int(rng.integers(len(REGIONS)))])
        small.append(cut_tube(pixels, follow(local_boxes(points, regions[-1], config, rng)), config.local_size))
    for part in config.parts:
        pixels, points = draw()
        small.append(cut_tube(pixels, follow(part_boxes(points, part)), config.local_size))
    names = ["global"] * config.num_global + [f"local {region}" for region in regions] + list(config.parts)
    colours = np.stack([draw_colour(config, rng) for _ in names])
    nothing = torch.empty(0, config.num_frames, 3, config.local_size, config.local_size, dtype=torch.uint8)
    return Views(torch.stack(large), torch.stack(small) if small else nothing, torch.from_numpy(colours), names)


def plain_view(frames: np.ndarray, size: int) -> torch.Tensor:
    """The whole clip without augmentation, `(T, 3, size, size)` uint8: what fills the FaceFeat Cache."""
    centre = np.array([[(frames.shape[2] - 1) / 2, (frames.shape[1] - 1) / 2]])
    return cut_tube(frames, square_boxes(np.repeat(centre, len(frames), 0), min(frames.shape[1:3])), size)


def photometric(tubes: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """Apply `colours` `(V, 3, 4)` to tubes `(V, T, 3, S, S)` in [0, 1], a tube's frames alike; clamped to [0, 1]."""
    changed = torch.einsum("vij,vtjhw->vtihw", colours[:, :, :3], tubes) + colours[:, None, :, 3, None, None]
    return changed.clamp(0, 1)
