"""What a command shows while it works: how many videos and frames are done, and what libraries say.

The work may run in other processes, even on other machines. So each task keeps a *tally*, a small file of two numbers,
and the process that shows the bar adds the files up. Tallies change nothing in the results.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, track


T = TypeVar("T")
WRITE_SECONDS = 0.5  # a task writes its tally at most this often
LINE_SECONDS = 30.0  # where stderr is not a terminal, a line this often takes the place of the bar
# What libraries read when they are imported; processes that are started later inherit it.
HUSHED = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # also transformers' "Loading weights" and "Writing model shards"
    "HF_HUB_VERBOSITY": "error",  # "Retrying in 1s"
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "OPENCV_LOG_LEVEL": "ERROR",
    "PYTHONWARNINGS": "ignore",
}


class Level(IntEnum):
    """How much a command shows."""

    QUIET = 0  # errors, and the tables that a command is asked for
    NORMAL = 1  # progress and a summary as well
    VERBOSE = 2  # what libraries say as well, every file left out, and where an error rose


_level = Level.NORMAL


def set_level(level: Level) -> None:
    """What the commands of this process show from now on; call it before heavy imports, for libraries to follow."""
    global _level
    _level = level
    if level < Level.VERBOSE:
        # What the user has set himself stays.
        for name, value in HUSHED.items():
            os.environ.setdefault(name, value)
        # `python -W` and PYTHONWARNINGS ask for warnings.
        if not sys.warnoptions:
            warnings.simplefilter("ignore")


def level() -> Level:
    """How much this process shows."""
    return _level


class Tally:
    """Videos and frames that one task has done, kept in `file` (None: nowhere)."""

    def __init__(self, file: Path | None):
        self.file = file
        self.videos = self.frames = 0
        self.due = 0.0  # on the monotonic clock

    def add(self, videos: int = 0, frames: int = 0) -> None:
        """Count, and write the file where it is time to."""
        self.videos += videos
        self.frames += frames
        if self.file and time.monotonic() >= self.due:
            self.write()

    def write(self) -> None:
        """Write the file whole. A full disk ends no task here: the task's own files will tell."""
        self.due = time.monotonic() + WRITE_SECONDS
        if self.file:
            with suppress(OSError):
                # Renamed when it is whole: who adds tallies up never reads half of one.
                temporary = self.file.with_suffix(f".{os.getpid()}")
                temporary.write_text(f"{self.videos} {self.frames}", encoding="utf-8")
                os.replace(temporary, self.file)


_tally = Tally(None)  # of the task that this process runs


@contextmanager
def tallied(file: Path) -> Iterator[None]:
    """Within the block, what `count_frames` and `count_video` count goes to `file`."""
    global _tally
    file.parent.mkdir(parents=True, exist_ok=True)
    before, _tally = _tally, Tally(file)
    try:
        # The last write may be half a second old. After an error it is left out: the task is done anew.
        yield
        write_tally()
    finally:
        _tally = before


def write_tally() -> None:
    """Write what was counted so far."""
    _tally.write()


def count_frames(frames: Iterable[T]) -> Iterator[T]:
    """Pass on what there is one of for each frame, and count it."""
    for frame in frames:
        _tally.add(frames=1)
        yield frame


def count_video() -> None:
    """Count a video, or a picture, that is done or left out."""
    _tally.add(videos=1)


@dataclass
class Counts:
    """A sum of tallies."""

    videos: int = 0
    frames: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.videos + other.videos, self.frames + other.frames)


def read_tallies(files: Iterable[Path]) -> Counts:
    """The sum of tallies; those that are not there yet count nothing."""
    total = Counts()
    for file in files:
        with suppress(OSError, ValueError):
            total += Counts(*map(int, file.read_text(encoding="utf-8").split()))
    return total


@contextmanager
def shown(label: str, read: Callable[[], Counts], total: int, noun: str) -> Iterator[None]:
    """While the block runs, show how many of `total` videos are done, how many frames, and how many a second.

    On a terminal this is a bar, elsewhere a line now and then; with `-q` nothing. `read` gives what is done so far.
    """
    if _level == Level.QUIET:
        yield
        return
    # On stderr: what a command prints can go into a pipe.
    console = Console(stderr=True)
    show = show_bar if console.is_terminal else show_lines
    ended = threading.Event()
    # A thread, as the block waits for tasks meanwhile.
    thread = threading.Thread(target=show, args=(console, label, Pace(read, total, noun), ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def rows_shown(rows: Iterable[T], label: str, total: int) -> Iterable[T]:
    """Pass on rows, and show on a terminal how many of `total` are done; with `-q` and for a single row nothing."""
    console = Console(stderr=True)
    hidden = total < 2 or _level == Level.QUIET or not console.is_terminal
    return track(rows, description=label, total=total, console=console, disable=hidden)


class Pace:
    """What is done, in words; the rate leaves out what a run before this one has done."""

    def __init__(self, read: Callable[[], Counts], total: int, noun: str):
        self.read, self.total, self.noun = read, total, noun
        self.started, self.first = time.monotonic(), read().frames

    def __call__(self) -> tuple[int, str]:
        """The videos that are done, and the line to show."""
        counts = self.read()
        rate = (counts.frames - self.first) / max(time.monotonic() - self.started, 1e-3)
        text = f"{counts.videos:,} of {self.total:,} {self.noun}, {counts.frames:,} frames, {rate:.3g} frames/s"
        return counts.videos, text


def show_bar(console: Console, label: str, pace: Pace, ended: threading.Event) -> None:
    """Show a bar until `ended` is set, then once more: the last counts stay in sight."""
    columns = (TextColumn(label), BarColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=pace.total, text="")
        last = False
        while not last:
            last = ended.wait(WRITE_SECONDS)
            videos, text = pace()
            progress.update(task, completed=videos, text=text)


def show_lines(console: Console, label: str, pace: Pace, ended: threading.Event) -> None:
    """Print a line every `LINE_SECONDS` until `ended` is set."""
    while not ended.wait(LINE_SECONDS):
        print(f"{label}: {pace()[1]}", file=sys.stderr, flush=True)
