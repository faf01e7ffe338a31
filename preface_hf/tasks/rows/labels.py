"""What a task predicts, by the columns of a prepared set: one class of several, or yes or no for each column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from preface_hf.data.opening import open_prepared
from preface_hf.faces.landmarks import NUM_LANDMARKS
from preface_hf.tasks.base import Read, Task, as_it_is, own_task
from preface_hf.tasks.deepfake import REAL_OR_FAKE
from preface_hf.tasks.deepfake import TASKS as FAKES


YES_OR_NO = (0, 1)
DEEPFAKE = FAKES["deepfake"]


@dataclass(frozen=True)
class LabelSpace:
    """The labels of a task, as a set has them.

    Attributes:
        columns: of the prepared set; none for landmarks.
        names: of the outputs: classes of one column, or several columns of yes or no.
        kind: see [`preface_hf.tasks.base.Task`]; `expression` stands for any one of several classes.
        read: an owner's word to a class.
        where: rows that count, by column and value.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    kind: str = "expression"
    read: Read = as_it_is
    where: dict[str, str] = field(default_factory=dict)

    @property
    def is_multilabel(self) -> bool:
        """Whether each output is a yes or no of its own."""
        return len(self.columns) > 1

    def head(self) -> dict[str, Any]:
        """What `from_pretrained` of a model with a head needs to know."""
        if self.kind == "landmarks":
            return {"num_landmarks": NUM_LANDMARKS}
        return {
            "id2label": dict(enumerate(self.names)),
            "label2id": {name: number for number, name in enumerate(self.names)},
            "problem_type": "multi_label_classification" if self.is_multilabel else "single_label_classification",
        }

    def counts(self, row: dict[str, Any]) -> bool:
        """Whether a row is of this task at all."""
        return is_of(row, self.where)

    def target(self, row: dict[str, Any]) -> int | list[float] | None:
        """The label of a row as a model takes it, of landmarks 0; `None` where it has none. `ValueError` for a class
        that is none of `names`."""
        if self.kind == "landmarks":
            return 0 if row["num_points"] else None
        values = [self.read(row[column]) for column in self.columns]
        if any(is_no_label(value) for value in values):
            return None
        if self.is_multilabel:
            return [float(value) for value in values]
        if str(values[0]) not in self.names:
            known = ", ".join(map(repr, self.names))
            raise ValueError(
                f"{self.columns[0]}={row[self.columns[0]]!r} is none of the classes {known}: write labels alike, or "
                f"give label_space this split, too."
            )
        return self.names.index(str(values[0]))


def is_of(row: dict[str, Any], where: dict[str, str]) -> bool:
    """Whether the columns of a row have these values; `helen/trainset` is of `helen`, too."""
    return all(value in (row[column], str(row[column]).split("/")[0]) for column, value in where.items())


def is_no_label(value: Any) -> bool:
    """Whether a cell says nothing."""
    return value is None or isinstance(value, float) and math.isnan(value)


def read_labels(
    data: str | Path, split: str, columns: Sequence[str], where: dict[str, str] | None = None
) -> list[tuple[Any, ...]]:
    """The cells of `columns` of the rows of a split; no video is decoded. `ValueError` where a column lacks."""
    rows, where = open_prepared(data, split).rows, where or {}
    known = list(rows.column_names or [])
    for column in (*columns, *where):
        if column not in known:
            raise ValueError(f"{str(data)!r} has no column {column!r}: choose of {', '.join(known)}.")
    cells = rows.select_columns(list(dict.fromkeys((*columns, *where))))
    return [tuple(row[column] for column in columns) for row in cells if is_of(row, where)]


def label_space(data: str | Path, task: Task | str | Sequence[str], splits: Sequence[str] = ("train",)) -> LabelSpace:
    """The labels of a prepared set: the classes of one column, in order, or several columns of yes or no.

    Args:
        data: a prepared set.
        task: or the columns of labels of your own.
        splits: the first of them is trained on.

    Raises `ValueError` for one class only, for a class of another split that no row of the first has, for numbers that
    are no classes, and for columns of several that hold anything but 0 and 1.
    """
    if not isinstance(task, Task):
        task = own_task((task,) if isinstance(task, str) else task)
    if task.kind == "landmarks":
        return LabelSpace((), (), "landmarks", where=task.where)
    columns = found_columns(data, splits[0], task.columns)
    cells = {
        split: [tuple(map(task.read, row)) for row in read_labels(data, split, columns, task.where)]
        for split in splits
    }
    if len(columns) > 1:
        check_yes_or_no(columns, cells)
        return LabelSpace(columns, columns, "attributes", task.read, task.where)
    check_no_scale(columns[0], cells[splits[0]])
    classes = {split: sorted({str(v) for (v,) in rows if not is_no_label(v)}) for split, rows in cells.items()}
    if task.kind != "deepfake" and [name.lower() for name in classes[splits[0]]] == sorted(REAL_OR_FAKE):
        # Words of fakes are one task, whoever owns them; a set's own task has rows of its own, too.
        task, classes = DEEPFAKE, {split: [name.lower() for name in names] for split, names in classes.items()}
    check_classes(data, columns[0], classes)
    names = tuple(name for name in task.names if name in classes[splits[0]]) or tuple(classes[splits[0]])
    return LabelSpace(columns, names, task.kind, task.read, task.where)


def found_columns(data: str | Path, split: str, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns of a set that go by these names, whatever their case and whether words are parted by space or _."""
    known = {plain(name): name for name in open_prepared(data, split).rows.column_names or []}
    for column in columns:
        if plain(column) not in known:
            raise ValueError(f"{str(data)!r} has no column {column!r}: choose of {', '.join(known.values())}.")
    return tuple(known[plain(column)] for column in columns)


def plain(name: str) -> str:
    """A column's name in lower case, with _ between words."""
    return name.lower().replace(" ", "_").replace("-", "_")


def check_no_scale(column: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """`ValueError` for numbers with digits after the point: a scale, of which each value would be a class."""
    broken = [value for (value,) in rows if isinstance(value, float) and not is_no_label(value) and value % 1]
    if broken:
        raise ValueError(
            f"{column!r} holds numbers such as {broken[0]}, a scale and no classes: name a column of classes, or "
            f"write its parts as words."
        )


def check_classes(data: str | Path, column: str, classes: dict[str, list[str]]) -> None:
    """`ValueError` where the first split has one class at most, or another a class that the first has not."""
    (first, known), *others = classes.items()
    if len(known) < 2:
        raise ValueError(
            f"the split {first!r} of {str(data)!r} has one class of {column!r} at most "
            f"({', '.join(map(repr, known)) or 'none'}): nothing can be told apart; choose another column or set."
        )
    for split, names in others:
        if unknown := [name for name in names if name not in known]:
            raise ValueError(
                f"the split {split!r} of {str(data)!r} has {column!r} {', '.join(map(repr, unknown))}, which no "
                f"row of {first!r} has ({', '.join(map(repr, known))}): write labels alike, or add examples."
            )


def check_yes_or_no(columns: Sequence[str], cells: dict[str, list[tuple[Any, ...]]]) -> None:
    """`ValueError` for the first cell that is neither 0, 1, true, false nor empty."""
    for split, rows in cells.items():
        for number, row in enumerate(rows):
            for column, value in zip(columns, row, strict=True):
                if not is_no_label(value) and value not in YES_OR_NO:
                    raise ValueError(
                        f"row {number} of {split!r} has {column}={value!r}, and several columns are yes or no each: "
                        f"write 0 or 1, or give one column."
                    )
