"""The scores of a generator after `finetune` and by `evaluate`: beside what it has to beat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preface_hf.faces.crops import MOUTH_IN_TIGHT
from preface_hf.features.labeled import VALIDATION, splits_of
from preface_hf.metrics.mouths import mouth_pictures
from preface_hf.modeling import PrefAceForLipSync
from preface_hf.progress import rows_shown
from preface_hf.tasks.base import Task
from preface_hf.tasks.folder import SETTINGS, prepared
from preface_hf.tasks.lipsync.clips import LipSyncClips
from preface_hf.tasks.lipsync.models import load_generator
from preface_hf.tasks.results.reading import number
from preface_hf.tasks.rows.splits import read_part
from preface_hf.tasks.sync.evaluate import POINTS, write_json


TEST_WINDOWS = 2  # of a row
# A crop of a prepared set is nearly so many times as wide as the tight face in it.
CROPS_PER_FACE = 2
NAMES = {"generator": "generator", "frozen": "a frozen mouth"}


def evaluate_generator(
    run: str | Path, data: str | Path, task: Task, folder: Path, *, split: str | None = None, group: str | None = None
) -> Path:
    """Score a generator on a split of a set with sound, as [`preface_hf.tasks.evaluate.evaluate`]."""
    generator = load_generator(run)
    path = prepared(data, task, folder, CROPS_PER_FACE * generator.config.image_size)
    split = split or next((name for name in ("test", *VALIDATION) if name in splits_of(path)), "train")
    part = read_part(path, split, POINTS, group)
    clips = LipSyncClips(path, split, generator.config, windows=TEST_WINDOWS, rows=part.rows)
    folder.mkdir(parents=True, exist_ok=True)
    told = {"task": "lipsync", "model": str(run), "data": path, "splits": {split: part.told()}}
    write_json(folder / SETTINGS, told)
    write_scores(folder, generator, clips)
    return folder


@torch.inference_mode()
def write_scores(folder: Path, generator: PrefAceForLipSync, clips: LipSyncClips) -> None:
    """`scores-test.json`: PSNR and SSIM of mouths that are made of their own sound and a reference from elsewhere,
    beside the mouth of the reference's middle frame. How well they fit other sounds, an expert has to tell."""
    generator = generator.eval()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    for index in rows_shown(range(len(clips)), "speaking", len(clips)):
        batch = {name: values[None].to(generator.device) for name, values in clips[index].items()}
        true = batch.pop("labels")
        frozen = batch["reference_values_videos"][:, [true.shape[1] // 2]].expand_as(true)
        for name, frames in (("generator", generator(**batch).frames), ("frozen", frozen)):
            found[name].append(mouth_pictures(mouth_pixels(frames), mouth_pixels(true)))
    scores: dict[str, Any] = {
        name: {score: float(np.mean([row[score] for row in rows])) for score in ("psnr", "ssim")}
        | {"count": len(rows), "left_out": clips.left_out}
        for name, rows in found.items()
    }
    write_json(folder / "scores-test.json", scores)


def mouth_pixels(frames: torch.Tensor) -> np.ndarray:
    """The mouths of a window of tight faces `(1, T, 3, S, S)` from 0 to 1, uint8 `(T, side, side, 3)`."""
    left, top, right, bottom = (round(share * frames.shape[-1]) for share in MOUTH_IN_TIGHT)
    mouths = (frames[0, ..., top:bottom, left:right] * 255).round().to(torch.uint8)
    return mouths.permute(0, 2, 3, 1).cpu().numpy()


def lipsync_table(folder: str | Path) -> str:
    """`scores-test.json` as Markdown."""
    scores: dict[str, Any] = json.loads((Path(folder) / "scores-test.json").read_text(encoding="utf-8"))
    lines = [f"| mouths of {scores['generator']['count']} windows | PSNR (dB) | SSIM |", "|---|---|---|"]
    for kind, name in NAMES.items():
        lines.append(f"| {name} | {number(scores[kind]['psnr'])} | {number(scores[kind]['ssim'])} |")
    return "\n".join(lines)
