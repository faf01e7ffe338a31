"""Synthetic talking faces: clips drawn by this package, with exact landmarks, identity, expression, mouth and pose.

A face is a 3-D set of the 68 points (x right in the picture, y down, z toward the camera; brow line to chin is about
1.4 units): a mean face, plus an identity's traits, plus expression, speech and blinks, turned and put into the
picture by a weak perspective camera. What each clip looks like otherwise (background, light, noise, place and size of
the face) is drawn at random, so that pixels alone are a poor guide to who is shown and how they feel.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from preface_hf.data.decoding import encode_video
from preface_hf.data.landmarks import CHIN, INDICES, MIRRORED
from preface_hf.data.synthetic_drawing import Camera, Painter


Offsets = Mapping[int, tuple[float, float]]

# Index, x, y, z of the points on the subject's right side and on the midline; the others are their mirror images.
_HALF_FACE = """
 0 -.740 -.220 .000   1 -.730  .000 .030   2 -.710  .220 .070   3 -.665  .430 .130   4 -.580  .620 .220
 5 -.455  .770 .330   6 -.300  .880 .430   7 -.150  .945 .500   8  .000  .965 .530  17 -.600 -.380 .360
18 -.490 -.460 .460  19 -.360 -.480 .530  20 -.235 -.460 .570  21 -.130 -.420 .585  27  .000 -.240 .600
28  .000 -.100 .680  29  .000  .040 .760  30  .000  .170 .830  31 -.145  .255 .600  32 -.075  .285 .655
33  .000  .300 .680  36 -.470 -.220 .440  37 -.385 -.285 .500  38 -.275 -.285 .515  39 -.190 -.205 .490
40 -.275 -.160 .505  41 -.385 -.160 .490  48 -.265  .545 .500  49 -.165  .490 .585  50 -.065  .460 .630
51  .000  .475 .640  57  .000  .645 .630  58 -.075  .640 .620  59 -.170  .605 .575  60 -.225  .546 .520
61 -.120  .536 .590  62  .000  .540 .610  66  .000  .556 .605  67 -.120  .553 .590
"""

# What one standard deviation of a trait adds to points of the right side, (x, y) by index.
_TRAITS: dict[str, Offsets] = {
    "jaw_width": {2: (-0.01, 0), 3: (-0.03, 0), 4: (-0.05, 0), 5: (-0.05, 0), 6: (-0.03, 0)},
    "chin_length": {5: (0, 0.015), 6: (0, 0.035), 7: (0, 0.05), 8: (0, 0.055)},
    "eye_distance": dict.fromkeys(range(36, 42), (-0.028, 0)),
    "eye_size": {36: (-0.025, 0), 39: (0.012, 0), 37: (0, -0.014), 38: (0, -0.014), 40: (0, 0.01), 41: (0, 0.01)},
    "eye_tilt": {36: (0, -0.026), 37: (0, -0.018), 41: (0, -0.014), 39: (0, 0.014), 40: (0, 0.006)},
    "nose_length": {29: (0, 0.02), 30: (0, 0.035), 31: (0, 0.04), 32: (0, 0.04), 33: (0, 0.04)},
    "nose_width": {31: (-0.032, 0), 32: (-0.014, 0)},
    "mouth_width": {48: (-0.035, 0), 60: (-0.03, 0), 49: (-0.02, 0), 59: (-0.02, 0), 50: (-0.006, 0)},
    "lip_thickness": {49: (0, -0.012), 50: (0, -0.018), 51: (0, -0.016), 57: (0, 0.024), 58: (0, 0.02)},
    "mouth_height": dict.fromkeys([48, 49, 50, 51, 57, 58, 59, 60, 61, 62, 66, 67], (0, 0.022)),
    "brow_height": dict.fromkeys(range(17, 22), (0, -0.028)),
    "brow_tilt": {17: (0, -0.018), 18: (0, -0.009), 20: (0, 0.007), 21: (0, 0.013)},
}

# What a facial movement at full strength adds, likewise.
_MOVES: dict[str, Offsets] = {
    "inner_brow_up": {21: (0.01, -0.11), 20: (0, -0.08), 19: (0, -0.02)},
    "outer_brow_up": {17: (0, -0.09), 18: (0, -0.11), 19: (0, -0.1), 20: (0, -0.03)},
    "brow_down": {21: (0.045, 0.12), 20: (0.03, 0.1), 19: (0.01, 0.06), 18: (0, 0.02)},
    "lid_up": {37: (0, -0.05), 38: (0, -0.05), 40: (0, 0.015), 41: (0, 0.015)},
    "lid_tight": {37: (0, 0.024), 38: (0, 0.024), 40: (0, -0.024), 41: (0, -0.024)},
    "smile": {48: (-0.1, -0.1), 60: (-0.095, -0.09), 49: (-0.06, -0.03), 59: (-0.06, -0.04), 61: (-0.03, -0.01)}
    | {67: (-0.03, 0), 58: (-0.03, 0), 3: (-0.02, 0), 4: (-0.02, -0.01)},
    "corner_down": {48: (-0.02, 0.09), 60: (-0.015, 0.08), 49: (0, 0.03), 59: (0, 0.045), 61: (0, 0.012)}
    | {67: (0, 0.012)},
    "stretch": {48: (-0.11, 0.045), 60: (-0.105, 0.04), 49: (-0.06, 0.01), 59: (-0.06, 0.01), 61: (-0.04, 0)}
    | {67: (-0.04, 0.01), 58: (-0.04, 0)},
    "sneer": {49: (0, -0.06), 50: (0, -0.075), 51: (0, -0.06), 61: (0, -0.045), 62: (0, -0.05)}
    | {30: (0, -0.03), 31: (-0.025, -0.055), 32: (0, -0.035), 33: (0, -0.025)},
    "press": {49: (0, 0.02), 50: (0, 0.03), 51: (0, 0.03), 57: (0, -0.035), 58: (0, -0.03), 59: (0, -0.015)},
    "smirk": {48: (-0.1, -0.12), 60: (-0.09, -0.11), 49: (-0.05, -0.04), 59: (-0.05, -0.05), 37: (0, 0.02)},
    "jaw_drop": {2: (0, 0.1), 3: (0, 0.22), 4: (0, 0.4), 5: (0, 0.6), 6: (0, 0.7), 7: (0, 0.75), 8: (0, 0.75)}
    | {66: (0, 0.85), 67: (0.05, 0.8), 57: (0, 0.85), 58: (0, 0.82), 59: (0, 0.66), 48: (0.1, 0.38)}
    | {60: (0.1, 0.38), 49: (0, 0.02), 50: (0, -0.05), 51: (0, -0.05), 61: (0.05, -0.03), 62: (0, -0.05)},
    "pucker": {48: (0.07, 0), 60: (0.065, 0), 49: (0.035, 0), 59: (0.035, 0), 61: (0.02, 0), 67: (0.02, 0)},
}

_RECIPES: dict[str, dict[str, float]] = {
    "neutral": {},
    "happiness": {"smile": 1, "lid_tight": 0.6},
    "sadness": {"inner_brow_up": 1, "corner_down": 1, "lid_tight": 0.3},
    "surprise": {"inner_brow_up": 0.9, "outer_brow_up": 1, "lid_up": 1, "jaw_drop": 0.22, "pucker": 0.5},
    "anger": {"brow_down": 1, "lid_tight": 0.6, "press": 1},
    "fear": {"inner_brow_up": 1.1, "outer_brow_up": 0.2, "lid_up": 1, "stretch": 1, "jaw_drop": 0.06},
    "disgust": {"sneer": 1, "brow_down": 0.6, "lid_tight": 0.8, "corner_down": 0.5},
    "contempt": {"smirk": 1, "lid_tight": 0.3},
}
EXPRESSIONS = tuple(_RECIPES)


@dataclass(frozen=True)
class SyntheticClip:
    """A drawn clip and what is true of it.

    frames: uint8 `(num_frames, size, size, 3)`, RGB. landmarks: float32 `(num_frames, 68, 2)`, iBUG-68 in pixels.
    mouth_opening: float32 `(num_frames,)`, gap of the inner lips in face heights (brow line to chin), in 3-D.
    pose: float32 `(num_frames, 3)`, degrees: yaw (positive: the face turns to the right of the picture), pitch
    (positive: up), roll (positive: clockwise in the picture). fps: frames per second.
    """

    frames: np.ndarray
    landmarks: np.ndarray
    mouth_opening: np.ndarray
    pose: np.ndarray
    identity: int
    expression: str
    fps: float


class ClipSpec(NamedTuple):
    """Which clip `write_synthetic` shall draw, and the split that it belongs to."""

    identity: int
    expression: str
    seed: int
    split: str = "train"
    num_frames: int = 32
    size: int = 128
    fps: float = 25.0

    @property
    def name(self) -> str:
        """File name without ending."""
        return f"id_{self.identity:04d}_{self.expression}_{self.seed:06d}"


def draw_clip(
    identity: int, expression: str, seed: int, num_frames: int = 32, size: int = 128, fps: float = 25.0
) -> SyntheticClip:
    """Draw one clip of a person: the same arguments give the same bytes.

    identity and seed are any integers from 0: the identity fixes face and appearance, the seed all that differs
    between clips (motion, speech, place, background, light). size is the side of a frame in pixels.
    Raises ValueError for an unknown expression, a negative identity or seed, or a size, count or rate not above 0.
    """
    _check(identity, expression, seed, num_frames, size, fps)
    rng = np.random.default_rng([seed, identity, EXPRESSIONS.index(expression)])
    times = np.arange(num_frames) / fps
    rest = identity_shape(identity)
    points = rest + _expression_motion(rng, times, expression) + _speech_motion(rng, times)
    points = _blink(rng, times, points)
    pose, gaze = _head_and_gaze(rng, times)
    cameras = _cameras(rng, times, pose, points, size)
    painter = Painter(identity, rest, rng, size)
    frames = np.stack([painter.paint(*frame) for frame in zip(points, cameras, gaze, strict=True)])
    landmarks = np.stack([camera(face) for camera, face in zip(cameras, points, strict=True)]).astype(np.float32)
    return SyntheticClip(frames, landmarks, _opening(points), pose.astype(np.float32), identity, expression, fps)


def write_synthetic(out: Path, clips: Iterable[ClipSpec | tuple], workers: int = 1) -> None:
    """Write clips as a Hugging Face videofolder: `NAME.mp4`, its landmarks `NAME.npy`, and one `metadata.csv`.

    clips: specs, or tuples of their fields. workers: processes to draw with.
    Raises ValueError when two specs have the same name (identity, expression and seed), or for an odd size.
    """
    specs = [ClipSpec(*clip) for clip in clips]
    if len({spec.name for spec in specs}) < len(specs):
        raise ValueError("two clips have the same identity, expression and seed: give each clip its own seed")
    out.mkdir(parents=True, exist_ok=True)
    outs = [out] * len(specs)
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            rows = list(pool.map(_write_clip, outs, specs))
    else:
        rows = list(map(_write_clip, outs, specs))
    with (out / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


_COLUMNS = [
    "file_name",
    "split",
    "identity",
    "expression",
    "mean_mouth_opening",
    "mean_yaw",
    "mean_pitch",
    "mean_roll",
]


def _write_clip(out: Path, spec: ClipSpec) -> dict[str, str]:
    clip = draw_clip(spec.identity, spec.expression, spec.seed, spec.num_frames, spec.size, spec.fps)
    (out / f"{spec.name}.mp4").write_bytes(encode_video(clip.frames, clip.fps))
    np.save(out / f"{spec.name}.npy", clip.landmarks)
    means = [clip.mouth_opening.mean(), *clip.pose.mean(axis=0)]
    labels = [f"{spec.name}.mp4", spec.split, f"id_{spec.identity:04d}", spec.expression]
    return dict(zip(_COLUMNS, [*labels, *(f"{value:.4f}" for value in means)], strict=True))


def _check(identity: int, expression: str, seed: int, num_frames: int, size: int, fps: float) -> None:
    if expression not in EXPRESSIONS:
        raise ValueError(f"unknown expression {expression!r}: choose one of {', '.join(EXPRESSIONS)}")
    if identity < 0 or seed < 0:
        raise ValueError(f"identity {identity} and seed {seed} must be integers from 0")
    if num_frames <= 0 or size <= 0 or fps <= 0:
        raise ValueError(f"num_frames {num_frames}, size {size} and fps {fps} must be above 0")


def _mean_face() -> np.ndarray:
    table = np.array(_HALF_FACE.split(), dtype=float).reshape(-1, 4)
    indices, points = table[:, 0].astype(int), np.zeros((68, 3))
    points[MIRRORED[indices]] = table[:, 1:] * [-1, 1, 1]
    points[indices] = table[:, 1:]
    return points


def _field(offsets: Offsets) -> np.ndarray:
    field = np.zeros((68, 3))
    for index, (x, y) in offsets.items():
        field[MIRRORED[index], :2] = -x, y
        field[index, :2] = x, y
    return field


MEAN_FACE = _mean_face()
_TRAIT_FIELDS = np.stack(
    [MEAN_FACE * [0.055, 0, 0], MEAN_FACE * [0, 0.045, 0], *(_field(offsets) for offsets in _TRAITS.values())]
)
_MOVE_FIELDS = {name: _field(offsets) for name, offsets in _MOVES.items()}
_MOVE_FIELDS["smirk"][MEAN_FACE[:, 0] > 0] = 0


def identity_shape(identity: int) -> np.ndarray:
    """The face of a person at rest, `(68, 3)` in face units, mouth closed, looking at the camera."""
    weights = np.random.default_rng([identity, 1]).normal(size=len(_TRAIT_FIELDS)).clip(-1.8, 1.8)
    return MEAN_FACE + np.tensordot(weights, _TRAIT_FIELDS, 1)


def _wander(rng: np.random.Generator, times: np.ndarray, low: float, high: float) -> np.ndarray:
    """A smooth random signal `(num_frames,)` of about unit deviation, frequencies from low to high in Hz."""
    frequencies, phases = rng.uniform(low, high, 6), rng.uniform(0, 2 * np.pi, 6)
    return np.sin(2 * np.pi * np.outer(times, frequencies) + phases).sum(axis=1) / np.sqrt(3)


def _expression_motion(rng: np.random.Generator, times: np.ndarray, expression: str) -> np.ndarray:
    apex, width = rng.uniform(times[0], times[-1] + 1e-6), rng.uniform(0.4, 1.2)
    intensity = 0.6 + 0.4 * np.exp(-(((times - apex) / width) ** 2))
    full = sum((weight * _MOVE_FIELDS[move] for move, weight in _RECIPES[expression].items()), np.zeros((68, 3)))
    return intensity[:, None, None] * full


def _speech_motion(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    syllables = (0.5 + 0.5 * _wander(rng, times, 2.5, 5.5)).clip(0, 1.6)
    talking = 1 / (1 + np.exp(-6 * (_wander(rng, times, 0.2, 0.8) + rng.uniform(-0.5, 1.2))))
    drop, pucker = rng.uniform(0.12, 0.2) * syllables * talking, 0.4 * _wander(rng, times, 1, 3) * talking
    moves = _MOVE_FIELDS["jaw_drop"] * drop[:, None, None]
    return moves + _MOVE_FIELDS["pucker"] * pucker[:, None, None]


def _blink(rng: np.random.Generator, times: np.ndarray, points: np.ndarray) -> np.ndarray:
    starts = rng.uniform(0, 3) + np.cumsum(rng.uniform(1.5, 4.5, 2 + int(times[-1]))) - 1.5
    closed = np.exp(-(((times[:, None] - starts) / 0.07) ** 2)).max(axis=1)[:, None, None]
    upper, lower = [37, 38, 43, 44], [41, 40, 47, 46]
    points[:, upper] += closed * 0.96 * (points[:, lower] - points[:, upper])
    return points


def _head_and_gaze(rng: np.random.Generator, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    base = rng.uniform(-1, 1, 3) * [25, 12, 12]
    moving = np.stack([_wander(rng, times, 0.1, 0.8) for _ in range(3)], axis=1) * [5, 3, 2]
    glance = np.stack([_wander(rng, times, 0.2, 1) for _ in range(2)], axis=1) * [0.02, 0.008]
    pose = base + moving
    return pose, glance + pose[:, :2] * [-0.0015, 0.001]


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Matrix `(3, 3)` that turns points of the face, angles in degrees, signs as in `SyntheticClip`."""
    (sy, sp, sr), (cy, cp, cr) = np.sin(np.radians([yaw, pitch, roll])), np.cos(np.radians([yaw, pitch, roll]))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return tilt @ nod @ turn


def _cameras(
    rng: np.random.Generator, times: np.ndarray, pose: np.ndarray, points: np.ndarray, size: int
) -> list[Camera]:
    """One camera a frame; the clip's place is drawn at random where all its landmarks stay in the picture."""
    scales = size * rng.uniform(0.29, 0.37) * (1 + 0.02 * _wander(rng, times, 0.1, 0.5))
    matrices = np.stack([scale * rotation(*angles)[:2] for scale, angles in zip(scales, pose, strict=True)])
    offsets = np.stack([_wander(rng, times, 0.1, 0.6) for _ in range(2)], axis=1) * 0.012 * size
    places = points @ matrices.transpose(0, 2, 1) + offsets[:, None]
    lowest, highest = 0.03 * size - places.min(axis=(0, 1)), 0.97 * (size - 1) - places.max(axis=(0, 1))
    wanted = size * (np.array([0.5, 0.46]) + rng.uniform(-0.08, 0.08, 2))
    offsets += np.minimum(np.maximum(wanted, lowest), highest)
    return [Camera(matrix, offset) for matrix, offset in zip(matrices, offsets, strict=True)]


def _opening(points: np.ndarray) -> np.ndarray:
    heights = np.linalg.norm(points[:, CHIN] - points[:, INDICES["brows"]].mean(axis=1), axis=-1)
    return (np.linalg.norm(points[:, 66] - points[:, 62], axis=-1) / heights).astype(np.float32)
