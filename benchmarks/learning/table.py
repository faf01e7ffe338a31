"""The learning table of scores that probes.py wrote, as Markdown: mean and standard deviation over seeds, and the
interval over people (of several seeds the mean ends).

    python benchmarks/learning/table.py SCORES.jsonl [PICTURES]

Encoders called NAME-SEED, or random:SEED, are seeds of the row NAME. PICTURES is a folder for a picture a probe.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from probes import PROBES, read_scores
from tasks import LESS_IS_BETTER, TASKS

from preface_hf.pictures.scores import Score, comparison_figure


def read(file: Path) -> dict[str, dict[str, list[float]]]:
    """Values of every score by row, a list over seeds."""
    rows: dict[str, dict[str, list[float]]] = {}
    for name, scores in read_scores(file).items():
        row = rows.setdefault(row_name(name), {})
        for key, value in scores.items():
            row.setdefault(key, []).append(value)
    return rows


def row_name(encoder: str) -> str:
    """The row that an encoder is a seed of."""
    return re.sub(r"[-:]\d+$", "", encoder)


def cell(scores: dict[str, list[float]], key: str) -> str:
    """Mean, the spread where there is more than one seed, and the interval."""
    values = scores.get(key)
    if not values:
        return ""
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    ends = [np.mean(scores[f"{key}/{end}"]) for end in ("low", "high") if f"{key}/{end}" in scores]
    return f"{np.mean(values):.1f}{spread}" + (f" [{ends[0]:.1f}, {ends[1]:.1f}]" if ends else "")


def draw(rows: dict[str, dict[str, list[float]]], probe: str) -> Figure:
    """A panel for each task, with lines for pixels and the encoder before training."""
    panels: dict[str, dict[str, Score]] = {task: {} for task in TASKS}
    levels: dict[str, dict[str, float]] = {task: {} for task in TASKS}
    for name, scores in rows.items():
        for task in TASKS:
            values = scores.get(f"{task}/{probe}", [])
            if values and name in ("mean", "pixels", "random"):
                levels[task][name] = float(np.mean(values))
            elif values:
                ends = [scores.get(f"{task}/{probe}/{end}", values) for end in ("low", "high")]
                panels[task][name] = Score(*(float(np.mean(part)) for part in (values, *ends)))
    note = "Bars: 95 % intervals over people"
    return comparison_figure(panels, f"Probe: {probe}, %", note, levels, less_is_better=LESS_IS_BETTER)


def main(file: str, pictures: str = "") -> None:
    rows = read(Path(file))
    for probe in PROBES:
        print(f"\n| {probe} | {' | '.join(TASKS)} | seeds |\n|---|{'---|' * (len(TASKS) + 1)}")
        for name, scores in rows.items():
            cells = [cell(scores, f"{task}/{probe}") for task in TASKS]
            seeds = max(len(values) for values in scores.values())
            if any(cells):
                print(f"| {name} | {' | '.join(cells)} | {seeds} |")
        if pictures:
            Path(pictures).mkdir(parents=True, exist_ok=True)
            draw(rows, probe).savefig(Path(pictures) / f"{probe}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
