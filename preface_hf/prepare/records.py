"""What became of each file: the lines of `report.jsonl`, and what they add up to."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class FileRecord:
    """What became of one file, as it grows while the file is read: a line of `report.jsonl`.

    Attributes:
        source: the file, relative to the source folder.
        frames: frames read.
        tracks: the tracks that became rows.
        left_out: the tracks that did not, and why.
        damage: what is wrong with the rest of the file.
        notes: remarks on how the file was read, such as HDR.
    """

    source: str
    frames: int = 0
    tracks: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    damage: str | None = None
    notes: list[str] = field(default_factory=list)

    def prepared(self) -> dict[str, Any]:
        """The line of a file with rows. `frames_left_out`: ranges of frames without a track, both ends included."""
        # Frames that any track covers: tracks of several faces overlap.
        inside = np.zeros(self.frames, bool)
        for track in self.tracks:
            inside[track["start"] : track["start"] + track["frames"]] = True
        # A frame outside all tracks begins or ends a range where its neighbor is inside one.
        edges = np.flatnonzero(np.diff(np.concatenate([[1], inside, [1]]).astype(int)))
        ranges = [[int(first), int(after) - 1] for first, after in edges.reshape(-1, 2)]
        return {
            "source": self.source,
            "status": "prepared",
            "reason": self.damage or ("no face in the frames left out" if ranges else None),
            "frames": int(inside.sum()),
            "frames_left_out": ranges,
            "tracks": self.tracks,
            "tracks_left_out": self.left_out,
            "notes": list(self.notes),
        }

    def without_rows(self, reason: str) -> dict[str, Any]:
        """The line of a file that gave no row."""
        line = {"source": self.source, "status": "left out", "reason": reason}
        return {**line, "notes": list(self.notes)} if self.notes else line


@dataclass
class FileCounts:
    """How many files a report is about, by what became of them.

    Attributes:
        prepared: files that gave rows.
        left_out: files that were to be prepared and gave none, by reason, the most frequent first.
        ignored: files that were not to be prepared, such as those that are no media, likewise.
        notes: remarks on how files were read, likewise.
    """

    prepared: int
    left_out: dict[str, int]
    ignored: dict[str, int]
    notes: dict[str, int]


def count_files(report: Path) -> FileCounts:
    """Count the lines of `report.jsonl`. Reasons go without what differs from file to file: names and numbers."""
    # Notes are counted for files of every status.
    prepared, left_out, ignored, notes = 0, Counter[str](), Counter[str](), Counter[str]()
    for line in report_lines(report):
        prepared += line["status"] == "prepared"
        if line["status"] == "left out":
            left_out[kind_of_reason(line)] += 1
        elif line["status"] == "ignored":
            ignored[kind_of_reason(line)] += num_files(line)
        notes.update(without_numbers(note) for note in line.get("notes", ()))
    return FileCounts(prepared, *(dict(counts.most_common()) for counts in (left_out, ignored, notes)))


def report_lines(report: Path) -> Iterator[dict[str, Any]]:
    """The lines of `report.jsonl`, each as a dict."""
    with report.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def num_files(line: dict[str, Any]) -> int:
    """Files that a line is about: `*.image` stands for all images, and its reason begins with their number."""
    number = re.match(r"\d+", line["reason"]) if line["source"].startswith("*") else None
    return int(number[0]) if number else 1


def kind_of_reason(line: dict[str, Any]) -> str:
    """The reason without the name of the file, what stands in brackets, and numbers."""
    # A reason may name the file with its folder or without.
    text = line["reason"].replace(line["source"], "").replace(Path(line["source"]).name, "")
    return without_numbers(re.sub(r"\s*\([^)]*\)", "", text)).strip(" :")


def without_numbers(text: str) -> str:
    """The text with N for each number, so that reasons that differ in numbers count as one."""
    return re.sub(r"\b\d+(\.\d+)?\b", "N", text)
