"""Scores by group: rows of predictions joined with what the set says of age, gender and the like."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from preface_hf.data.opening import open_splits
from preface_hf.hub.facts import Group


# Columns that tell of a person, as recipes and owners name them.
TRAITS = ("age", "age_group", "young", "gender", "sex", "male", "race", "ethnicity", "skin_tone", "skin_type")
METRICS = {
    "expression": "share that is right", "deepfake": "share that is right", "attributes": "share that is right",
    "landmarks": "mean error (share of the distance of the eyes)",
}  # fmt: skip
YEARS = 10  # ages in numbers are put together by decades
NONE = f"not measured: the set has no column of {', '.join(TRAITS)}."


def group_scores(data: str, task: str, predictions: list[dict[str, Any]]) -> tuple[tuple[Group, ...], str]:
    """A score for each group of each trait that the set tells, or the reason why there is none."""
    if not predictions:
        return (), "not measured: the run has no predictions of a test split."
    try:
        told = traits_of(data)
    except ValueError:
        return (), "not measured: the set was not where the run found it."
    if not told:
        return (), NONE
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in predictions:
        score = score_of(row, task)
        for trait, value in told.get((row["source"], row["track"]), {}).items():
            if score is not None:
                found[trait, value].append(score)
    groups = [Group(*key, len(scores), sum(scores) / len(scores)) for key, scores in sorted(found.items())]
    return tuple(groups), "" if groups else NONE


def traits_of(data: str) -> dict[tuple[str, int], dict[str, str]]:
    """What a set says of the people in its rows, by source and track. No video is read."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    for part in open_splits(data).values():
        columns = [name for name in part.rows.column_names or [] if name.lower().replace(" ", "_") in TRAITS]
        for row in part.rows.select_columns(["source", "track", *columns]) if columns else ():
            cells = {name: in_words(name, row[name]) for name in columns}
            found[row["source"], row["track"]] = {name: cell for name, cell in cells.items() if cell}
    return found


def in_words(trait: str, value: Any) -> str:
    """A cell as the name of a group; empty where it says nothing."""
    if value is None or isinstance(value, float) and math.isnan(value):
        return ""
    if trait.lower() == "age" and isinstance(value, int | float):
        low = int(value // YEARS * YEARS)
        return f"{low}–{low + YEARS - 1}"
    return str(value)


def score_of(row: dict[str, Any], task: str) -> float | None:
    """How right a row is: 0 or 1, of attributes their share; of landmarks the error."""
    if task == "landmarks":
        return row["error"]
    label, scores = row.get("label"), row["scores"]
    if isinstance(label, dict):
        cells = [(scores[name] > 0.5) == bool(value) for name, value in label.items() if value is not None]
        return sum(cells) / len(cells) if cells else None
    return None if label is None else float(max(scores, key=lambda name: scores[name]) == str(label))
