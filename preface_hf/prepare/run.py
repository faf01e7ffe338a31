"""`prepare`: from a folder of videos or images to a prepared set, restartable, the same bytes whatever the workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preface_hf.executors import Display, check_executor, run_tasks
from preface_hf.faces.landmarkers import load_landmarker, resolve_landmarker
from preface_hf.files import replacing
from preface_hf.prepare.folder import (
    ITEMS_FILE,
    REPORT_FILE,
    WORK_FOLDER,
    PrepareSummary,
    check_out,
    read_summary,
    stored_listing,
    tidy,
)
from preface_hf.prepare.join import write_set
from preface_hf.prepare.options import SetOptions, TrackOptions
from preface_hf.prepare.tasks import PrepareFiles
from preface_hf.recipes import Listing, media_root
from preface_hf.recipes.base import noun_for


# A file is a task of its own until there are so many; then tasks take several, and leave about a shard each.
MOST_TASKS = 1000


def prepare(
    src: str | Path,
    out: str | Path,
    *,
    recipe: str = "folder",
    landmarker: str = "auto",
    weights: str | Path | None = None,
    crop_size: int = 224,
    crop: str = "smooth",
    detect_every: int = 1,
    max_seconds: float = 60.0,
    min_quality: float = 0.0,
    max_pixels: int = 50_000_000,
    audio: bool = False,
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
        src: a video, or a folder of videos or images.
        out: folder of the new set.
        recipe: how `src` is read; see `preface_hf.recipes` and docs/recipes.md.
        landmarker: `builtin` (its networks are part of this package), `onnx` (reads `weights`), `face-alignment`, or
            `given` (a `.npy` or `.pts` beside each file); `auto` is `onnx` with `weights`, else `builtin`.
        weights: folder of the onnx landmarker's networks, or a Hub repository.
        crop_size: side of the face crops in pixels, even.
        crop: `smooth` (glides with the face), `fixed` (one box a track) or `per-frame` (jitters).
        detect_every: the detector sees every so many frames; between them a face's box is interpolated.
        max_seconds: a longer track continues in another row, so that no video is too long for the memory.
        min_quality: tracks of a lower quality, in [0, 1], are left out (`preface_hf.faces.quality`).
        max_pixels: a file with larger frames is left out.
        audio: keep the sound of each track, 16 kHz mono, in a column `audio`; null where a file has none.
        workers: processes, or jobs that run at a time; the result does not depend on it.
        preview: also draw `preview.png`, a contact sheet of crops with landmarks and tubes.
        media: `auto` (videos if there is any, else images), `video`, `image` or `all`.
        test_fraction: share of files that go to the split `test`, drawn by a hash of `seed` and path, where the
            recipe states no split.
        executor: who runs the tasks: `local`, `ray` or `slurm` (datatrove's; docs/cluster.md).
        tasks: parts that the files are cut into; the result does not depend on it. None: a file is a task, up to
            a thousand tasks.
        cluster: further settings of datatrove's executor, such as `partition` and `time` for SLURM.

    A killed run continues where it stopped when started again with the same options. Where SLURM is given the
    work, its last job finishes the set. Raises `ValueError` for options that make no sense, for an `out` that
    holds anything else, and where not one face could be prepared.
    """
    landmarker = resolve_landmarker(landmarker, weights)  # a set remembers which one it was
    tracks = TrackOptions(crop_size, crop, detect_every, float(max_seconds), float(min_quality), max_pixels, audio)
    # Text, as the options are stored as YAML and compared with those of a run before.
    place = None if weights is None else str(weights)
    options = SetOptions(Path(src).resolve(), recipe, landmarker, place, tracks, media, test_fraction, seed)
    runner = Runner(executor, workers, tasks, cluster)
    out = Path(out).resolve()
    # A finished set is not made again, but a preview may still be asked for.
    already_done = check_out(out, options)
    if not already_done and not make_set(out, options, runner, preview):
        return PrepareSummary(0, {}, 0, out / REPORT_FILE, submitted=True)
    tidy(out)
    if preview:
        draw_preview(out)
    return read_summary(out, already_done)


@dataclass
class Runner:
    """Who runs the tasks, and how many there are; named as in `prepare`. Raises `ValueError` as that does."""

    executor: str
    workers: int
    tasks: int | None
    cluster: dict[str, Any] | None

    def __post_init__(self) -> None:
        check_executor(self.executor, self.workers, self.tasks, self.cluster)


@dataclass
class Finish:
    """The step after all others: `prepare` again, which finds all tasks done and makes the set of them."""

    options: SetOptions
    out: Path
    preview: bool
    tasks: int

    def __call__(self, _: Any, rank: int, tasks: int) -> None:
        """As datatrove calls it: in this process, as the last job of SLURM has no others to wait for."""
        # Without executor and workers: all work is done, what is left needs one process.
        prepare(**self.options.arguments(), out=self.out, preview=self.preview, tasks=self.tasks)


def make_set(out: Path, options: SetOptions, runner: Runner, preview: bool) -> bool:
    """Run the tasks that are left and write the set; False where SLURM was given the work."""
    load_landmarker(options.landmarker, options.weights)  # a user's mistake shows before any work is done
    listing = stored_listing(out, options)
    # The number of tasks follows from the files and not from the workers: so a run can go on with others.
    step = prepare_step(out, listing, options, runner.tasks or min(len(listing.items), MOST_TASKS))
    done = run_tasks(
        step,
        step.tasks,
        step.work,
        executor=runner.executor,
        workers=runner.workers,
        cluster=runner.cluster,
        finish=Finish(options, out, preview, step.tasks),
        display=Display("preparing", len(listing.items), noun_for(item.source for item in listing.items)),
    )
    if done:
        write_set(out, listing, step, options)
    return done


def prepare_step(out: Path, listing: Listing, options: SetOptions, tasks: int) -> PrepareFiles:
    """What every task does; another number of tasks works in another folder, so that none is taken for another."""
    work = out / WORK_FOLDER
    (work / f"tasks-{tasks}").mkdir(exist_ok=True)
    return PrepareFiles(
        items=work / ITEMS_FILE,
        count=len(listing.items),
        tasks=tasks,
        root=media_root(options.src, listing),
        work=work / f"tasks-{tasks}",
        options=options.tracks,
        landmarker=options.landmarker,
        weights=absolute_weights(options.weights),
    )


def absolute_weights(weights: str | None) -> str | None:
    """A folder as seen from everywhere, a Hub repository as it is."""
    if weights is None or not Path(weights).is_dir():
        return weights
    # Tasks may run in another working folder, where a relative path leads elsewhere.
    return str(Path(weights).resolve())


def draw_preview(out: Path) -> None:
    """Draw `preview.png` unless it is there."""
    from preface_hf.pictures.sheets import contact_sheet

    if not (out / "preview.png").exists():
        with replacing(out / "preview.png") as temporary:
            contact_sheet(out).save(temporary, format="PNG")
