"""Views of one clip: global tubes, local tubes that follow a facial region, landmark tubes that follow a part.

PrefAce's "multi-scale, landmark-guided views". A tube is `(frames, 3, size, size)` uint8. Every random number comes
from the generator that is passed in; geometry and color are drawn once per tube and held fixed over its frames.
Shapes at line ends: F frames of the video, T of a tube, H, W pixels of the face crop, V views, S pixels of the tube.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from preface_hf.faces.landmarks import (
    LOCAL_REGIONS,
    PARTS,
    face_height,
    flip_landmarks,
    part_boxes,
    region_centers,
    square_boxes,
)
from preface_hf.faces.squares import mirrored
from preface_hf.modeling.video_inputs_preface import clip_indices


# All act on columns of RGB; the weights of the luma are those of BT.601.
LUMA = np.array([0.299, 0.587, 0.114])
IDENTITY = np.eye(3)
GRAY_AXIS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)  # its cross product, as a matrix


@dataclass
class TubeConfig:
    """Which tubes every method of tubes cuts, and how: large ones and small ones, each with a color of its own."""

    num_frames: int = 16  # frames of every tube
    sampling_rate: int = 2  # every n-th frame of the video
    global_rates: tuple[int, ...] = ()  # each global tube draws one, and a place in the video; (): all show the clip
    local_rates: tuple[int, ...] = ()  # likewise the small tubes
    num_global: int = 2  # seen by both networks
    global_size: int = 224  # pixels
    global_scale: tuple[float, float] = (0.4, 1.0)  # of the crop's area
    num_local: int = 6
    local_size: int = 96  # pixels, of all small tubes
    local_scale: tuple[float, float] = (0.05, 0.4)  # of the crop's area
    flip_probability: float = 0.5
    brightness: float = 0.4  # factor within 1 ± this
    contrast: float = 0.4
    saturation: float = 0.2
    hue: float = 0.1  # turn of the color wheel, within ± this
    gray_probability: float = 0.2

    def __post_init__(self) -> None:
        for name in ("global_scale", "local_scale", "global_rates", "local_rates"):
            setattr(self, name, tuple(getattr(self, name)))  # lists, from YAML
        if self.num_global < 1:
            raise ValueError(f"num_global={self.num_global} leaves nothing to learn from: set it to 1 or more.")
        for name in ("global_rates", "local_rates"):
            for rate in getattr(self, name):
                if not isinstance(rate, int) or rate < 1:
                    raise ValueError(f"{rate!r} in {name} is no sampling rate: give whole numbers of 1 or more.")

    def frames_of(self, total: int, rng: np.random.Generator | None = None) -> np.ndarray:
        """Which `num_frames` frames of a video of `total` make its clip; see [`sample_indices`]."""
        return sample_indices(total, self.num_frames, self.sampling_rate, rng)

    @property
    def num_small(self) -> int:
        """Small tubes of a clip."""
        return self.num_local

    @property
    def needs_landmarks(self) -> bool:
        """Whether a clip without landmarks cannot be cut."""
        return False


@dataclass
class ViewConfig(TubeConfig):
    """Which tubes PrefAce cuts, and how: small tubes follow the face. Counts and sizes are not stated by PrefAce;
    chosen after DINO and SVT."""

    local_scale: tuple[float, float] = (0.4, 0.9)  # side in face heights
    local_shift: float = 0.15  # largest distance from the region's center, in face heights
    parts: tuple[str, ...] = PARTS  # one landmark tube each
    tracking: bool = True  # local and landmark tubes follow the face; else each rests at its mean place over the clip

    def __post_init__(self) -> None:
        super().__post_init__()
        self.parts = tuple(self.parts)  # a list, from YAML
        for part in self.parts:
            if part not in PARTS:
                raise ValueError(f"unknown part {part!r} in parts: choose from {', '.join(PARTS)}.")

    @property
    def num_small(self) -> int:
        """Local and landmark tubes of a clip."""
        return self.num_local + len(self.parts)

    @property
    def needs_landmarks(self) -> bool:
        """Whether a clip without landmarks cannot be cut: not where all tubes are global."""
        return self.num_small > 0

    @property
    def without_landmarks(self) -> str:
        """The settings that do without them, in words."""
        return "set views.num_local to 0 and views.parts to [] (global tubes only)"


@dataclass
class Views:
    """The views of one clip.

    global_tubes: uint8 `(num_global, frames, 3, global_size, global_size)`
    small_tubes: uint8 `(num_local + parts, frames, 3, local_size, local_size)`, the local tubes first
    colors: float32 `(views, 3, 4)`, the photometric change of each tube (globals first), see [`photometric`]
    names: what each tube shows, globals first
    """

    global_tubes: torch.Tensor
    small_tubes: torch.Tensor
    colors: torch.Tensor
    names: list[str] = field(default_factory=list)


def sample_indices(total: int, count: int, rate: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Indices `(count,)` of the frames of a clip: every `rate`-th from a random start (the middle without `rng`).

    A video too short for that is sampled evenly, see [`clip_indices`].
    """
    clip = clip_indices(total, count, rate)
    room = total - 1 - int(clip[-1])  # frames left over, none of a short video
    start = room // 2 if rng is None else int(rng.integers(room + 1))
    return start + clip


def at_rest(boxes: np.ndarray) -> np.ndarray:
    """The mean place `(1, 4)` of the boxes `(T, 4)` of a tube."""
    return boxes.mean(axis=0, keepdims=True)


def tube_indices(total: int, config: TubeConfig, rng: np.random.Generator) -> np.ndarray:
    """Frames `(V, T)` of every tube, globals first: those of the clip, or of a speed and place of its own."""
    clip = config.frames_of(total, rng)
    rates = [config.global_rates] * config.num_global
    rates += [config.local_rates] * config.num_small
    return np.stack(
        [sample_indices(total, config.num_frames, int(rng.choice(some)), rng) if some else clip for some in rates]
    )


def square_at(frame: np.ndarray, x: int, y: int, side: int) -> np.ndarray:
    """The square `(side, side, 3)` of a frame whose first column and row are `x`, `y`; beyond its border the picture
    is mirrored."""
    height, width = frame.shape[:2]
    if 0 <= x <= width - side and 0 <= y <= height - side:
        return frame[y : y + side, x : x + side]  # a third of the time of picking rows and columns
    rows, columns = mirrored(y + np.arange(side), height), mirrored(x + np.arange(side), width)
    return frame[rows[:, None], columns]


def cut_tube(frames: np.ndarray, boxes: np.ndarray, size: int, times: np.ndarray | None = None) -> torch.Tensor:
    """Cut square boxes out of frames and resize them, antialiased: uint8 `(T, 3, size, size)`.

    Args:
        frames: uint8 `(F, H, W, 3)`, of which the tube shows `times` `(T,)` (`None`: all in order).
        boxes: `(T, 4)`, or `(1, 4)` that rests; of one size, set to whole pixels. Beyond its border the picture is
            mirrored.
    """
    times = np.arange(len(frames)) if times is None else times
    # One side for all frames, in whole pixels: squares are copied as they are, and resized once, as a tube.
    side = max(round(float(boxes[0, 2] - boxes[0, 0])), 1)
    # The first pixel of the square lies half of side - 1 before the center of the box.
    corners = np.rint((boxes[:, :2] + boxes[:, 2:] - (side - 1)) / 2).astype(int).tolist()  # T of x, y
    # A box that rests serves all frames.
    corners *= len(times) // len(corners)
    cut = np.empty((len(times), side, side, 3), frames.dtype)
    for square, time, (x, y) in zip(cut, times, corners, strict=True):
        square[:] = square_at(frames[time], x, y, side)
    tube = torch.from_numpy(cut).permute(0, 3, 1, 2)  # (T, 3, side, side)
    if side == size:
        return tube.contiguous()
    return torch.nn.functional.interpolate(tube, size=(size, size), mode="bilinear", antialias=True).contiguous()


def mirror(frames: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The clip as a mirror shows it: pixels reversed, landmarks reflected, left and right swapped."""
    return frames[:, :, ::-1], flip_landmarks(landmarks, frames.shape[2])


def global_boxes(frames: np.ndarray, config: TubeConfig, rng: np.random.Generator) -> np.ndarray:
    """One resting box `(1, 4)` of a random share of the crop's area, anywhere inside it."""
    return resting_box(frames, config.global_scale, rng)


def resting_box(frames: np.ndarray, scale: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """One box `(1, 4)` of a share within `scale` of the area of frames `(F, H, W, 3)`, anywhere inside them."""
    height, width = frames.shape[1:3]
    # The share is of the area, hence the root. A frame goes from 0 to width - 1, the centers of its pixels.
    side = np.sqrt(rng.uniform(*scale)) * min(height, width)
    half = (side - 1) / 2
    center = rng.uniform([half, half], [width - 1 - half, height - 1 - half])
    return square_boxes(center[None], side)


def local_boxes(landmarks: np.ndarray, region: str, config: ViewConfig, rng: np.random.Generator) -> np.ndarray:
    """A box `(T, 4)` of random size that follows `region`, a little off its center."""
    height = face_height(landmarks)
    # In heights of the face, so that near and far faces give the same views; held fixed over the frames.
    side = rng.uniform(*config.local_scale) * height
    shift = rng.uniform(-config.local_shift, config.local_shift, size=2) * height
    return square_boxes(region_centers(landmarks, region) + shift, side)


def draw_color(config: TubeConfig, rng: np.random.Generator) -> np.ndarray:
    """A photometric change as an affine map of RGB in [0, 1], `(3, 4)`: hue, saturation, contrast, brightness."""
    brightness, contrast = draw_factor(config.brightness, rng), draw_factor(config.contrast, rng)
    saturation = 0.0 if rng.uniform() < config.gray_probability else draw_factor(config.saturation, rng)
    # Affine maps chain into one: on the device a tube costs a single product, see `photometric`.
    change = saturation * IDENTITY + (1 - saturation) * LUMA  # every row of the second term is the luma
    change = change @ turn_hue(2 * np.pi * rng.uniform(-config.hue, config.hue))  # (3, 3)
    offset = np.full((3, 1), 0.5 * (1 - contrast) * brightness)  # contrast turns about mid-gray
    return np.concatenate([brightness * contrast * change, offset], axis=1).astype(np.float32)


def draw_factor(amount: float, rng: np.random.Generator) -> float:
    """A factor within 1 ± `amount`."""
    return 1 + rng.uniform(-amount, amount)


def turn_hue(angle: float) -> np.ndarray:
    """Rotation `(3, 3)` of RGB about its gray axis, `angle` in radians."""
    # Rodrigues: a turn about a unit axis, from the matrix of its cross product.
    return IDENTITY + np.sin(angle) * GRAY_AXIS + (1 - np.cos(angle)) * GRAY_AXIS @ GRAY_AXIS


def make_views(
    frames: np.ndarray,
    landmarks: np.ndarray,
    config: ViewConfig,
    rng: np.random.Generator,
    times: np.ndarray | None = None,
) -> Views:
    """All views of one clip.

    Args:
        frames: uint8 `(F, H, W, 3)`.
        landmarks: float32 `(F, 68, 2)` in pixels of the frames.
        times: `(V, T)`, the frames that each tube shows, globals first (`None`: every tube shows all, in order).
    """
    kinds = tube_kinds(config)
    if times is None:
        times = np.tile(np.arange(len(frames)), (len(kinds), 1))  # (V, T)
    # Mirroring copies no pixel: it reads the rows backwards.
    sides = [(frames, landmarks), mirror(frames, landmarks)]
    tubes, names = [], []
    # What is drawn at random comes in this order: of each tube whether it is mirrored, then its box; then all colors.
    for kind, time in zip(kinds, times, strict=True):
        pixels, points = sides[int(rng.uniform() < config.flip_probability)]
        name, boxes = draw_boxes(kind, pixels, points[time], config, rng)
        tubes.append(cut_tube(pixels, boxes, config.global_size if kind == "global" else config.local_size, time))
        names.append(name)
    colors = np.stack([draw_color(config, rng) for _ in names])  # (V, 3, 4)
    large, small = tubes[: config.num_global], tubes[config.num_global :]
    nothing = torch.empty(0, config.num_frames, 3, config.local_size, config.local_size, dtype=torch.uint8)
    return Views(torch.stack(large), torch.stack(small) if small else nothing, torch.from_numpy(colors), names)


def tube_kinds(config: ViewConfig) -> list[str]:
    """What each tube of a clip is: `global`, `local`, or the part that it follows."""
    return ["global"] * config.num_global + ["local"] * config.num_local + list(config.parts)


def draw_boxes(
    kind: str, pixels: np.ndarray, points: np.ndarray, config: ViewConfig, rng: np.random.Generator
) -> tuple[str, np.ndarray]:
    """The name and the boxes, `(T, 4)` or `(1, 4)`, of a tube of `kind` in the frames `pixels`; `points` `(T, 68, 2)`
    are the landmarks at the times that it shows."""
    if kind == "global":
        return kind, global_boxes(pixels, config, rng)
    if kind == "local":
        region = LOCAL_REGIONS[int(rng.integers(len(LOCAL_REGIONS)))]
        kind, boxes = f"local {region}", local_boxes(points, region, config, rng)
    else:
        boxes = part_boxes(points, kind)
    return kind, boxes if config.tracking else at_rest(boxes)


def plain_view(frames: np.ndarray, size: int) -> torch.Tensor:
    """The whole clip without augmentation, `(T, 3, size, size)` uint8: what a run starts from."""
    center = np.array([[(frames.shape[2] - 1) / 2, (frames.shape[1] - 1) / 2]])
    return cut_tube(frames, square_boxes(center, min(frames.shape[1:3])), size)


def photometric(tubes: torch.Tensor, colors: torch.Tensor) -> torch.Tensor:
    """Apply `colors` `(V, 3, 4)` to tubes `(V, T, 3, S, S)` in [0, 1], a tube's frames alike; clamped to [0, 1]."""
    changed = torch.einsum("vij,vtjhw->vtihw", colors[:, :, :3], tubes) + colors[:, None, :, 3, None, None]
    return changed.clamp(0, 1)
