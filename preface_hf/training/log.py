"""What a run says of itself: rows of numbers in a file, and a bar."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from accelerate import Accelerator
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from preface_hf.progress import LINE_SECONDS, Level, level


class Metrics:
    """`metrics.jsonl`: a row per logged step. Rows after `step`, which a killed run may have left, are dropped."""

    def __init__(self, path: Path, step: int):
        self.path = path
        # A run that is resumed at `step` makes the later rows again: they would stand there twice.
        kept = [row for row in read_metrics(path) if row["step"] <= step]
        path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")

    def write(self, row: dict[str, float]) -> None:
        """Append a row."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a `metrics.jsonl` that are whole, none where it is missing; it is said which lines are left out."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    rows = [read_row(line) for line in lines]
    # The last line of a run that was killed may be cut: that is nothing to worry about.
    cut = len(lines) if lines and lines[-1].startswith("{") and not lines[-1].endswith("}") else 0
    numbered = enumerate(zip(lines, rows, strict=True), 1)
    worst = [str(number) for number, (line, row) in numbered if row is None and line.strip() and number != cut]
    if worst:
        which = ", ".join(worst[:10]) + (", …" if len(worst) > 10 else "")
        print(f"{path}: {len(worst)} damaged lines are left out ({which}).", flush=True)
    return [row for row in rows if row is not None]


def read_row(line: str) -> dict[str, float] | None:
    """A line of a `metrics.jsonl`; `None` where it is no row of numbers with a step, its epoch and its loss."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not {"step", "epoch", "loss"} <= row.keys():
        return None
    # Python reads whole numbers of any length from JSON, which no float and no picture takes.
    good = all(isinstance(v, float) or (type(v) is int and abs(v) < 2**63) for v in row.values())
    return row if good and type(row["step"]) is int else None


def mean_logs(accelerator: Accelerator, logged: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """The means of scalars by name over the accumulated batches and all processes."""
    # One tensor (names,), so one reduction for all of them.
    means = torch.stack([torch.stack([row[name] for row in logged]).mean().float() for name in logged[0]])
    return dict(zip(logged[0], accelerator.reduce(means, "mean").tolist(), strict=True))


class StepBar(Progress):
    """A bar over steps with the loss beside it; where there is no terminal, a line on stderr now and then as well."""

    due = 0.0  # on the monotonic clock

    def show(self, task: TaskID, step: int, loss: float | None) -> None:
        """`step` is made; its loss may not be known yet."""
        said = "" if loss is None else f"loss {loss:.3f}"
        self.update(task, completed=step, loss=said)
        if self.disable or self.console.is_terminal or time.monotonic() < self.due:
            return
        # None at once: whoever waits for seconds needs no line.
        if self.due:
            line = f"{self.tasks[task].description}: step {step:,} of {self.tasks[task].total:,}"
            print(f"{line}, {said}" if said else line, file=sys.stderr, flush=True)
        self.due = time.monotonic() + LINE_SECONDS


def progress_bar(visible: bool) -> StepBar:
    """The bar of a run; invisible on all but one process, and with `-q`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return StepBar(*columns, TextColumn("{task.fields[loss]}"), disable=not visible or level() == Level.QUIET)
