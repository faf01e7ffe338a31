"""What a model said of videos, as rows: in JSON, in CSV, and as a table to read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


FORMATS = ("table", "json", "csv")


@dataclass
class Prediction:
    """One row.

    Attributes:
        kind: `window`, `track` (the mean over the windows of a face) or `left out`.
        source: the video.
        track: the number of the face; a face in sight for more than half a minute has several.
        start_seconds, end_seconds: when it is shown.
        num_frames: of the video.
        label: the best name; of labels that are yes or no each, the names with a probability of 0.5 or more; None of a
            regression.
        score: the highest probability; of a regression of one name its number.
        scores: name to probability, or number, the highest first.
        landmarks: for each frame its points, x and y in pixels of the video (of the crop, in a prepared set).
        reason: why it was left out.
    """

    kind: str
    source: str
    track: int | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    num_frames: int | None = None
    label: str | list[str] | None = None
    score: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    landmarks: list[list[list[float]]] | None = None
    reason: str | None = None

    @property
    def said(self) -> list[tuple[str, str]]:
        """The names that are worth a line, and how much each is: in percent, or the number of a regression."""
        if self.label is None:
            return [(name, f"{value:.3g}") for name, value in self.scores.items()]
        names = self.label if isinstance(self.label, list) else [self.label]
        known = [(name, f"{100 * self.scores[name]:.0f} %") for name in names if name in self.scores]
        return known or [("none above 50 %", "")]


def as_json(rows: Sequence[Prediction]) -> str:
    """A list of objects; what a row has no value for is left out of it."""
    kept = [{key: value for key, value in asdict(row).items() if value not in (None, {})} for row in rows]
    return json.dumps(kept, ensure_ascii=False, indent=None if any(row.landmarks for row in rows) else 1) + "\n"


def as_csv(rows: Sequence[Prediction]) -> str:
    """A table: names with a semicolon between them, a column `score NAME` for each name, landmarks as JSON."""
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    text = io.StringIO()
    columns = [name for name in Prediction.__dataclass_fields__ if name != "scores"]
    writer = csv.DictWriter(text, columns + [f"score {name}" for name in names], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells: dict[str, Any] = asdict(row)
        cells |= {f"score {name}": value for name, value in cells.pop("scores").items()}
        cells["label"] = "; ".join(row.label) if isinstance(row.label, list) else row.label
        cells["landmarks"] = json.dumps(row.landmarks) if row.landmarks else None
        writer.writerow(cells)
    return text.getvalue()


def as_text(rows: Sequence[Prediction], kind: str) -> str:
    """Rows in the format `kind`, json or csv."""
    return as_csv(rows) if kind == "csv" else as_json(rows)


def print_predictions(rows: Sequence[Prediction], by_window: bool = False) -> None:
    """A table with a line for each face, or for each window of each face."""
    shown = [row for row in rows if row.kind == ("window" if by_window else "track")]
    table = Table()
    for name, justify in (
        ("source", "left"),
        ("face", "right"),
        ("seconds", "right"),
        ("label", "left"),
        ("score", "right"),
    ):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in shown:
        said = row.said or [(f"points of {row.num_frames} frames", "")]
        names, scores = ("\n".join(column) for column in zip(*said, strict=True))
        face = "" if row.track is None else str(row.track)
        table.add_row(row.source, face, f"{row.start_seconds:.1f}–{row.end_seconds:.1f}", names, scores)
    # A file or a class may be called `[b]`.
    Console(width=110, markup=False, highlight=False).print(table)


def format_of(file: Path) -> str:
    """The format that a file's name asks for; `ValueError` for another than json and csv."""
    kind = file.suffix.lower().lstrip(".")
    if kind not in ("json", "csv"):
        raise ValueError(f"{str(file)!r} is neither .json nor .csv: give it one of these endings.")
    return kind
