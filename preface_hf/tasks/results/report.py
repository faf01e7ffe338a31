"""`report.html` of a fine-tuned run: what was asked, its scores, its curves, and what it gets wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from preface_hf.files import replacing
from preface_hf.objectives.base import Terms
from preface_hf.pictures.page import box, facts, grid_table, page, paragraph, photo, section, table
from preface_hf.tasks.results.details import details
from preface_hf.tasks.results.hardest import Hard, first_frames, hardest
from preface_hf.tasks.results.reading import Run, number, read_run
from preface_hf.tasks.results.tables import notes, score_rows
from preface_hf.training.report import WARNING, curve_sections


NO_MATPLOTLIB = "They are not drawn, as matplotlib is not installed: pip install matplotlib."


def write_task_report(run: str | Path, data: str | Path | None = None, with_faces: bool = False) -> Path:
    """Write `report.html` into the folder of a fine-tuned run; returns the file.

    Args:
        run: the run's folder.
        data: the prepared set that it was tested on, for the faces.
        with_faces: show the first frame of the hardest rows; such a page is to be kept as the data are.

    Raises `ValueError` if `run` holds no run, or faces are asked for and `data` does not have them.
    """
    if with_faces and data is None:
        raise ValueError("with_faces needs the data: give the prepared set that the run was tested on.")
    found = read_run(run)
    name = found.folder.resolve().name
    body = [
        f"<h1>{escape(name)}</h1>",
        *([paragraph(WARNING, "warn")] if with_faces else []),
        asked(found.about),
        split_section(found.about),
        *score_sections(found),
        *(curve_sections(found.log, terms_of(found.log)) if found.log else []),
        *detail_sections(found),
        *hardest_sections(found, data if with_faces else None),
        section("Settings", box("columns", [table("run", found.about.get("settings") or {})])),
    ]
    with replacing(found.folder / "report.html") as temporary:
        temporary.write_text(page(f"{name} – preface_hf", "\n".join(body)), encoding="utf-8")
    return found.folder / "report.html"


def asked(about: Mapping[str, Any]) -> str:
    """What the run is."""
    shown = {name: about[name] for name in ("task", "name", "model", "data", "protocol", "labels") if about.get(name)}
    for name in ("model", "data"):
        if name in shown:
            shown[name] = Path(str(shown[name])).name
    shown |= {name: about[name] for name in ("shots", "seed") if about.get(name) is not None}
    if about.get("parameters"):
        shown["trained parameters"] = f"{about.get('trainable') or 0:,} of {about['parameters']:,}"
    if about.get("columns"):
        shown["labels of"] = short(about["columns"])
    return facts(shown)


def short(names: list[str], count: int = 4) -> str:
    """Some names of a list, and how many more there are."""
    return ", ".join(map(str, names[:count])) + (f" and {len(names) - count} more" if len(names) > count else "")


def split_section(about: Mapping[str, Any]) -> str:
    """Rows and people of each split."""
    head = ["split", "rows", "people" if about.get("group") else "groups", "left out (no label)"]
    rows = [[name, *(cell(part.get(key)) for key in ("rows", "people", "left_out"))]
            for name, part in about["splits"].items() if part]  # fmt: skip
    told = f"People are told by the column {about['group']!r}." if about.get("group") else ""
    return section("Data", *([paragraph(told, "faint")] if told else []), grid_table(head, rows))


def cell(value: Any) -> str:
    """A count; a dash where there is none."""
    return "–" if value is None else f"{value:,}"


def score_sections(run: Run) -> Iterator[str]:
    """A table for each split that has scores."""
    if not run.scores:
        yield section("Scores", paragraph("Nothing is evaluated yet."))
    for split, scores in run.scores.items():
        rows = [
            [row.metric, row.shown, row.items, row.left_out, "; ".join(row.papers) or "–"]
            for row in score_rows(scores, run.about)
        ]
        head = ["metric", "value [95 % interval]", "items", "left out", "papers"]
        below = paragraph(notes(run.about, split, scores), "faint")
        yield section(f"Scores on {split}", grid_table(head, rows), below)


def terms_of(log: list[dict[str, float]]) -> Terms:
    """The losses in one picture, each score of an evaluation in its own."""
    names = dict.fromkeys(name for row in log for name in row if name.startswith("eval_") and name != "eval_loss")
    return Terms({"Losses": [("loss", "eval_loss")], "Scores on validation": [(name,) for name in names]}, {}, {})


def detail_sections(run: Run) -> Iterator[str]:
    """Charts and tables of the split that the page is about; a sentence where matplotlib is missing."""
    if run.shown is None:
        return
    try:
        yield from details(run.about, run.scores.get(run.shown, {}), run.predictions[run.shown])
    except ImportError:
        yield section("Charts", paragraph(NO_MATPLOTLIB))


def hardest_sections(run: Run, data: str | Path | None) -> Iterator[str]:
    """The hardest rows by name, and their faces where `data` is given."""
    rows = hardest(run.predictions[run.shown]) if run.shown else []
    if not rows:
        return
    title, parts = f"Hardest of {run.shown}", []
    if data is not None and run.shown:
        faces = first_frames(data, run.shown, [row.key for row in rows])
        parts.append(box("faces", [face(row, faces[row.key]) for row in rows if row.key in faces]))
    yield section(title, *parts, hard_table(rows, run.about["task"]))


def hard_table(rows: list[Hard], task: str) -> str:
    """The rows as a table, the worst first."""
    if task == "landmarks":
        return grid_table(["file", "track", "group", "error"],
                          [[*row.key, row.group, number(row.loss, 4)] for row in rows])  # fmt: skip
    head = ["file", "track", "group", "truth", "guess", "score", "loss"]
    cells = [[*row.key, row.group, row.truth, row.guess, number(row.score), number(row.loss)] for row in rows]
    return grid_table(head, cells)


def face(row: Hard, picture: Any) -> str:
    """The first frame of a row, with its file."""
    name = escape(row.key[0])
    told = escape(f"{row.truth} → {row.guess}" if row.truth else number(row.loss, 4))
    caption = f'<b>{told}</b><span title="{name}">{name}</span>'
    return f"<figure>{photo(picture, row.key[0], 84)}<figcaption>{caption}</figcaption></figure>"
