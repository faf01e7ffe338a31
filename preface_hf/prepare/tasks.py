"""The work of `prepare` on some of the files: it leaves their rows and their report, or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from preface_hf.data import shards
from preface_hf.faces.landmarkers import Landmarker, load_landmarker
from preface_hf.faces.squares import one_opencv_thread
from preface_hf.files import replacing
from preface_hf.prepare.options import TrackOptions
from preface_hf.prepare.records import FileRecord
from preface_hf.prepare.tracks import file_rows
from preface_hf.progress import count_video


@dataclass
class PrepareFiles:
    """The step that every task runs: each of `tasks` prepares its part of the files, in order.

    Attributes:
        items: the file whose lines name the files, `count` of them, as paths below `root`.
        work: the folder that takes rows and records until all tasks are done.
        options: how tracks are found and cut out.
        landmarker, weights: as `load_landmarker` takes them.
    """

    items: Path
    count: int
    tasks: int
    root: Path
    work: Path
    options: TrackOptions
    landmarker: str
    weights: str | None

    def __call__(self, _: Any, rank: int, tasks: int) -> None:
        """Prepare the files of task `rank` of `tasks`."""
        lines: list[dict[str, Any]] = []
        # Rows are written as they come; `lines` fills meanwhile and is written last.
        with one_opencv_thread(), replacing(self.rows_file(rank)) as temporary:
            rows = self._rows(rank, tasks, lines)
            shards.write_rows(temporary, rows, shards.track_features(self.options.audio))
        with replacing(self.records_file(rank)) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    def rows_file(self, rank: int) -> Path:
        """Where the rows of a task are kept until all are done."""
        return self.work / f"rows-{rank:06d}.parquet"

    def records_file(self, rank: int) -> Path:
        """What became of each file of a task, a line for each."""
        return self.work / f"report-{rank:06d}.jsonl"

    def sources(self, rank: int, tasks: int) -> Iterator[str]:
        """The files of a task, as paths below `root`."""
        # Parts of almost equal size, in order: joined by rank they give the files' order.
        first, after = rank * self.count // tasks, (rank + 1) * self.count // tasks
        with self.items.open(encoding="utf-8") as lines:
            yield from (json.loads(line)["source"] for line in islice(lines, first, after))

    def records(self) -> Iterator[dict[str, Any]]:
        """What became of each file of all tasks, in the order of the files."""
        for rank in range(self.tasks):
            with self.records_file(rank).open(encoding="utf-8") as lines:
                yield from map(json.loads, lines)

    def _rows(self, rank: int, tasks: int, lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The rows of all files of a task as they come; the record of each file goes into `lines`."""
        landmarker = process_landmarker(self.landmarker, self.weights)
        for source in self.sources(rank, tasks):
            record = FileRecord(source)
            try:
                yield from file_rows(self.root / source, landmarker, self.options, record)
                lines.append(record.prepared())
            except Exception as error:  # whatever is wrong with one file, the others are prepared
                # The report names files relative to the source, the same on every machine.
                reason = " ".join(str(error).replace(f"{self.root}/", "").split()) or type(error).__name__
                lines.append(record.without_rows(reason))
            count_video()


@lru_cache(1)
def process_landmarker(name: str, weights: str | None) -> Landmarker | None:
    """The landmarker of this process: its networks are loaded once for all tasks."""
    return load_landmarker(name, weights)
