"""Which rows are trained on, chosen by and tested on: people whole, few labels nested in many, all from a seed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from preface_hf.data.opening import open_prepared
from preface_hf.features.labeled import VALIDATION, group_column, splits_of
from preface_hf.tasks.rows.labels import LabelSpace, read_labels


HELD_OUT = 0.2  # of the people, where a set has no split of its own
TRIES = 100  # of few people the first draw may hold out all of a class


@dataclass
class Part:
    """Rows of a split of a prepared set.

    Attributes:
        split: of the set.
        rows: their numbers in it, int64 `(n,)`.
        classes: a number for each, to draw alike of each class, `(n,)`; all 0 for several labels and for landmarks.
        groups: who is seen (or the file), str `(n,)`.
        left_out: rows of the split without a label.
    """

    split: str
    rows: np.ndarray
    classes: np.ndarray
    groups: np.ndarray
    left_out: int = 0

    def take(self, places: np.ndarray) -> Part:
        """Some of its rows, in their order."""
        places = np.sort(places)
        return Part(self.split, self.rows[places], self.classes[places], self.groups[places], self.left_out)

    def told(self) -> dict[str, int]:
        """What a run writes of it."""
        return {"rows": len(self.rows), "people": len(set(self.groups)), "left_out": self.left_out}


def read_part(data: str | Path, split: str, labels: LabelSpace, group: str | None = None) -> Part:
    """The rows of a split that have a label; `ValueError` where there are none, or a column lacks."""
    opened = open_prepared(data, split).rows
    known = list(opened.column_names or [])
    group = group or next(iter(people_column(known, labels)))
    if group not in known:
        raise ValueError(f"{str(data)!r} has no column {group!r} to tell people by: choose of {', '.join(known)}.")
    for column in labels.where:
        if column not in known:
            raise ValueError(f"{str(data)!r} has no column {column!r} to tell its parts by: prepare it by its recipe.")
    points = ["landmarks"] if labels.kind == "landmarks" else []
    names = [*labels.columns, *labels.where, group, "source", *points]
    rows, classes, groups, left_out = [], [], [], 0
    for number, row in enumerate(opened.select_columns(list(dict.fromkeys(names)))):
        if not labels.counts(row):
            continue
        target = labels.target({**row, "num_points": len(row["landmarks"]) if points else 0})
        if target is None:
            left_out += 1
            continue
        rows.append(number)
        classes.append(target if isinstance(target, int) else 0)
        groups.append(str(row["source"] if row[group] is None else row[group]))
    if not rows:
        raise ValueError(f"no row of {split!r} in {str(data)!r} has a label: choose another column or split.")
    return Part(split, np.array(rows), np.array(classes), np.array(groups), left_out)


def files_left_out(data: str | Path) -> int:
    """Files of a set that gave no row, as they show no face or cannot be read; of a set without a report none."""
    from preface_hf.prepare.folder import REPORT_FILE
    from preface_hf.prepare.records import count_files

    report = Path(data) / REPORT_FILE
    return sum(count_files(report).left_out.values()) if report.is_file() else 0


def people_column(known: list[str], labels: LabelSpace) -> tuple[str, ...]:
    """The column that says who is seen, else the file."""
    return (group_column(known, labels.columns[0] if labels.columns else ""),)


def files_are_people(data: str | Path, labels: LabelSpace) -> bool:
    """Whether no column says who is seen, and the people to test on are still to be chosen: then files are."""
    columns = list(open_prepared(data, "train").rows.column_names or [])
    return people_column(columns, labels) == ("source",) and not {"test", *VALIDATION} & set(splits_of(data))


def parts_of(
    data: str | Path, labels: LabelSpace, *, group: str | None = None, seed: int = 0, allow_overlap: bool = False
) -> dict[str, Part]:
    """The parts `train`, `validation` and `test` of a set.

    The set's own splits where it has them. Without `test` a fifth of the people is held out as it, without one for
    validation a fifth of those that are left; of a set whose only other split is for validation, that is the test.
    Raises `ValueError` where people are in two parts of the set's own, unless `allow_overlap`.
    """
    sets = splits_of(data)
    if labels.where:  # a part of a set, such as AFW of 300-W, may be in one split only
        sets = [name for name in sets if read_labels(data, name, (), labels.where)]
    if "train" not in sets:
        raise ValueError(f"{str(data)!r} has the splits {', '.join(sets)} and no 'train' to fit on: prepare it anew.")
    train = read_part(data, "train", labels, group)
    own = next((name for name in VALIDATION if name in sets), None)
    test = "test" if "test" in sets else own
    parts = {"test": read_part(data, test, labels, group)} if test else {}
    if own and own != test:
        parts["validation"] = read_part(data, own, labels, group)
    if not allow_overlap:
        check_overlap({"train": train, **parts})
    for name in ("test", "validation"):
        if name not in parts:
            train, parts[name] = hold_out(train, labels, seed)
    return {"train": train, "validation": parts["validation"], "test": parts["test"]}


def check_overlap(parts: dict[str, Part]) -> None:
    """`ValueError`, naming some, where people are in two parts: scores would tell who is known."""
    names = list(parts)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            both = sorted(set(parts[one].groups) & set(parts[other].groups))
            if both:
                some = ", ".join(both[:3]) + (f" and {len(both) - 3} more" if len(both) > 3 else "")
                raise ValueError(
                    f"{some} are in {parts[one].split!r} and in {parts[other].split!r}, so scores would tell who is "
                    f"known: split the set by people, or insist with --allow-overlap."
                )


def hold_out(part: Part, labels: LabelSpace, seed: int) -> tuple[Part, Part]:
    """What is left of a part, and a fifth of its people, as much as can be of each class; most rows are left."""
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

    people = len(set(part.groups))
    if people < 2:
        raise ValueError(
            f"all {len(part.rows)} labeled rows of {part.split!r} are of {str(part.groups[0])!r}: nobody is left to "
            f"test on; prepare videos of more people, or name another column with --group."
        )
    folds = round(1 / HELD_OUT)
    if people >= folds and np.bincount(part.classes).max() >= folds:
        split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    else:
        split = GroupShuffleSplit(TRIES, test_size=HELD_OUT, random_state=seed)
    best = None
    for fit, held in split.split(part.rows, part.classes, part.groups):
        # A class whose only people were held out could not be learned.
        if not len(held) or set(part.classes[fit]) != set(part.classes):
            continue
        if best is None or len(fit) > len(best[0]):
            best = fit, held
        # Of a few people one may have most of the rows: that one is to learn from.
        if 2 * len(best[0]) >= len(part.rows):
            break
    if best is not None:
        return part.take(best[0]), part.take(best[1])
    alone = [name for number, name in enumerate(labels.names) if len(set(part.groups[part.classes == number])) == 1]
    raise ValueError(
        f"no fifth of the {people} people of {part.split!r} can be held out with examples of every class left"
        + (f" ({', '.join(map(repr, alone))} has one person)" if alone else "")
        + ": add people, or a split of your own."
    )


def fewer(part: Part, share: float = 1.0, shots: int | None = None, seed: int = 0) -> Part:
    """A share of the rows of each class, or `shots` of each, at least one: drawn in one order, so that fewer are
    always among more."""
    order = np.random.default_rng(seed).permutation(len(part.rows))
    kept = []
    for number in np.unique(part.classes):
        places = order[part.classes[order] == number]
        kept.append(places[: shots if shots is not None else max(1, round(share * len(places)))])
    return part.take(np.concatenate(kept))


def read_share(text: str) -> float:
    """`10%` as 0.1; `ValueError` for what is no share above 0 and at most 100 %."""
    hit = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", str(text))
    share = float(hit[1]) / 100 if hit else 0.0
    if not 0 < share <= 1:
        raise ValueError(f"--labels {text} is no share: write 1%, 10% or another above 0% and up to 100%.")
    return share
