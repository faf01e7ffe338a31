"""Scores as a table, each with its interval and with what the papers report."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preface_hf.files import replacing
from preface_hf.tasks.results.papers import NOTES, paper_rows
from preface_hf.tasks.results.reading import number, read_run


ORDER = (
    "war", "uar", "f1", "weighted_f1", "auc", "mean_auc", "accuracy", "mean_accuracy", "eer", "average_precision",
    "nme", "failure_rate",
)  # fmt: skip


MEANINGS = {
    "expression": "war: the share of right answers. uar: the mean of that share over classes. f1: the mean of theirs.",
    "attributes": "auc, accuracy: of all answers together. mean_auc, mean_accuracy: means over attributes. An auc of "
    "0.5 is chance.",
    "deepfake": "Of whole videos. auc: 0.5 is chance. eer: the share of errors, alike for real and fake ones.",
    "landmarks": "nme: the mean error of the points, in distances of the outer eye corners. failure_rate: the share "
    "of faces above 0.1.",
}


@dataclass(frozen=True)
class Row:
    """A score with its interval, and the papers' numbers in words."""

    metric: str
    value: Any
    low: Any
    high: Any
    items: int
    left_out: int
    papers: tuple[str, ...]

    @property
    def shown(self) -> str:
        """`value [low, high]`."""
        return number(self.value) + (f" [{number(self.low)}, {number(self.high)}]" if self.low is not None else "")


def score_rows(scores: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[Row]:
    """The scores of `preface_hf.metrics` in order, those it does not know last."""
    skipped = {"count", "left_out", "files_left_out", "threshold", "confusion", "classes"}
    single = {
        name for name, value in scores.items() if not isinstance(value, list | dict | str) and name not in skipped
    }
    names = {name for name in single if not (name.endswith(("_low", "_high")) and name.rsplit("_", 1)[0] in single)}
    known = [name for name in ORDER if name in names]
    for name in [*known, *sorted(names - set(known))]:
        yield Row(
            name,
            scores[name],
            scores.get(f"{name}_low"),
            scores.get(f"{name}_high"),
            int(scores.get("count", 0)),
            int(scores.get("left_out", 0)),
            papers_beside(name, about),
        )


def papers_beside(metric: str, about: Mapping[str, Any]) -> tuple[str, ...]:
    """The papers' numbers of a metric, each with its data and protocol, and whether the data are the run's."""
    other = "" if about.get("name") else "; not the same data"
    return tuple(
        f"{row.system} {row.value:.4f} ({row.name}; {row.protocol}{other})"
        for row in paper_rows(about["task"], about.get("name"))
        if row.metric == metric
    )


def evaluation_table(
    run: str | Path | Mapping[str, Any], about: Mapping[str, Any] | None = None, split: str = "test"
) -> str:
    """A Markdown table of scores.

    Args:
        run: the folder of a run, or the scores themselves.
        about: what finetune.json holds, where `run` is scores: at least `task` and `name`.
        split: whose scores, where `run` is a folder.
    """
    scores, about = scores_of(run, about, split)
    lines = ["| metric | value [low, high] | items | left out | papers |", "|---|---|---|---|---|"]
    for row in score_rows(scores, about):
        cells = (row.metric, row.shown, f"{row.items:,}", f"{row.left_out:,}", "; ".join(row.papers) or "–")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n\n" + notes(about, split, scores) + "\n"


def evaluation_csv(
    run: str | Path | Mapping[str, Any], about: Mapping[str, Any] | None = None, split: str = "test"
) -> str:
    """The rows of [`evaluation_table`] as CSV, numbers as they are."""
    scores, about = scores_of(run, about, split)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["metric", "value", "low", "high", "items", "left_out", "papers"])
    for row in score_rows(scores, about):
        writer.writerow([row.metric, row.value, row.low, row.high, row.items, row.left_out, "; ".join(row.papers)])
    return file.getvalue()


def scores_of(
    run: str | Path | Mapping[str, Any], about: Mapping[str, Any] | None, split: str
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Scores and what they are of; `ValueError` where either is missing."""
    if isinstance(run, Mapping):
        if about is None or "task" not in about:
            raise ValueError("scores alone do not tell their task: give about={'task': …, 'name': …}.")
        return run, about
    found = read_run(run)
    if split not in found.scores:
        known = ", ".join(found.scores) or "none"
        raise ValueError(f"{str(run)!r} has no scores of {split!r} (there: {known}): evaluate the run on it first.")
    return found.scores[split], found.about


def notes(about: Mapping[str, Any], split: str, scores: Mapping[str, Any]) -> str:
    """What the table is of, what no score has, and which paper has no number."""
    asked = [f"{name} {about[name]}" for name in ("model", "data", "protocol", "labels", "shots") if about.get(name)]
    ours = f"Ours: {split}; " + ", ".join(asked) + "." if asked else f"Ours: {split}."
    rows = paper_rows(about["task"], about.get("name"))
    sources = "".join(f" Source: {source}." for source in dict.fromkeys(row.source for row in rows))
    none = f" No paper's number is known here for {about['name']}." if about.get("name") and not rows else ""
    gone, threshold = scores.get("files_left_out"), scores.get("threshold")
    files = f" {gone:,} files show no face or cannot be read (report.jsonl): no score has them." if gone else ""
    if threshold is not None:
        files += f" Accuracy: a video is fake from {number(threshold)} on, the best of the run's validation part."
    # Of a set of one's own there is nothing to say of papers that have no number.
    papers = f" {NOTES[about['task']]}" if about.get("name") or rows else ""
    return f"{MEANINGS[about['task']]} {ours}{files}{none}{sources}{papers}"


def write_tables(folder: str | Path) -> list[Path]:
    """Write `table-SPLIT.md` and `table-SPLIT.csv` for all scores of a run into its folder; returns the files."""
    run, written = read_run(folder), []
    for split, scores in run.scores.items():
        for kind, text in (("md", evaluation_table), ("csv", evaluation_csv)):
            path = run.folder / f"table-{split}.{kind}"
            with replacing(path) as temporary:
                temporary.write_text(text(scores, run.about, split), encoding="utf-8")
            written.append(path)
    return written
