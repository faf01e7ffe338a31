"""The scores of a run of `finetune --task sync` to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from preface_hf.tasks.folder import SETTINGS
from preface_hf.tasks.results.reading import number


NAMES = {"expert": "expert", "random_weights": "random weights", "loudness": "mouth opening and loudness"}
COLUMNS = {
    "auc": "AUC of windows",
    "clip_auc": "AUC of clips",
    "within_one": "within 1 frame",
    "offset_error": "error (frames)",
    "lse_d": "LSE-D",
    "lse_c": "LSE-C",
}


def task_in(folder: str | Path) -> str:
    """The task whose scores a folder holds."""
    task: str = json.loads((Path(folder) / SETTINGS).read_text(encoding="utf-8"))["task"]
    return task


def sync_table(folder: str | Path) -> str:
    """`scores-test.json` as Markdown: the expert, and what it has to beat."""
    scores: dict[str, Any] = json.loads((Path(folder) / "scores-test.json").read_text(encoding="utf-8"))
    titles = [f"on {scores['expert']['count']} faces", *COLUMNS.values()]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for kind, name in NAMES.items():
        lines.append(f"| {name} | {' | '.join(cell(scores[kind], column) for column in COLUMNS)} |")
    return "\n".join(lines)


def cell(scores: dict[str, Any], name: str) -> str:
    """A score with its interval, where it has one."""
    low, high = scores.get(f"{name}_low"), scores.get(f"{name}_high")
    return number(scores[name]) + (f" [{number(low)}, {number(high)}]" if low is not None else "")
