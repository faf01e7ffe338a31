"""What a task predicts, by the columns of a prepared set: one class of several, or yes or no for each column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preface_hf.data.opening import open_prepared


YES_OR_NO = (0, 1)


@dataclass(frozen=True)
class LabelSpace:
    """The labels of a task.

    Attributes:
        columns: of the prepared set.
        names: of the outputs: classes of one column, or several columns of yes or no.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def is_multilabel(self) -> bool:
        """Whether each output is a yes or no of its own."""
        return len(self.columns) > 1

    def head(self) -> dict[str, Any]:
        """What `from_pretrained` of a model for classification needs to know."""
        return {
            "id2label": dict(enumerate(self.names)),
            "label2id": {name: number for number, name in enumerate(self.names)},
            "problem_type": "multi_label_classification" if self.is_multilabel else "single_label_classification",
        }

    def target(self, row: dict[str, Any]) -> int | list[float] | None:
        """The label of a row as a model takes it; `None` where it has none. `ValueError` for a class that is none of
        `names`."""
        values = [row[column] for column in self.columns]
        if any(is_no_label(value) for value in values):
            return None
        if self.is_multilabel:
            return [float(value) for value in values]
        if str(values[0]) not in self.names:
            known = ", ".join(map(repr, self.names))
            raise ValueError(
                f"{self.columns[0]}={values[0]!r} is none of the classes {known}: write labels alike, or "
                f"give label_space this split, too."
            )
        return self.names.index(str(values[0]))


def is_no_label(value: Any) -> bool:
    """Whether a cell says nothing."""
    return value is None or isinstance(value, float) and math.isnan(value)


def read_labels(data: str | Path, split: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """The cells of `columns` of every row of a split; no video is decoded. `ValueError` where a column lacks."""
    rows = open_prepared(data, split).rows
    known = list(rows.column_names or [])
    for column in columns:
        if column not in known:
            raise ValueError(f"{str(data)!r} has no column {column!r}: choose of {', '.join(known)}.")
    return [tuple(row[column] for column in columns) for row in rows.select_columns(list(dict.fromkeys(columns)))]


def label_space(data: str | Path, columns: str | Sequence[str], splits: Sequence[str] = ("train",)) -> LabelSpace:
    """The labels of a prepared set: the classes of one column, in order, or several columns of yes or no.

    The first of `splits` is trained on. Raises `ValueError` for one class only, for a class of another split that no
    row of the first has, and for columns of several that hold anything but 0 and 1.
    """
    columns = (columns,) if isinstance(columns, str) else tuple(columns)
    cells = {split: read_labels(data, split, columns) for split in splits}
    if len(columns) > 1:
        check_yes_or_no(columns, cells)
        return LabelSpace(columns, columns)
    classes = {split: sorted({str(v) for (v,) in rows if not is_no_label(v)}) for split, rows in cells.items()}
    first, *others = splits
    if len(classes[first]) < 2:
        found = ", ".join(map(repr, classes[first])) or "none"
        raise ValueError(
            f"the split {first!r} of {str(data)!r} has one class of {columns[0]!r} at most ({found}): nothing can be "
            f"told apart; choose another column or set."
        )
    for split in others:
        if unknown := [name for name in classes[split] if name not in classes[first]]:
            raise ValueError(
                f"the split {split!r} of {str(data)!r} has {columns[0]!r} {', '.join(map(repr, unknown))}, which no "
                f"row of {first!r} has ({', '.join(map(repr, classes[first]))}): write labels alike, or add examples."
            )
    return LabelSpace(columns, tuple(classes[first]))


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


def check_people(data: str | Path, column: str, train: str, test: str) -> None:
    """`ValueError`, naming some, where people of `column` are in both splits: scores would tell who is known."""
    seen, asked = ({str(v) for (v,) in read_labels(data, split, [column]) if v is not None} for split in (train, test))
    if both := sorted(seen & asked):
        some = ", ".join(both[:3]) + (f" and {len(both) - 3} more" if len(both) > 3 else "")
        raise ValueError(
            f"{some} of the column {column!r} are in {train!r} and in {test!r}: split {str(data)!r} by people."
        )
