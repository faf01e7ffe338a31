"""`prepare`: from a folder of videos or images to a prepared set, restartable, the same bytes whatever the workers."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..executors import check_executor, run_tasks
from . import prepared
from .card import readme
from .crops import CROPS
from .join import Labelled, join_rows
from .landmarkers import load_landmarker
from .prepare_tasks import PrepareFiles, replacing
from .recipes import RECIPES, Item, Listing, media_root, split_hash
from .track_rows import TrackOptions


OPTIONS_FILE, REPORT_FILE, README_FILE, WORK_FOLDER = "prepare.yaml", "report.jsonl", "README.md", ".work"
LISTING_FILE, ITEMS_FILE = "listing.json", "items.jsonl"
# A file is a task of its own until there are so many; then tasks take several, and leave about a shard each.
MOST_TASKS = 1000
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
    executor: str = "local",
    tasks: int | None = None,
    cluster: dict[str, Any] | None = None,
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
        workers: processes, or jobs that run at a time; the result does not depend on it.
        preview: also draw `preview.png`, a contact sheet of crops with landmarks and tubes.
        media: `auto` (videos if there is any, else images), `video`, `image` or `all`.
        test_fraction: share of files that go to the split `test`, drawn by a hash of `seed` and path, where the
            recipe states no split.
        executor: who runs the tasks: `local`, `ray` or `slurm` (datatrove's; docs/cluster.md).
        tasks: parts that the files are cut into; the result does not depend on it. None: a file is a task, up to
            a thousand tasks.
        cluster: further settings of datatrove's executor, such as `partition` and `time` for SLURM.

    A killed run goes on where it stopped when started again with the same options. Where SLURM is given the
    work, its last job finishes the set. Raises `ValueError` for options that make no sense, for an `out` that
    holds anything else, and where not one face could be prepared.
    """
    call = {**locals(), "executor": "local", "workers": 1, "cluster": None}  # how the last job of SLURM goes on
    if recipe not in RECIPES:
        raise ValueError(f"unknown recipe {recipe!r}: choose one of {', '.join(RECIPES)}")
    tracking = _track_options(crop_size, crop, detect_every, max_seconds, min_quality, max_pixels)
    check_executor(executor, workers, tasks, cluster)
    if not 0 <= test_fraction < 1:
        raise ValueError(f"test fraction {test_fraction} is not within [0, 1)")
    src, out = Path(src).resolve(), Path(out).resolve()
    options = {
        "src": str(src),
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
        count = tasks or min(len(listing.items), MOST_TASKS)
        step = _step(out, src, listing, tracking, landmarker, weights, count)
        done = run_tasks(
            step,
            count,
            step.work,
            executor=executor,
            workers=workers,
            cluster=cluster,
            finish=Finish({**call, "tasks": count}),
            label="preparing",
        )
        if not done:
            return PrepareSummary(0, {}, 0, out / REPORT_FILE, submitted=True)
        _join(out, listing, step, count, options)
    _tidy(out)
    if preview and not (out / "preview.png").exists():
        from ..visualize import contact_sheet

        with replacing(out / "preview.png") as temporary:
            contact_sheet(out).save(temporary, format="PNG")
    return _summary(out, finished)


@dataclass
class Finish:
    """The step after all others: `prepare` again, which finds all tasks done and makes the set of them."""

    call: dict[str, Any]

    def __call__(self, _: Any, rank: int, tasks: int) -> None:
        """As datatrove calls it."""
        prepare(**self.call)


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
    work = out / WORK_FOLDER
    if (work / LISTING_FILE).is_file():
        stored = json.loads((work / LISTING_FILE).read_text(encoding="utf-8"))
        with (work / ITEMS_FILE).open(encoding="utf-8") as lines:
            return Listing(**stored, items=[Item(**json.loads(line)) for line in lines])
    listing = RECIPES[recipe](src, media)
    reserved = sorted({"instance_id", *prepared.TRACK_FEATURES} & set(listing.columns))
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


def _step(
    out: Path,
    src: Path,
    listing: Listing,
    options: TrackOptions,
    landmarker: str,
    weights: str | Path | None,
    tasks: int,
) -> PrepareFiles:
    """What every task does; another number of tasks works in another folder, so that none is taken for another."""
    work = out / WORK_FOLDER
    (work / f"tasks-{tasks}").mkdir(exist_ok=True)
    return PrepareFiles(
        items=work / ITEMS_FILE,
        count=len(listing.items),
        root=media_root(src, listing),
        work=work / f"tasks-{tasks}",
        options=options,
        landmarker=landmarker,
        weights=_absolute(weights),
    )


def _absolute(weights: str | Path | None) -> str | None:
    """A folder as seen from everywhere, a Hub repository as it is."""
    if weights is None or not Path(weights).is_dir():
        return None if weights is None else str(weights)
    return str(Path(weights).resolve())


def _join(out: Path, listing: Listing, step: PrepareFiles, tasks: int, options: dict[str, Any]) -> None:
    """From the tasks' files to the finished set; README.md comes last and says that it is finished."""
    about = {item.source: Labelled(_split(item, options), item.labels) for item in listing.items}
    features = prepared.prepared_features(listing.columns)
    folder = out / WORK_FOLDER / "data"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    counts = join_rows([step.rows_file(rank) for rank in range(tasks)], folder, about, features)
    with replacing(out / REPORT_FILE) as temporary, temporary.open("w", encoding="utf-8") as report:
        report.writelines(json.dumps(line) + "\n" for line in (*step.report(tasks), *listing.aside))
    if not counts:
        raise ValueError(f"no face could be prepared from {options['src']}: see the reasons in {out / REPORT_FILE}")
    shutil.rmtree(out / "data", ignore_errors=True)
    folder.rename(out / "data")
    text = readme(features, counts, out / "data", options["crop_size"], options["landmarker"])
    splits = Listing([Item(source, labelled.split) for source, labelled in about.items()], {}, [])
    text += f"\n{SPLITS_LINE}{split_hash(splits)}\n"
    with replacing(out / README_FILE) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _split(item: Item, options: dict[str, Any]) -> str:
    if item.split is not None:
        return item.split
    digest = hashlib.sha256(f"{options['seed']}:{item.source}".encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") / 2**64 < options["test_fraction"] else "train"


def _summary(out: Path, already_done: bool) -> PrepareSummary:
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
