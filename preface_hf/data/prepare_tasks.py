"""The work of `prepare`, cut into tasks of a few files: each leaves its rows and its report, or nothing."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from . import prepared
from .landmarkers import Landmarker, load_landmarker
from .track_rows import FileReport, TrackOptions, file_rows


FILES_PER_TASK = 8


@dataclass
class Task:
    """A few files for one worker: everything it needs, in a form that can be pickled."""

    number: int
    sources: list[str]
    root: Path
    work: Path
    options: TrackOptions

    @property
    def rows_file(self) -> Path:
        """Where the rows of this task are kept until all are done."""
        return self.work / f"rows-{self.number:06d}.parquet"

    @property
    def report_file(self) -> Path:
        """Written last: its presence says that the task is done."""
        return self.work / f"report-{self.number:06d}.jsonl"

    def report(self) -> list[dict[str, Any]]:
        """The lines of the report: what was left out, and why."""
        return [json.loads(line) for line in self.report_file.read_text(encoding="utf-8").splitlines()]


def make_tasks(sources: list[str], root: Path, work: Path, options: TrackOptions) -> list[Task]:
    """Cut the sources, names below `root`, into tasks of `FILES_PER_TASK`."""
    starts = range(0, len(sources), FILES_PER_TASK)
    return [
        Task(number, sources[start : start + FILES_PER_TASK], root, work, options)
        for number, start in enumerate(starts)
    ]


def run_tasks(tasks: list[Task], workers: int, landmarker: str, weights: str | Path | None) -> None:
    """Run what is not done yet in `workers` processes, with a progress bar over files."""
    waiting = [task for task in tasks if not task.report_file.exists()]
    done = sum(len(task.sources) for task in tasks) - sum(len(task.sources) for task in waiting)
    columns = (TextColumn("preparing"), BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=sum(len(task.sources) for task in tasks), completed=done)
        if workers == 1:
            tool = load_landmarker(landmarker, weights) if waiting else None
            before = _opencv_threads(1)
            for task in waiting:
                _run_task(task, tool, lambda: progress.advance(bar))
            _opencv_threads(before)
            return
        pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (landmarker, weights))
        with pool:
            try:
                for future in as_completed([pool.submit(_run_in_worker, task) for task in waiting]):
                    progress.advance(bar, future.result())
            except BrokenProcessPool as error:
                raise RuntimeError("a worker died (out of memory?): run the same command again to go on") from error
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # else Ctrl-C would wait for all that is queued


_worker_tool: Landmarker | None = None


def _start_worker(landmarker: str, weights: str | Path | None) -> None:
    global _worker_tool
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _opencv_threads(1)
    _worker_tool = load_landmarker(landmarker, weights)


def _exit_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _opencv_threads(count: int) -> int:
    """Give OpenCV `count` threads; returns how many it had. The workers are processes, and share the cores."""
    try:
        import cv2
    except ImportError:
        return count
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    return before


def _run_in_worker(task: Task) -> int:
    _run_task(task, _worker_tool, lambda: None)
    return len(task.sources)


def _run_task(task: Task, landmarker: Landmarker | None, advance: Callable[[], None]) -> None:
    lines: list[dict[str, Any]] = []
    with replacing(task.rows_file) as temporary:
        prepared.write_rows(temporary, _task_rows(task, landmarker, lines, advance), prepared.TRACK_FEATURES)
    with replacing(task.report_file) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _task_rows(
    task: Task, landmarker: Landmarker | None, lines: list[dict[str, Any]], advance: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    """The rows of all files of a task as they come; each file's line of the report goes into `lines`."""
    for source in task.sources:
        report = FileReport(source)
        try:
            yield from file_rows(task.root / source, landmarker, task.options, report)
            line = report.line()
        except Exception as error:  # whatever is wrong with one file, the others go on
            reason = " ".join(str(error).replace(f"{task.root}/", "").split()) or type(error).__name__
            line = {"source": source, "status": "left out", "reason": reason}
        lines.append(line)
        advance()


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A path to write to, put in the place of `file` in one step when the block ends well."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    yield temporary
    os.replace(temporary, file)
