"""`prepare`: from a folder of videos or images to a prepared set, restartable, the same bytes whatever the workers."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from . import prepared
from .card import readme
from .crops import CROPS
from .landmarkers import load_landmarker
from .prepare_tasks import Task, make_tasks, replacing, run_tasks
from .recipes import RECIPES, Item, Listing, media_root, split_hash
from .track_rows import TrackOptions


OPTIONS_FILE, REPORT_FILE, README_FILE, WORK_FOLDER = "prepare.yaml", "report.jsonl", "README.md", ".work"
SPLITS_LINE = "Hash of the splits: "


@dataclass
class PrepareSummary:
    """What a prepared set holds: rows, rows of each split, files left out, and where the report lies.

    `already_done` is true where the set was finished before and nothing was changed. `split_hash` stands for who is in
    which split (see `recipes.split_hash`): two sets of the same protocol have the same one.
    """

    rows: int
    splits: dict[str, int]
    left_out: int
    report: Path
    already_done: bool = False
    split_hash: str = ""


def prepare(
    src: str | Path,
    out: str | Path,
    *,
    recipe: str = "folder",
    landmarker: str = "onnx",
    weights: str | Path | None = None,
    crop_size: int = 224,
    crop: str = "smooth",
    detect_every: int = 1,
    max_seconds: float = 60.0,
    min_quality: float = 0.0,
    max_pixels: int = 50_000_000,
    workers: int = 1,
    preview: bool = False,
    media: str = "auto",
    test_fraction: float = 0.0,
    seed: int = 0,
) -> PrepareSummary:
    """Turn the videos or images of `src` into a data set in `out` that `datasets.load_dataset(out)` opens.

    Args:
        recipe: how `src` is read; see `preface_hf.data.recipes` and docs/recipes.md.
        landmarker: `onnx` (reads `weights`), `face-alignment`, or `given` (a `.npy` or `.pts` beside each file).
        weights: folder of the onnx landmarker's networks, or a Hub repository.
        crop_size: side of the face crops in pixels, even.
        crop: `smooth` (glides with the face), `fixed` (one box a track) or `per-frame` (jitters).
        detect_every: the detector sees every so many frames; between them a face's box is interpolated.
        max_seconds: a longer track goes on in another row, so that no video is too long for the memory.
        min_quality: tracks of a lower quality, in [0, 1], are left out (`preface_hf.data.quality`).
        max_pixels: a file with larger frames is left out.
        workers: processes; the result does not depend on it.
        preview: also draw `preview.png`, a contact sheet of crops with landmarks and tubes.
        media: `auto` (videos if there is any, else images), `video`, `image` or `all`.
        test_fraction: share of files that go to the split `test`, drawn by a hash of `seed` and path, where the
            recipe states no split.

    A killed run goes on where it stopped when started again with the same options. Raises `ValueError` for options
    that make no sense, for an `out` that holds anything else, and where not one face could be prepared.
    """
    if recipe not in RECIPES:
        raise ValueError(f"unknown recipe {recipe!r}: choose one of {', '.join(RECIPES)}")
    tracking = _track_options(crop_size, crop, detect_every, max_seconds, min_quality, max_pixels)
    if workers < 1 or not 0 <= test_fraction < 1:
        raise ValueError(f"workers {workers} must be at least 1 and test fraction {test_fraction} within [0, 1)")
    src, out = Path(src), Path(out)
    options = {
        "src": str(src.resolve()),
        "recipe": recipe,
        "landmarker": landmarker,
        "weights": None if weights is None else str(weights),
        **asdict(tracking),
        "media": media,
        "test_fraction": test_fraction,
        "seed": seed,
    }
    finished = _check_out(out, options)
    if not finished:
        load_landmarker(landmarker, weights)  # a user's mistake shows before any work is done
        listing = _listing(src, out, recipe, media, options)
        tasks = make_tasks(
            [item.source for item in listing.items], media_root(src, listing), out / WORK_FOLDER, tracking
        )
        run_tasks(tasks, workers, landmarker, weights)
        _join(out, listing, tasks, options)
    _tidy(out)
    if preview and not (out / "preview.png").exists():
        from ..visualize import contact_sheet

        with replacing(out / "preview.png") as temporary:
            contact_sheet(out).save(temporary, format="PNG")
    return _summary(out, finished)


def _track_options(
    crop_size: int, crop: str, detect_every: int, max_seconds: float, min_quality: float, max_pixels: int
) -> TrackOptions:
    if crop_size < 16 or crop_size % 2:
        raise ValueError(f"crop size {crop_size} is not an even number of at least 16: use 224")
    if crop not in CROPS:
        raise ValueError(f"unknown crop {crop!r}: choose one of {', '.join(CROPS)}")
    if detect_every < 1 or max_pixels < 1 or max_seconds < 1:
        raise ValueError(
            f"detect_every {detect_every}, max_pixels {max_pixels} and max_seconds {max_seconds} must be at least 1"
        )
    if not 0 <= min_quality <= 1:
        raise ValueError(f"min_quality {min_quality} is not within [0, 1]")
    return TrackOptions(crop_size, crop, detect_every, float(max_seconds), float(min_quality), max_pixels)


def _check_out(out: Path, options: dict[str, Any]) -> bool:
    """Whether `out` already holds the finished set of these options; ValueError where it holds anything else."""
    if not out.exists() or (out.is_dir() and all(_is_own(file.name) for file in out.iterdir())):
        return False
    if not (out / OPTIONS_FILE).is_file():
        raise ValueError(f"{out} holds other files: choose a new or empty folder")
    before = yaml.safe_load((out / OPTIONS_FILE).read_text(encoding="utf-8"))
    other = [name for name in options if not isinstance(before, dict) or before.get(name) != options[name]]
    if other:
        raise ValueError(f"{out} was prepared with other options ({', '.join(other)}): choose a new folder")
    return (out / README_FILE).is_file()


def _is_own(name: str) -> bool:
    """Whether a name in the output is what a killed run of ours may leave behind."""
    return name == WORK_FOLDER or (name.startswith(".") and name.endswith(".tmp"))


def _tidy(out: Path) -> None:
    shutil.rmtree(out / WORK_FOLDER, ignore_errors=True)
    for file in out.glob(".*.tmp"):
        file.unlink()


def _listing(src: Path, out: Path, recipe: str, media: str, options: dict[str, Any]) -> Listing:
    """What to prepare, as it was when the run first started: files that came since must not shift the tasks."""
    file = out / WORK_FOLDER / "listing.json"
    if file.is_file():
        stored = json.loads(file.read_text(encoding="utf-8"))
        return Listing(**stored | {"items": [Item(**item) for item in stored["items"]]})
    listing = RECIPES[recipe](src, media)
    reserved = sorted({"instance_id", *prepared.TRACK_FEATURES} & set(listing.columns))
    if reserved:
        raise ValueError(f"label columns {reserved} of {src} are names of the prepared set's own: rename them")
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out / OPTIONS_FILE) as temporary:
        temporary.write_text(yaml.safe_dump(options, sort_keys=False), encoding="utf-8")
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(asdict(listing)), encoding="utf-8")
    return listing


def _join(out: Path, listing: Listing, tasks: list[Task], options: dict[str, Any]) -> None:
    """From the tasks' files to the finished set; README.md comes last and says that it is finished."""
    items = {item.source: item for item in listing.items}
    split_of = {source: _split(item, options) for source, item in items.items()}
    made = {row["source"] for task in tasks for row in task.report() if row["status"] == "prepared"}
    splits = sorted({split_of[source] for source in made}, key=lambda split: (split != "train", split))
    features = prepared.prepared_features(listing.columns)
    folder = out / WORK_FOLDER / "data"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    counts: dict[str, int] = {}
    for split in splits:
        rows = _split_rows(tasks, items, split_of, split, first_id=sum(counts.values()))
        counts[split] = prepared.write_shards(folder, split, rows, features)
    with replacing(out / REPORT_FILE) as temporary:
        lines = [line for task in tasks for line in task.report()] + listing.aside
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    if not made:
        raise ValueError(f"no face could be prepared from {options['src']}: see the reasons in {out / REPORT_FILE}")
    shutil.rmtree(out / "data", ignore_errors=True)
    folder.rename(out / "data")
    text = readme(features, counts, out / "data", options["crop_size"], options["landmarker"])
    text += f"\n{SPLITS_LINE}{split_hash(Listing([Item(*pair) for pair in split_of.items()], {}, []))}\n"
    with replacing(out / README_FILE) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _split(item: Item, options: dict[str, Any]) -> str:
    if item.split is not None:
        return item.split
    digest = hashlib.sha256(f"{options['seed']}:{item.source}".encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") / 2**64 < options["test_fraction"] else "train"


def _split_rows(
    tasks: list[Task], items: dict[str, Item], split_of: dict[str, str], split: str, first_id: int
) -> Iterator[dict[str, Any]]:
    for task in tasks:
        if not task.rows_file.exists() or split not in {split_of[source] for source in task.sources}:
            continue
        for row in prepared.read_rows(task.rows_file):
            if split_of[row["source"]] == split:
                row["landmarks"] = np.asarray(row["landmarks"], np.float32)
                yield {"instance_id": first_id, **row, **items[row["source"]].labels}
                first_id += 1


def _summary(out: Path, already_done: bool) -> PrepareSummary:
    from datasets import load_dataset_builder

    splits = load_dataset_builder(str(out)).info.splits or {}
    counts = {name: split.num_examples for name, split in splits.items()}
    lines = (out / REPORT_FILE).read_text(encoding="utf-8").splitlines()
    left_out = sum(json.loads(line)["status"] == "left out" for line in lines)
    card = (out / README_FILE).read_text(encoding="utf-8").splitlines()
    digest = next((line.removeprefix(SPLITS_LINE) for line in card if line.startswith(SPLITS_LINE)), "")
    return PrepareSummary(sum(counts.values()), counts, left_out, out / REPORT_FILE, already_done, digest)
