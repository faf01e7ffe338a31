"""The folder that `prepare` writes: whose it is, what a killed run left in it, and what the finished set tells."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from preface_hf.files import check_path, replacing
from preface_hf.prepare.options import SetOptions
from preface_hf.prepare.records import count_files
from preface_hf.recipes import RECIPES, Item, Listing


# Names in the output; the next line is of files in the work folder, which is gone when the set is whole.
OPTIONS_FILE, REPORT_FILE, README_FILE, WORK_FOLDER = "prepare.yaml", "report.jsonl", "README.md", ".work"
LISTING_FILE, ITEMS_FILE = "listing.json", "items.jsonl"
SPLITS_LINE = "Hash of the splits: "


@dataclass
class PrepareSummary:
    """What a prepared set holds, and what became of the files.

    Attributes:
        rows: rows of all splits.
        splits: rows of each split.
        left_out: how many files were to be prepared and gave no row.
        report: the file with a line for each file.
        already_done: the set was finished before, and nothing was changed.
        split_hash: stands for who is in which split (see `recipes.split_hash`): two sets of the same protocol have
            the same one.
        reasons: why files were left out, and how many; the most frequent first, without what differs between files.
        ignored: why files were not to be prepared, such as those that are no media; likewise.
        notes: remarks on how files were read, such as HDR; likewise.
        prepared: how many files gave rows.
        submitted: SLURM was given the work, and nothing is there yet.
    """

    rows: int
    splits: dict[str, int]
    left_out: int
    report: Path
    already_done: bool = False
    split_hash: str = ""
    reasons: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    prepared: int = 0
    submitted: bool = False

    def sentences(self) -> list[str]:
        """How many files were prepared, left out and ignored; then the reasons and the notes, a line for each."""
        ignored = sum(self.ignored.values())
        counts = f"{self.prepared} files prepared, {self.left_out} left out, {ignored} ignored"
        lines = [f"  left out: {count} x {reason}" for reason, count in self.reasons.items()]
        lines += [f"  ignored: {count} x {reason}" for reason, count in self.ignored.items()]
        return [counts, *lines, *(f"  note: {count} x {note}" for note, count in self.notes.items())]


def check_out(out: Path, options: SetOptions) -> bool:
    """Whether `out` already holds the finished set of these options; ValueError where it holds anything else."""
    check_path(out)
    if not out.exists() or (out.is_dir() and all(is_own(file.name) for file in out.iterdir())):
        return False
    if not (out / OPTIONS_FILE).is_file():
        raise ValueError(f"{out} holds other files: choose a new or empty folder")
    # An option that a run of an older version did not know counts as another one.
    before = yaml.safe_load((out / OPTIONS_FILE).read_text(encoding="utf-8"))
    arguments = options.arguments()
    before = {"audio": False, **before} if isinstance(before, dict) else {}  # sets were silent before it was one
    other = [name for name in arguments if before.get(name, ...) != arguments[name]]
    if other:
        raise ValueError(f"{out} was prepared with other options ({', '.join(other)}): choose a new folder")
    return (out / README_FILE).is_file()  # it is written last


def is_own(name: str) -> bool:
    """Whether a name in the output is what a killed run of ours may leave behind."""
    return name == WORK_FOLDER or (name.startswith(".") and name.endswith(".tmp"))


def tidy(out: Path) -> None:
    """Remove what only a run in progress needs."""
    shutil.rmtree(out / WORK_FOLDER, ignore_errors=True)
    for file in out.glob(".*.tmp"):
        file.unlink()


def stored_listing(out: Path, options: SetOptions) -> Listing:
    """What to prepare, as it was when the run first started: files that came since must not shift the tasks."""
    work = out / WORK_FOLDER
    if (work / LISTING_FILE).is_file():
        stored = json.loads((work / LISTING_FILE).read_text(encoding="utf-8"))
        with (work / ITEMS_FILE).open(encoding="utf-8") as lines:
            return Listing(**stored, items=[Item(**json.loads(line)) for line in lines])
    listing = RECIPES[options.recipe](options.src, options.media)
    work.mkdir(parents=True, exist_ok=True)
    with replacing(out / OPTIONS_FILE) as temporary:
        temporary.write_text(yaml.safe_dump(options.arguments(), sort_keys=False), encoding="utf-8")
    with replacing(work / ITEMS_FILE) as temporary, temporary.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(asdict(item)) + "\n" for item in listing.items)
    # The listing comes last: where it is, the options and the items are there too.
    with replacing(work / LISTING_FILE) as temporary:
        about = {"columns": listing.columns, "aside": listing.aside, "root": listing.root}
        temporary.write_text(json.dumps(about), encoding="utf-8")
    return listing


def read_summary(out: Path, already_done: bool) -> PrepareSummary:
    """What the finished set in `out` holds."""
    from datasets import load_dataset_builder

    # Counts come from the README's header: no row is read for them.
    splits = load_dataset_builder(str(out)).info.splits or {}
    rows = {name: split.num_examples for name, split in splits.items()}
    files = count_files(out / REPORT_FILE)
    card = (out / README_FILE).read_text(encoding="utf-8").splitlines()
    return PrepareSummary(
        rows=sum(rows.values()),
        splits=rows,
        left_out=sum(files.left_out.values()),
        report=out / REPORT_FILE,
        already_done=already_done,
        split_hash=next((line.removeprefix(SPLITS_LINE) for line in card if line.startswith(SPLITS_LINE)), ""),
        reasons=files.left_out,
        ignored=files.ignored,
        notes=files.notes,
        prepared=files.prepared,
    )
