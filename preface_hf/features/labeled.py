"""The rows of a prepared set that a probe takes, with their labels and groups."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import IterableDataset, get_dataset_split_names

from preface_hf.data.confined import check_card
from preface_hf.data.opening import open_prepared
from preface_hf.files import check_path, is_missing
from preface_hf.video.decoding import open_video
from preface_hf.video.windows import Window, windows


# Columns that say who is seen, as recipes name them. Faces of one person are alike: folds keep them together.
PEOPLE = ("identity", "person", "actor", "subject", "speaker", "youtube_id", "target_id", "original")
# Splits to choose by, in their owners' words, and how many rows of `train` stand in for one.
VALIDATION, VALIDATION_ROWS = ("validation", "val", "valid", "dev"), 1000


@dataclass
class LabeledRows:
    """The rows of a split that a probe takes: those of `rows` where `mask` is true; their labels and groups.

    mask: bool `(rows of the split,)`
    labels, groups: str `(rows that are taken,)`
    """

    rows: IterableDataset
    split: str
    group: str
    mask: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    @property
    def chance(self) -> float:
        """The share of the most frequent class."""
        return float(np.unique(self.labels, return_counts=True)[1].max() / len(self.labels))

    def clips(self, clip: tuple[int, int]) -> Iterator[list[Window]]:
        """The windows of each row, a row at a time; `clip` is the number of frames, and every how many-th frame of the
        video they are."""
        for row, taken in zip(self.rows.select_columns(["video"]), self.mask, strict=True):
            if taken:
                yield list(windows(open_video(row["video"]["bytes"], "pyav"), *clip))


def labeled_rows(
    data: str | Path, label: str, *, split: str | None = None, group: str | None = None, most: int | None = None
) -> LabeledRows:
    """The rows that have a label, without the classes of a single group, which can't be both fitted and tested (it is
    said how many rows that costs). No video is decoded. Raises as [`probe`].

    Args:
        most: about so many rows, of whole groups that are drawn once for all.
    """
    split = split or choose_split(data)
    rows, group = open_split(data, split, label, group)
    # Of whom it is not said who is seen, the file is a group of its own.
    wanted = {label, group} | ({"source"} & set(rows.column_names or []))
    read = [(row[label], row[group], row.get("source")) for row in rows.select_columns(list(wanted))]
    if read and all(name is None for _, name, _ in read):
        group = "source"
    columns = [(name, str(file if person is None else person)) for name, person, file in read]
    if not columns:
        raise ValueError(f"the split to probe of {str(data)!r} has no rows: choose another, or prepare more videos.")
    labeled = np.array([name is not None and name == name for name, _ in columns], bool)  # NaN is no label
    labels = np.array([str(name) for name, _ in columns])
    groups = np.array([name for _, name in columns])
    if most is not None:
        labeled &= np.isin(groups, some_groups(groups[labeled], most))
    classes = np.unique(labels[labeled])
    # A fold holds out whole groups, and with its only group the class.
    alone = [name for name in classes if len(set(groups[labeled & (labels == name)])) == 1]
    if left_out := int((labeled & np.isin(labels, alone)).sum()):
        names = ", ".join(alone[:8]) + (f" and {len(alone) - 8} more" if len(alone) > 8 else "")
        print(f"probe: {left_out} rows are left out, of classes in one group only: {names}")
    # The mask finds these rows again when their videos are read; labels and groups follow in its order.
    mask = labeled & ~np.isin(labels, alone)
    return LabeledRows(rows, split, group, mask, labels[mask], groups[mask])


def some_groups(groups: np.ndarray, most: int) -> list[str]:
    """Groups that hold about `most` of the rows whose groups are given: drawn by their names alone, so that a set
    has the same ones in every run."""
    names, counts = np.unique(groups, return_counts=True)
    order = sorted(range(len(names)), key=lambda place: hashlib.sha256(str(names[place]).encode()).digest())
    ends = np.cumsum(counts[order])
    # All up to the one that makes it enough.
    return [str(names[place]) for place, end in zip(order, ends, strict=True) if end - counts[place] < most]


def group_column(columns: Sequence[str], label: str) -> str:
    """The column that keeps people together: the first of `PEOPLE` that a set has, else `source`, the file."""
    return next((name for name in PEOPLE if name in columns and name != label), "source")


def splits_of(data: str | Path) -> list[str]:
    """The splits of a prepared set; `ValueError` where it cannot be opened."""
    check_path(data)
    if is_missing(data):
        raise ValueError(f"cannot open {str(data)!r} as a prepared set: there is no such folder")
    check_card(data)
    try:
        return get_dataset_split_names(str(data))
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"cannot open {str(data)!r} as a prepared set: {reason}") from error


def choose_split(data: str | Path) -> str:
    """The split whose scores are reported: `test` if a set has one, else `train`."""
    return "test" if "test" in splits_of(data) else "train"


def choose_validation(data: str | Path) -> str:
    """The split to choose checkpoints by: one for validation if a set has it, else `train`; never `test`, which is
    reported. `ValueError` where there is no other."""
    sets = splits_of(data)
    split = next((name for name in (*VALIDATION, "train") if name in sets), None)
    if split is None:
        raise ValueError(
            f"{str(data)!r} has the splits {', '.join(sets)} only, and a run's probe takes none that is reported: "
            f"name a set with a split validation or train as probe_data, or the split as probe_split."
        )
    return split


def open_split(data: str | Path, split: str, label: str, group: str | None) -> tuple[IterableDataset, str]:
    """A split of a prepared set and the column that groups its rows, `group` if given; `ValueError` where the split
    or a column lacks."""
    sets = splits_of(data)
    if split not in sets:
        raise ValueError(f"{str(data)!r} has no split {split!r}: choose one of {', '.join(sets)}.")
    rows = open_prepared(data, split).rows
    names = list(rows.column_names or [])
    group = group or group_column(names, label)
    for column in (label, group):
        if column not in names:
            raise ValueError(f"{str(data)!r} has no column {column!r}: choose one of {', '.join(names)}.")
    return rows, group


def usable_folds(labels: np.ndarray, groups: np.ndarray, folds: int, label: str, group: str, seed: int = 0) -> int:
    """The folds that `folds_of` makes of at most `folds`; raises `ValueError` where a probe has nothing to compare."""
    if folds < 2:
        raise ValueError(f"folds={folds} leaves nothing to fit on or nothing to test: set it to 2 or more.")
    classes = len(np.unique(labels))
    if classes < 2:
        raise ValueError(
            f"column {label!r} has {classes} classes in two groups of {group!r} or more, and a probe needs two "
            f"such classes: choose another label or group, or prepare more videos."
        )
    usable = folds_of(labels, groups, folds, seed)
    if not usable:
        raise ValueError(
            f"the {len(labels)} rows with a {label!r} in {len(set(groups))} groups of {group!r} cannot be split so "
            f"that two classes are fitted and some rows are left to test: choose another group, or add videos."
        )
    return len(usable)


def folds_of(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to train on and rows to test, int64 `(n,)` each, of at most `folds` folds that keep groups whole.

    As many as leave two classes to train on and a row to test in each; none where two folds do not.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    most = min(len(set(groups[labels == name])) for name in np.unique(labels))  # a group of every class in each fold
    # With few groups the stratification can still put a whole class, or nothing at all, into one fold.
    for count in range(min(folds, most), 1, -1):
        splits = StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(labels[:, None], labels, groups)
        pairs = list(splits)
        if all(len(test) and len(np.unique(labels[train])) > 1 for train, test in pairs):
            return pairs
    return []
