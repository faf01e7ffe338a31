"""The demo: prepare, pretrain, extract and probe, on drawn faces or on a folder of real videos."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from preface_hf.features.extract import extract
from preface_hf.features.probe import print_probes, probe
from preface_hf.prepare.run import prepare
from preface_hf.progress import Level, level
from preface_hf.synthetic import ClipSpec, write_synthetic
from preface_hf.training.arguments import CONFIGS, load_arguments
from preface_hf.training.loop import pretrain


SEEN = ("neutral", "sadness", "anger", "contempt")  # expressions of the pretraining clips
HELD_OUT = ("happiness", "surprise", "fear", "disgust")  # expressions of the test clips, by other people
CROP_SIZE, WORKERS = 64, 2

console = Console(width=110)


def run_demo(
    output_dir: Path,
    faces: Path | None = None,
    weights: str | None = None,
    *,
    people: int = 300,
    test_people: int = 24,
    max_steps: int | None = None,
) -> None:
    """Run the whole path into `output_dir` and print a table of probes.

    Args:
        output_dir: a folder without another demo in it.
        faces: a folder of real face videos; drawn people without it.
        weights: networks that find the faces, see `preface-hf prepare`; the built-in ones without it.
        people, test_people: drawn people to pretrain on (2 clips each) and to probe with (12 clips each).
        max_steps: of pretraining, instead of the recipe's.
    """
    console.quiet = level() == Level.QUIET
    folder = output_dir / ("faces" if faces else "drawn")
    if (folder / "run").exists():
        raise ValueError(f"{str(folder / 'run')!r} holds a demo already: delete {str(folder)!r} or name another.")
    prepared = folder / "prepared"
    with timed("prepare"):
        if faces:
            # Every fourth frame is enough for the detector; two fifths of the videos are left for the probe.
            summary = prepare(
                faces, prepared, weights=weights, media="video", crop_size=CROP_SIZE, workers=WORKERS,
                detect_every=4, test_fraction=0.4, preview=True,
            )  # fmt: skip
        else:
            # Drawn videos have their landmarks beside them: no face is looked for.
            clips = drawn_clips(people, test_people)
            console.print(f"drawing {len(clips)} videos of {people + test_people} people …")
            write_synthetic(folder / "videos", clips, workers=WORKERS)
            summary = prepare(
                folder / "videos", prepared, landmarker="given", crop_size=CROP_SIZE, workers=WORKERS, preview=True
            )
        console.print(f"{summary.splits} rows, {summary.left_out} files left out (report: {summary.report})")
    with timed("pretrain"):
        # The recipe is made for minutes on two cores.
        flags = {"data": str(prepared), "output_dir": str(folder / "run"), "max_steps": max_steps}
        model = pretrain(load_arguments(CONFIGS / "demo.yaml", flags))
    with timed("extract"):
        counts = extract(model, prepared, folder / "features.parquet", batch_size=64)
        console.print(f"{counts['rows']} windows of {counts['sources']} videos in {folder / 'features.parquet'}")
    with timed("probe"):
        if faces:
            probe_folders(model, prepared)
        else:
            # Folds keep together what would tell the answer: a video for identity, a person for expression.
            tasks = [("identity", "source"), ("expression", "identity")]
            found = []
            for label, group in tasks:
                console.print(f"reading {label} off the features of three encoders …")
                found.append(probe(model, prepared, label, split="test", group=group))
            print_probes(found)
            console.print("Probed are people and expressions that pretraining never saw.")
    console.print(f"Look at {prepared / 'preview.png'} and {folder / 'run' / 'report.html'}.")
    place = "" if output_dir == Path("demo") else f" --output-dir {output_dir}"
    said = f"Drop a video of your own on a page in the browser: preface-hf demo --page{place}"
    console.print(said, soft_wrap=True, markup=False)  # a command stays whole


def probe_folders(model: str | Path, prepared: Path) -> None:
    """Probe the sub-folder that a video came from, where the folder of videos has enough of them."""
    try:
        result = probe(model, prepared, "label", split="test", group="source")
    except ValueError as error:  # a few videos in one folder are a demo too
        console.print(f"No probe: {error}")
        return
    print_probes([result])
    console.print("Probed are videos that pretraining never saw; the label is the sub-folder that a video came from.")


def drawn_clips(people: int, test_people: int) -> list[ClipSpec]:
    """Two clips of each person with seen expressions, and of each test person three of each held-out one."""
    clip = 24, 96  # frames, size
    train = [ClipSpec(i, SEEN[(i + k) % 4], 10 * i + k, "train", *clip) for i in range(people) for k in range(2)]
    others = range(people, people + test_people)
    return train + [ClipSpec(i, e, 100 * i + k, "test", *clip) for i in others for e in HELD_OUT for k in range(3)]


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Print a rule with `name` before and the seconds after."""
    started = time.perf_counter()
    console.rule(name)
    yield
    console.print(f"{name}: {time.perf_counter() - started:.0f} s")
