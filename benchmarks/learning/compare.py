"""What rows of encoders score above another row, with the interval over people that both were asked about.

    python benchmarks/learning/compare.py SETS SCORES.jsonl ROW OTHER

Reads what probes.py kept in SCORES.jsonl.said. A row is all encoders called ROW, ROW-SEED or ROW:SEED; its score is
the mean of theirs. Every draw of people is the same for both rows, so that faces that are hard for all move neither.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
from features import SPLITS, read_columns
from probes import PROBES, spread
from table import row_name
from tasks import TASKS, Columns


def difference(task: str, columns: Columns, row: list[np.ndarray], other: list[np.ndarray]) -> str:
    """The mean score of `row` less that of `other` in percent, and its interval."""

    def score(weights: np.ndarray) -> float:
        means = [np.mean([TASKS[task].score(said, columns, weights) for said in part]) for part in (row, other)]
        return float(means[0] - means[1])

    found = {end: 100 * value for end, value in spread(task, columns, score).items()}
    interval = f" [{found['/low']:+.1f}, {found['/high']:+.1f}]" if "/low" in found else ""
    return f"{found['']:+.1f}{interval}"


def read_said(folder: Path, row: str, task: str, probe: str) -> list[np.ndarray]:
    """Of every encoder of the row, what it said of the task's rows."""
    encoders = [path for path in sorted(folder.iterdir()) if row_name(path.name) == row]
    files = [path / f"{task}-{probe}.npy" for path in encoders]
    return [np.load(file) for file in files if file.exists()]


def main(sets: str, scores: str, row: str, other: str) -> None:
    columns = {name: read_columns(Path(sets) / name, splits) for name, splits in SPLITS.items()}
    print(f"| {row} less {other} | {' | '.join(TASKS)} |\n|---|{'---|' * len(TASKS)}")
    for probe in PROBES:
        cells = []
        for task in TASKS:
            said = partial(read_said, Path(f"{scores}.said"), task=task, probe=probe)
            both = said(row), said(other)
            cells.append(difference(task, columns[TASKS[task].data], *both) if all(both) else "")
        if any(cells):
            print(f"| {probe} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
