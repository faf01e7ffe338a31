"""The folder of a fine-tuned run, read: what was asked, its log, its scores and predictions."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any


SPLITS = ("test", "validation")  # of which scores and predictions may lie there, the one to show first


@dataclass(frozen=True)
class Run:
    """`about` is finetune.json; `scores` and `predictions` go by split, `test` first."""

    folder: Path
    about: dict[str, Any]
    log: list[dict[str, float]]
    scores: dict[str, dict[str, Any]]
    predictions: dict[str, list[dict[str, Any]]]

    @property
    def shown(self) -> str | None:
        """The split that a page is about; `None` before anything was predicted."""
        return next(iter(self.predictions), None)


def read_run(folder: str | Path) -> Run:
    """Read a run; `ValueError` where `folder` holds none or a file is damaged."""
    folder = Path(folder)
    if not (folder / "finetune.json").exists():
        raise ValueError(f"{str(folder)!r} holds no fine-tuned run (no finetune.json): give the --output-dir of one.")
    scores = {split: folder / f"scores-{split}.json" for split in SPLITS}
    predictions = {split: folder / f"predictions-{split}.jsonl" for split in SPLITS}
    return Run(
        folder,
        read_json(folder / "finetune.json"),
        [numbers(row) for row in read_lines(folder / "log.jsonl") if "step" in row],
        {split: read_json(path) for split, path in scores.items() if path.exists()},
        {split: read_lines(path) for split, path in predictions.items() if path.exists()},
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; `ValueError` naming the file where it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}): evaluate the run again.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is no JSON object: evaluate the run again.")
    return found


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of lines, none where it is missing. A last line that was cut off is left out."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            # A run that was killed, or is being written, ends in half a line.
            if number == len(lines) and not line.endswith("}"):
                break
            raise ValueError(f"line {number} of {path} is damaged ({error}): evaluate the run again.") from error
    return rows


def numbers(row: dict[str, Any]) -> dict[str, float]:
    """What of a row of the log can be drawn: no lists, no empty cells, no time or count of an
    evaluation, and no summary that `Trainer` logs once, at the end: one dot is no curve."""
    passing = ("_low", "_high", "_count", "_left_out", "_runtime", "_per_second", "total_flos", "train_loss")
    return {
        name: value
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and not name.endswith(passing)
    }


def number(value: Any, digits: int = 3) -> str:
    """A score in `digits` digits after the point; a dash where it has no meaning."""
    known = isinstance(value, int | float) and math.isfinite(value)
    return f"{value:.{digits}f}" if known else "–"
