"""Whether generated mouths follow the sound that they are given, and look like mouths.

    python benchmarks/lipsync/swapped.py VIDEO... --run RUN... --judge EXPERT --encoder CHECKPOINT... [--strip PNG]

Each video speaks the sound of the next one, through the parts of `preface-hf lipsync`. Beside the generators stand the
input unchanged and a frozen mouth, that of the middle of the first window. Landmarks are found anew in what was
generated. The judge is to be an expert that no generator was trained with.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from preface_hf.audio.sound import read_sound
from preface_hf.faces.crops import face_boxes, mouth_boxes
from preface_hf.faces.detection import detect_faces
from preface_hf.faces.landmarkers import load_landmarker
from preface_hf.faces.squares import cut_square
from preface_hf.metrics.fid import FID
from preface_hf.metrics.intervals import bootstrap
from preface_hf.metrics.sync import LipSync
from preface_hf.modeling.lipsync_preface import blend_mask
from preface_hf.modeling.sync_preface import MELS_PER_FRAME, log_mels
from preface_hf.tasks.lipsync.models import load_generator
from preface_hf.tasks.lipsync.speaker import Speaker
from preface_hf.tasks.lipsync.speech import read_speech
from preface_hf.tasks.sync.experts import load_expert
from preface_hf.tasks.sync.offsets import find_offsets
from preface_hf.tasks.sync.talks import Talk, cut_mouths, mouth_openings
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video


OWN = "input, its own sound"
# Clips of one kind of sentence are loud at the same times: the control is the same sound, moved round.
SHIFTS = (0.3, 0.4, 0.5, 0.6, 0.7)
SIDE, EVERY = 64, 5  # of the pictures of FID, and of which frames
SHOWN = 12  # frames of a strip


class Frozen:
    """In the place of a generator: the mouth of the middle frame of the reference."""

    config, device = SimpleNamespace(num_frames=16, image_size=SIDE, audio_margin=4), "cpu"

    def __call__(self, target: torch.Tensor, reference: torch.Tensor, sound: torch.Tensor) -> Any:
        mask = blend_mask(SIDE)
        return SimpleNamespace(frames=mask * reference[:, [target.shape[1] // 2]] + (1 - mask) * target)


class Replay:
    """A landmarker that gives again what was found in a video."""

    batch_size = 8

    def __init__(self, points: np.ndarray):
        self.points, self.seen, self.count = points, 0, 0

    def detect(self, frame: np.ndarray) -> np.ndarray:
        points = self.points[self.seen]
        self.seen += 1
        return np.concatenate([points.min(axis=0), points.max(axis=0), [1.0]])[None]

    def landmarks(self, frames: list[np.ndarray], boxes: list[np.ndarray]) -> np.ndarray:
        self.count += len(frames)
        return self.points[self.count - len(frames) : self.count]


@dataclass
class Clip:
    """Frames with the points of their face, and the mel frames that are heard."""

    frames: list[np.ndarray]
    points: np.ndarray
    mels: np.ndarray


def found_points(frames: list[np.ndarray], finder: Any) -> np.ndarray:
    """The points of the largest face of each frame; where none is found those of the frame before."""
    points: list[np.ndarray] = []
    for found in detect_faces(frames, finder):
        points.append(found.faces[0].landmarks if found.faces else points[-1])
    return np.stack(points)


def correlation(clip: Clip, mels: np.ndarray, shift: float = 0.0) -> float:
    """How far the mouth is open against how loud a sound is, or that sound moved round by a share of its length."""
    steps = min(len(clip.points), len(mels) // MELS_PER_FRAME)
    power = 10.0 ** mels[: steps * MELS_PER_FRAME].clip(-8, 0)
    volume = np.sqrt(power.reshape(steps, -1).mean(axis=1))
    volume = np.roll(volume, round(shift * steps))
    return float(np.corrcoef(mouth_openings(clip.points)[:steps], volume)[0, 1])


def tight(clip: Clip, boxes: np.ndarray) -> Iterator[np.ndarray]:
    """The faces that FID compares."""
    for frame, box in list(zip(clip.frames, boxes, strict=True))[::EVERY]:
        yield cut_square(frame, box, SIDE)


def spoken(kind: Any, video: Path, speech: Path, clip: Clip, finder: Any) -> Clip:
    """A video that speaks, its points found anew."""
    clock = Clock.of(open_video(video, "pyav"))
    with torch.inference_mode():
        frames = list(Speaker(kind, video, read_speech(speech), clock, None, Replay(clip.points)).frames())
    return Clip(frames, found_points(frames, finder), clip.mels)


def interval(values: np.ndarray) -> str:
    """A mean with its 95 % interval over clips."""
    drawn = bootstrap(
        lambda weights: {"mean": float(np.average(values, weights=weights))}, np.arange(len(values)), 1000
    )["mean"]
    return f"{values.mean():.2f} [{drawn[0]:.2f}, {drawn[1]:.2f}]"


def main(videos: list[Path], runs: list[str], judge: str, encoders: list[str], strip: Path | None) -> None:
    finder, expert = load_landmarker("builtin", None), load_expert(judge).eval()
    kinds = {OWN: None, "input unchanged": None, "frozen mouth": Frozen()} | {run: load_generator(run) for run in runs}
    inputs = []
    for video in videos:
        frames = list(open_video(video, "pyav"))
        inputs.append(Clip(frames, found_points(frames, finder), log_mels(read_sound(video))))
    boxes = [face_boxes(clip.points, np.arange(len(clip.points)) / 25) for clip in inputs]
    real = [face for clip, places in zip(inputs, boxes, strict=True) for face in tight(clip, places)]
    titles = ["mouths", "correlation, its sound", "correlation, its sound moved", "LSE-D", "LSE-C", "within 1 frame"]
    titles += [f"FID ({encoder})" for encoder in encoders]
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|", flush=True)
    shown: list[list[np.ndarray]] = [[] for _ in range(3)]
    for name, kind in kinds.items():
        own, other, means, faces = [], [], [], []
        for place, clip in enumerate(inputs):
            after = place if name == OWN else (place + 1) % len(videos)
            made = clip if kind is None else spoken(kind, videos[place], videos[after], clip, finder)
            mels = inputs[after].mels
            own.append(correlation(made, mels))
            other.append(float(np.mean([correlation(made, mels, shift) for shift in SHIFTS])))
            times = np.arange(len(made.frames)) / 25
            mouths = np.stack(list(cut_mouths(made.frames, mouth_boxes(made.points, times), expert.config.image_size)))
            means.append(find_offsets(expert, Talk(mouths, mels, mouth_openings(made.points))).mean)
            faces += tight(made, boxes[place])
            if place < len(shown):
                shown[place].append(np.concatenate(list(made.frames[8 : 8 + 2 * SHOWN : 2]), axis=1))
        scores = LipSync().compute(predictions=np.stack(means).tolist(), references=[0] * len(means), expert=judge)
        cells = [name, interval(np.array(own)), interval(np.array(other))]
        cells += [f"{scores[score]:.2f}" for score in ("lse_d", "lse_c", "within_one")]
        for encoder in encoders:
            found = FID().compute(
                predictions=np.stack(faces).tolist(), references=np.stack(real).tolist(), encoder=encoder
            )
            cells.append(f"{found['fid']:.4f}")
        print(f"| {' | '.join(cells)} |", flush=True)
    if strip:
        Image.fromarray(np.concatenate([row for rows in shown for row in rows], axis=0)).save(strip)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--run", nargs="+", default=[], help="generators")
    parser.add_argument("--judge", required=True, help="an expert that no generator was trained with")
    parser.add_argument("--encoder", nargs="+", default=[], help="checkpoints whose features FID is of")
    parser.add_argument("--strip", type=Path, help="a picture of some frames of the first videos, a row a kind")
    given = parser.parse_args()
    main(given.videos, given.run, given.judge, given.encoder, given.strip)
