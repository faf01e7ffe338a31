"""The folder that `prepare` writes: whose it is, what a killed run left in it, and what the finished set tells."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from preface_hf.data.shards import TRACK_FEATURES
from preface_hf.files import replacing
from preface_hf.recipes import RECIPES, Item, Listing


OPTIONS_FILE, REPORT_FILE, README_FILE, WORK_FOLDER = "prepare.yaml", "report.jsonl", "README.md", ".work"
LISTING_FILE, ITEMS_FILE = "listing.json", "items.jsonl"
SPLITS_LINE = "Hash of the splits: "


@dataclass
class PrepareSummary:
    """What a prepared set holds: rows, rows of each split, files left out, and where the report lies.

    `reasons` counts why files were left out, the most frequent first, without what differs from file to file.
    `submitted` is true where SLURM was given the work and nothing is there yet.

    `already_done` is true where the set was finished before and nothing was changed. `split_hash` stands for who is in
    which split (see `recipes.split_hash`): two sets of the same protocol have the same one.
    """

    rows: int
    splits: dict[str, int]
    left_out: int
    report: Path
    already_done: bool = False
    split_hash: str = ""
    reasons: dict[str, int] = field(default_factory=dict)
    submitted: bool = False


def check_out(out: Path, options: dict[str, Any]) -> bool:
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


def tidy(out: Path) -> None:
    """Remove what only a run in progress needs."""
    shutil.rmtree(out / WORK_FOLDER, ignore_errors=True)
    for file in out.glob(".*.tmp"):
        file.unlink()


def stored_listing(src: Path, out: Path, recipe: str, media: str, options: dict[str, Any]) -> Listing:
    """What to prepare, as it was when the run first started: files that came since must not shift the tasks."""
    work = out / WORK_FOLDER
    if (work / LISTING_FILE).is_file():
        stored = json.loads((work / LISTING_FILE).read_text(encoding="utf-8"))
        with (work / ITEMS_FILE).open(encoding="utf-8") as lines:
            return Listing(**stored, items=[Item(**json.loads(line)) for line in lines])
    listing = RECIPES[recipe](src, media)
    reserved = sorted({"instance_id", *TRACK_FEATURES} & set(listing.columns))
    if reserved:
        raise ValueError(f"label columns {reserved} of {src} are names of the prepared set's own: rename them")
    work.mkdir(parents=True, exist_ok=True)
    with replacing(out / OPTIONS_FILE) as temporary:
        temporary.write_text(yaml.safe_dump(options, sort_keys=False), encoding="utf-8")
    with replacing(work / ITEMS_FILE) as temporary, temporary.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(asdict(item)) + "\n" for item in listing.items)
    with replacing(work / LISTING_FILE) as temporary:
        about = {"columns": listing.columns, "aside": listing.aside, "root": listing.root}
        temporary.write_text(json.dumps(about), encoding="utf-8")
    return listing


def read_summary(out: Path, already_done: bool) -> PrepareSummary:
    """What the finished set in `out` holds."""
    from datasets import load_dataset_builder

    splits = load_dataset_builder(str(out)).info.splits or {}
    counts = {name: split.num_examples for name, split in splits.items()}
    lines = (out / REPORT_FILE).read_text(encoding="utf-8").splitlines()
    left_out = [line for line in map(json.loads, lines) if line["status"] == "left out"]
    reasons = Counter(_kind_of_reason(line) for line in left_out)
    card = (out / README_FILE).read_text(encoding="utf-8").splitlines()
    digest = next((line.removeprefix(SPLITS_LINE) for line in card if line.startswith(SPLITS_LINE)), "")
    total, report = sum(counts.values()), out / REPORT_FILE
    return PrepareSummary(total, counts, len(left_out), report, already_done, digest, dict(reasons.most_common()))


def _kind_of_reason(line: dict[str, Any]) -> str:
    """The reason without the name of the file, what stands in brackets, and numbers."""
    text = line["reason"].replace(line["source"], "").replace(Path(line["source"]).name, "")
    return re.sub(r"\b\d+(\.\d+)?\b", "N", re.sub(r"\s*\([^)]*\)", "", text)).strip(" :")
