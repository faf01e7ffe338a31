"""The rows of a prepared set that a probe takes, with their labels and groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from datasets import IterableDataset, load_dataset

from preface_hf.video.decoding import open_video
from preface_hf.video.windows import windows


@dataclass
class LabeledRows:
    """The rows of a split that a probe takes: `kept`, bool, of all of `rows`; labels and groups of those kept."""

    rows: IterableDataset
    group: str
    kept: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    @property
    def chance(self) -> float:
        """The share of the most frequent class."""
        return float(np.unique(self.labels, return_counts=True)[1].max() / len(self.labels))

    def clips(self, clip: tuple[int, int]) -> Iterator[list[np.ndarray]]:
        """The windows of each row, uint8 `(frames, height, width, 3)` each, a row at a time; `clip` is the number of
        frames, and every how many-th frame of the video they are."""
        for row, keep in zip(self.rows.select_columns(["video"]), self.kept, strict=True):
            if keep:
                yield [window.frames for window in windows(open_video(row["video"]["bytes"]), *clip)]


def labeled_rows(data: str | Path, label: str, *, split: str | None = None, group: str = "source") -> LabeledRows:
    """The rows that have a label, without the classes of a single group, which can't be both fitted and tested (it is
    said how many rows that costs). No video is decoded. Raises as [`probe`]."""
    if find_spec("sklearn") is None:
        raise ValueError("a probe needs scikit-learn, which is not installed: pip install scikit-learn.")
    rows = open_split(data, split, (label, group))
    columns = [(row[label], str(row[group])) for row in rows.select_columns(list({label, group}))]
    labeled = np.array([name is not None for name, _ in columns], bool)
    labels, groups = (np.array([str(pair[i]) for pair in columns]) for i in range(2))
    classes = np.unique(labels[labeled])
    alone = [name for name in classes if len(set(groups[labeled & (labels == name)])) == 1]
    if left_out := int((labeled & np.isin(labels, alone)).sum()):
        print(f"probe: {left_out} rows are left out, of classes in one group only: {', '.join(alone)}")
    kept = labeled & ~np.isin(labels, alone)
    return LabeledRows(rows, group, kept, labels[kept], groups[kept])


def open_split(data: str | Path, split: str | None, columns: tuple[str, ...]) -> IterableDataset:
    """A split of a prepared set, `test` if it has one unless told; `ValueError` where it or one of `columns` lacks."""
    try:
        sets = load_dataset(str(data), streaming=True)
    except Exception as error:
        raise ValueError(f"cannot open {str(data)!r} as a prepared set: {str(error).splitlines()[0]}") from error
    split = split or ("test" if "test" in sets else "train")
    if split not in sets:
        raise ValueError(f"{str(data)!r} has no split {split!r}: choose one of {', '.join(sets)}.")
    for column in columns:
        if column not in sets[split].column_names:
            raise ValueError(
                f"{str(data)!r} has no column {column!r}: choose one of {', '.join(sets[split].column_names)}."
            )
    return sets[split]


def usable_folds(labels: np.ndarray, groups: np.ndarray, folds: int, label: str, group: str) -> int:
    """At most `folds`, so that every class has a group for each."""
    per_class = {name: len(set(groups[labels == name])) for name in np.unique(labels)}
    if len(per_class) < 2 or min(per_class.values()) < 2:
        raise ValueError(
            f"column {label!r} has {len(per_class)} classes in two groups of {group!r} or more: "
            f"a probe needs two such classes."
        )
    return min(folds, *per_class.values())
