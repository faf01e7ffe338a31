"""The data card of a prepared set: what it holds in numbers, and what its owner has to fill in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from datasets import Features
from huggingface_hub import DatasetCardData

from preface_hf.data.shards import describe_files


def readme(features: Features, counts: dict[str, int], folder: Path, crop_size: int, landmarker: str) -> str:
    """The README of a prepared set whose parquet files are in `folder`: the header that `datasets` reads (columns,
    splits, files), counts, hours, lengths and quality of its tracks, and the fields that its owner fills in."""
    header = describe_files(features, counts, folder, DatasetCardData(license="unknown"))
    held = ", ".join(f"{rows} in `{split}`" for split, rows in counts.items())
    return f"""---
{header.to_yaml()}
---

# Face tracks

Made by `preface-hf prepare`: {sum(counts.values())} face tracks ({held}). One row is one face through one shot.
`video` is a square crop of {crop_size}×{crop_size} pixels (H.264), hair included; `landmarks` are 68 points (iBUG
order, x then y, pixels of the crop) by the landmarker `{landmarker}`: measured by a network unless that says `given`,
and not checked by a person. What was left out, and why, stands in `report.jsonl` where the set was prepared; it names
files, and `preface-hf push` does not send it.

{numbers(folder)}

## Consent and license

To be filled in by the owner, here and in the field `license` above: where the recordings come from, under which
license, whether the people shown agreed to this use, and what the set must not be used for. Crops, landmarks and
features of faces are personal data, and biometric data where they serve to recognize someone: in many places (GDPR
article 9, Illinois BIPA) that needs explicit consent. This file claims nothing about anyone's rights.
"""


def numbers(folder: Path) -> str:
    """Files, tracks, frames, hours, and the length and quality of tracks, as Markdown."""
    names = ["source", "num_frames", "fps", "quality"]
    tables = [pq.read_table(file, columns=names) for file in sorted(folder.glob("*.parquet"))]
    # One array `(rows,)` of each column, over all files; videos are not read.
    sources, frames, fps, quality = (
        np.concatenate([table.column(name).to_numpy(zero_copy_only=False) for table in tables]) for name in names
    )
    seconds = frames / fps
    # A bar is at most 30 characters long, that of the fullest of ten bins.
    counts, edges = np.histogram(quality, bins=10, range=(0, 1))
    bars = "\n".join(
        f"| {low:.1f}–{low + 0.1:.1f} | {count} | {'█' * round(30 * count / counts.max())} |"
        for count, low in zip(counts, edges, strict=False)
    )
    files, hours = len(np.unique(sources)), seconds.sum() / 3600
    return f"""{files} files, {len(frames)} tracks, {int(frames.sum())} frames, {hours:.2f} hours. A track is
{np.median(seconds):.2f} seconds long in the median, {seconds.min():.2f} to {seconds.max():.2f}.

| quality | tracks | |
|---|---|---|
{bars}"""
