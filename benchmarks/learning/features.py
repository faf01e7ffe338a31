"""Frozen features of the probe sets: pooled output, that of four layers, a 3x3 grid of tokens, and all tokens.

Each is the mean over a clip's windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import load_dataset

from preface_hf.features.encoders import Encoder, pixel_encoder
from preface_hf.modeling import PrefAceConfig
from preface_hf.modeling.pooling_preface import PrefAcePooling
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
    """Decode every row of the splits into windows, beside their columns."""
    clips, weights, counts, columns = [], [], [], {}
    for video, row in each_row(folder, splits):
        row_windows = list(windows(open_video(video, "pyav"), num_frames, sampling_rate))
        clips += [window.frames for window in row_windows]
        weights += [window.weight for window in row_windows]
        counts.append(len(row_windows))
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return Rows(np.stack(clips), np.array(weights), np.cumsum(counts), columns)


def read_columns(folder: Path, splits: tuple[str, ...]) -> dict[str, list[Any]]:
    """The columns alone."""
    rows = [row for _, row in each_row(folder, splits)]
    return {name: [row[name] for row in rows] for name in rows[0]}


def each_row(folder: Path, splits: tuple[str, ...]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """A row's video file, and its labels, `split` and `landmarks`."""
    for split in splits:
        for row in load_dataset(str(folder), split=split, streaming=True):
            yield row.pop("video")["bytes"], {**row, "split": split}


def pixel_features(rows: Rows) -> dict[str, np.ndarray]:
    """16x16 RGB pixels, the mean frame of each row; `tokens` are 16 patches of them, each with its place."""
    pixels = row_means(pixel_encoder(list(rows.clips)), rows)  # (rows, 768)
    patches = pixels.reshape(-1, 3, 4, 4, 4, 4).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 16, 48)
    places = np.broadcast_to(np.eye(16, dtype=patches.dtype), (len(patches), 16, 16))
    return {"pooled": pixels, "tokens": np.concatenate([patches, places], axis=2)}


@torch.inference_mode()
def encoder_features(encoder: Encoder, rows: Rows, batch_size: int = 128) -> dict[str, np.ndarray]:
    """`pooled` `(rows, D)`, `layers` `(rows, 4 D)`, `grid` `(rows, 9 D)` and `tokens` `(rows, N, D)` of an encoder."""
    config = encoder.model.config
    poolings = {kind: PrefAcePooling(pooled_by(config, kind)) for kind in ("layers", "grid")}
    parts: dict[str, list[np.ndarray]] = {"pooled": [], "layers": [], "grid": [], "tokens": []}
    for first in range(0, len(rows.clips), batch_size):
        clips = list(rows.clips[first : first + batch_size])
        pixels = encoder.processor(clips, do_sample_frames=False, return_tensors="pt").to(encoder.device)
        output = encoder.model(**pixels, output_hidden_states=True)
        shape = tuple(pixels["pixel_values_videos"].shape)
        found = {"pooled": output.pooler_output, "tokens": output.last_hidden_state}
        found |= {kind: pooling(encoder.model, output, shape) for kind, pooling in poolings.items()}
        for kind, values in found.items():
            parts[kind].append(values.float().cpu().numpy())
    return {name: row_means(np.concatenate(values), rows) for name, values in parts.items()}


def pooled_by(config: PrefAceConfig, kind: str) -> PrefAceConfig:
    """The configuration of a classifier that sees `kind`."""
    return type(config)(**{**config.to_dict(), "classifier_pooling": kind})


def row_means(features: np.ndarray, rows: Rows) -> np.ndarray:
    """The mean over the windows of each row, by their weights."""
    flat = features.reshape(len(features), -1)
    parts = zip(np.split(flat, rows.ends[:-1]), np.split(rows.weights, rows.ends[:-1]), strict=True)
    means = np.stack([window_mean(part, weights) for part, weights in parts])
    return means.reshape(-1, *features.shape[1:])
