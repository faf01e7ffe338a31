"""Frozen features of the probe sets: pooled output, and a 3x3 grid of tokens, each the mean over a clip's windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import load_dataset

from preface_hf.features.encoders import Encoder, pixel_encoder
from preface_hf.video.decoding import open_video
from preface_hf.video.windows import window_mean, windows


# Splits that a probe reads, of each set.
SPLITS = {
    "ckplus": ("train", "validation", "test"),
    "celeba": ("train", "test"),
    "lipreading": ("train",),
    "helen": ("train", "test"),
}


@dataclass
class Rows:
    """`clips` uint8 `(windows, frames, H, W, 3)` of all rows, `weights` `(windows,)`; row r has
    the windows `ends[r - 1]` to `ends[r] - 1`;
    `columns` holds lists by name."""

    clips: np.ndarray
    weights: np.ndarray
    ends: np.ndarray
    columns: dict[str, list[Any]]


def read_rows(folder: Path, splits: tuple[str, ...], num_frames: int, sampling_rate: int) -> Rows:
    """Decode every row of the splits into windows; all labels, `split` and `landmarks` become columns."""
    clips, weights, counts, columns = [], [], [], {}
    for split in splits:
        for row in load_dataset(str(folder), split=split, streaming=True):
            cut = windows(open_video(row.pop("video")["bytes"], "pyav"), num_frames, sampling_rate)
            row_windows = list(cut)
            clips += [window.frames for window in row_windows]
            weights += [window.weight for window in row_windows]
            counts.append(len(row_windows))
            for name, value in {**row, "split": split}.items():
                columns.setdefault(name, []).append(value)
    return Rows(np.stack(clips), np.array(weights), np.cumsum(counts), columns)


def pixel_features(rows: Rows) -> dict[str, np.ndarray]:
    """16x16 RGB pixels, the mean frame of each row."""
    return {"pooled": row_means(pixel_encoder(list(rows.clips)), rows)}


@torch.inference_mode()
def encoder_features(encoder: Encoder, rows: Rows, batch_size: int = 128) -> dict[str, np.ndarray]:
    """`pooled` `(rows, hidden_size)` and `grid` `(rows, 9 * hidden_size)` of a frozen encoder."""
    parts: dict[str, list[np.ndarray]] = {"pooled": [], "grid": []}
    for first in range(0, len(rows.clips), batch_size):
        clips = list(rows.clips[first : first + batch_size])
        pixels = encoder.processor(clips, do_sample_frames=False, return_tensors="pt").to(encoder.device)
        output = encoder.model(**pixels)
        parts["pooled"].append(output.pooler_output.float().cpu().numpy())
        parts["grid"].append(grid_of(output.last_hidden_state, encoder.model.config.grid_size).cpu().numpy())
    return {name: row_means(np.concatenate(values), rows) for name, values in parts.items()}


def grid_of(tokens: torch.Tensor, grid_size: tuple[int, int, int], side: int = 3) -> torch.Tensor:
    """Tokens `(batch, T*H*W, D)`, averaged over time and the cells of a `side`x`side` grid: `(batch, side² * D)`."""
    grid = tokens.float().unflatten(1, grid_size).mean(dim=1).permute(0, 3, 1, 2)  # (batch, D, H, W)
    return torch.nn.functional.adaptive_avg_pool2d(grid, side).flatten(1)


def row_means(features: np.ndarray, rows: Rows) -> np.ndarray:
    """The mean over the windows of each row, by their weights."""
    parts = zip(np.split(features, rows.ends[:-1]), np.split(rows.weights, rows.ends[:-1]), strict=True)
    return np.stack([window_mean(part, weights) for part, weights in parts])
