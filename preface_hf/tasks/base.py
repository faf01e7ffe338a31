"""A task: what is predicted, from which columns of a prepared set, and how an owner's words become its classes.

A new task is one entry in the file of its kind (attributes, expression, deepfake); docs/tasks.md lists them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


KINDS = ("expression", "attributes", "deepfake", "landmarks", "sync", "lipsync")

# A cell of a column to a class, to yes (1) or no (0), or to None where it says nothing.
Read = Callable[[Any], Any]


def as_it_is(value: Any) -> Any:
    """The cell itself."""
    return value


@dataclass(frozen=True)
class Task:
    """What is predicted, and how it is measured.

    Attributes:
        kind: expression (one of several classes: UAR, WAR, F1), attributes (yes or no each: accuracy, AUC), deepfake
            (real or fake: AUC by video), landmarks (points: NME), sync (mouth and voice: AUC, offset) or lipsync (the
            mouth of another sound).
        name: of the set whose papers stand beside ours (`preface_hf.tasks.results.papers`); empty for your own labels.
        columns: of the prepared set; of landmarks none.
        names: classes in their order, or of several columns their names; empty where the training split tells them.
        read: an owner's word to a class.
        where: rows that count, by column and value.
        recipe: of `prepare`, that reads the set in its owner's layout.
    """

    kind: str
    name: str = ""
    columns: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    read: Read = as_it_is
    where: dict[str, str] = field(default_factory=dict)
    recipe: str = "folder"


def own_task(columns: Sequence[str]) -> Task:
    """The task of your own labels: one column of classes (`real` and `fake`: deepfakes), several of yes or no, or
    `landmarks`."""
    columns = tuple(columns)
    if columns == ("landmarks",):
        return Task("landmarks")
    if not columns or len(set(columns)) < len(columns):
        raise ValueError(f"the labels are {', '.join(columns) or 'none'}: name one column or several, each once.")
    return Task("attributes" if len(columns) > 1 else "expression", columns=columns)
