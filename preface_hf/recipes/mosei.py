"""The recipe of CMU-MOSEI, whose labels come as an HDF5 file."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

from preface_hf.recipes.base import Item, Label, Listing, gather, join, note, refuse, split_by, strings
from preface_hf.recipes.reading import by_stem, find


# The order of the seven numbers in CMU_MOSEI_Labels.csd; sentiment is -3 to 3, emotions are 0 to 3.
FEATURES = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
FOLDS = {"standard_train_fold": "train", "standard_valid_fold": "validation", "standard_test_fold": "test"}


def cmu_mosei(src: Path, media: str = "auto") -> Listing:
    """CMU-MOSEI: labels by https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK, raw videos from its owners.

    Layout: `Videos/Segmented/Combined/<video>_<clip>.mp4`, `Transcript/Segmented/Combined/<video>.txt` (lines
    `video___clip___start___end___text`) and `CMU_MOSEI_Labels.csd`, each anywhere below. A clip gets the labels whose
    interval has its start and end in the transcript; without the transcript clips have no label. Needs h5py.
    Labels: sentiment (-3 to 3), happy, sad, anger, surprise, disgust, fear (0 to 3), youtube_id, transcript.
    Split: the owners' standard folds where their `cmu_mosei_std_folds.py` lies in the folder, else ours, by a hash of
    the video.
    """
    names = gather(src, media, ("video",), "cmu-mosei")
    file = find(names, "CMU_MOSEI_Labels.csd")
    if file is None:
        raise refuse(src, "cmu-mosei", "CMU_MOSEI_Labels.csd", "download it with the CMU-MultimodalSDK")
    labels, texts, folds = _read_csd(src / file), _transcripts(src, names), _folds(src, names)
    items, clips, rows = [], by_stem([name for name in names if name.endswith(".mp4")]), []
    for (video, clip), (start, end, text) in texts.items():
        nearest = min(labels.get(video, []), key=lambda row: abs(row[0] - start) + abs(row[1] - end), default=None)
        known = nearest is not None and abs(nearest[0] - start) + abs(nearest[1] - end) < 0.1
        values: dict[str, Label] = dict(zip(FEATURES, nearest[2], strict=True)) if nearest and known else {}
        source = clips.get(f"{video}_{clip}", [""])[0]
        if source or values:
            items.append(Item(source or f"{video}_{clip}.mp4", folds.get(video), values | {"transcript": text}))
            items[-1].labels["youtube_id"] = video
    columns = dict.fromkeys(FEATURES, "float64") | strings("youtube_id", "transcript")
    segmented = [name for name in names if "Segmented/" in name and name.endswith(".mp4")]
    named = {item.source for item in items}
    listing = join({*segmented, *(named & set(names))}, items, columns, "the transcripts")
    for item in listing.items:
        if item.labels["youtube_id"] is None:
            item.labels["youtube_id"] = Path(item.source).stem.rpartition("_")[0]
            item.split = folds.get(str(item.labels["youtube_id"]))
    if not folds:
        rows.append(note("cmu_mosei_std_folds.py is not there: the split is drawn by video, not the owners'"))
        split_by(listing.items, "youtube_id")
    listing.aside += rows
    return listing


def h5py_of(recipe: str) -> Any:
    """The optional module h5py; ValueError with the remedy where it is not installed."""
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise ValueError(
            f"recipe {recipe!r} reads an HDF5 file with h5py, which is not installed: pip install h5py"
        ) from error


def _read_csd(file: Path) -> dict[str, list[tuple[float, float, list[float]]]]:
    """Start, end and the seven numbers of every labelled interval, by video."""
    with h5py_of("cmu-mosei").File(file, "r") as store:
        root = next(iter(store.values()))
        if "data" not in root:
            raise ValueError(f"{file} is no computational sequence (no group data): download it again")
        return {
            video: [
                (float(start), float(end), [float(value) for value in row])
                for (start, end), row in zip(group["intervals"][:], group["features"][:], strict=True)
            ]
            for video, group in root["data"].items()
        }


def _transcripts(src: Path, names: list[str]) -> dict[tuple[str, str], tuple[float, float, str]]:
    table = {}
    for name in names:
        if "Transcript/Segmented/" in name and name.endswith(".txt"):
            for line in (src / name).read_text(encoding="utf-8", errors="replace").splitlines():
                parts = line.split("___", 4)
                if len(parts) == 5:
                    table[parts[0], parts[1]] = (float(parts[2]), float(parts[3]), parts[4].strip())
    return table


def _folds(src: Path, names: list[str]) -> dict[str, str]:
    """Split of each video, from the lists in the owners' Python file, which is read and not run."""
    file = find(names, "cmu_mosei_std_folds.py")
    if file is None:
        return {}
    table: dict[str, str] = {}
    for node in ast.parse((src / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in FOLDS:
            table |= dict.fromkeys(ast.literal_eval(node.value), FOLDS[node.targets[0].id])
    return table
