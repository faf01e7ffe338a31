"""Prepared sets, opened: one or several by weight, from a folder or from the Hub."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import IterableDataset as Stream
from datasets import get_dataset_split_names, load_dataset_builder

from preface_hf.data.checking import AGAIN, check_schema, check_shards
from preface_hf.data.confined import check_card, check_files
from preface_hf.data.order import BLOCK, shares_of
from preface_hf.data.row_groups import COLUMNS, GroupReader, digest, read_footer
from preface_hf.files import check_path, is_missing


@dataclass
class PreparedSet:
    """A split of a prepared set. `path` is a folder or a Hub data set, `rows` streams it in order.

    groups: (parquet file, number in it) of each row group, the least that is read at once
    counts: rows of each row group, int64 `(groups,)`
    digest: of the rows and sources of each row group, wherever the files lie
    """

    path: str
    rows: Stream
    groups: list[tuple[str, int]]
    counts: np.ndarray
    digest: str = ""

    @property
    def num_rows(self) -> int:
        """Rows of the split."""
        return int(self.counts.sum())


@dataclass
class Mixture:
    """Prepared sets and their shares of 1000 draws, int64 `(sets,)`. Instance ids count on from set to set."""

    sets: list[PreparedSet]
    shares: np.ndarray

    @property
    def num_rows(self) -> int:
        """Rows of all sets."""
        return sum(data.num_rows for data in self.sets)

    @property
    def digest(self) -> str:
        """Of the rows and sources of all sets, in their order."""
        return digest([data.digest for data in self.sets])

    @property
    def counts(self) -> list[np.ndarray]:
        """Rows of each row group, a set after the other."""
        return [data.counts for data in self.sets]

    def reader(self) -> GroupReader:
        """A reader of their rows."""
        # Instance ids start at 0 in every set: those of a group go up by the rows of the sets before its own.
        sizes = np.array([data.num_rows for data in self.sets])
        first_ids = np.repeat(np.cumsum(sizes) - sizes, [len(data.groups) for data in self.sets])
        return GroupReader([group for data in self.sets for group in data.groups], first_ids)


def as_mixture(data: PreparedSet | Mixture) -> Mixture:
    """A set alone as a mixture of one."""
    return data if isinstance(data, Mixture) else Mixture([data], shares_of([1]))


def open_prepared(path: str | Path, split: str = "train") -> PreparedSet:
    """Open a split of a prepared set; raises `ValueError` if `path` holds none.

    To know the rows of its row groups, the footer of every file (256 MB) is read, and nothing else: some milliseconds
    each from a disk; two requests each from the Hub, eight files at a time, so minutes for a terabyte.
    """
    check_path(path)
    if is_missing(path):
        raise not_prepared(path, FileNotFoundError("there is no such folder"), f"split {split!r} of ")
    check_card(path)
    try:
        # The builder finds the files behind a folder or a name on the Hub; no row is read yet.
        builder = load_dataset_builder(str(path))
        # Media are never decoded by `datasets`: it would open what a row or a card names, at any place.
        rows = builder.as_streaming_dataset(split=split).decode(False)
        files = list(builder.config.data_files[split])
        check_files(path, files)
        # The time goes into waiting for the Hub, so threads are enough.
        with ThreadPoolExecutor(8) as pool:
            footers = list(pool.map(read_footer, files))
    except Exception as error:  # datasets raises several kinds, for a missing folder, split or network
        raise not_prepared(path, error, f"split {split!r} of ") from error
    missing = [name for name in COLUMNS if name not in (rows.column_names or [])]
    if missing:
        raise ValueError(
            f"{str(path)!r} has no column {', '.join(missing)}: make a prepared set with `preface-hf prepare`."
        )
    groups = [(file, number) for file, parts in zip(files, footers, strict=True) for number in range(len(parts))]
    described = [group for parts in footers for group in parts]
    counts = np.array([group.rows for group in described], dtype=np.int64)
    data = PreparedSet(str(path), rows, groups, counts, digest(described))
    if not data.num_rows:
        raise ValueError(f"split {split!r} of {str(path)!r} has no rows: prepare more videos.")
    # The card says as what type `datasets` gives a column.
    if rows.features:
        check_schema(f"the README of {str(path)!r}", rows.features.arrow_schema, [])
    check_shards(str(path), split, files, rows.column_names)
    stated = (builder.info.splits or {}).get(split)
    if stated is not None and stated.num_examples != data.num_rows:
        raise ValueError(
            f"the README of {str(path)!r} promises {stated.num_examples} rows of split {split!r}, and its files hold "
            f"{data.num_rows}: {AGAIN}"
        )
    return data


def open_splits(path: str | Path) -> dict[str, PreparedSet]:
    """Open every split of a prepared set, `train` first; raises `ValueError` if `path` holds none."""
    check_path(path)
    if is_missing(path):
        raise not_prepared(path, FileNotFoundError("there is no such folder"))
    check_card(path)
    try:
        names = get_dataset_split_names(str(path))
    except Exception as error:  # as above
        raise not_prepared(path, error) from error
    # False sorts before True: `train` first, then the others by name.
    return {name: open_prepared(path, name) for name in sorted(names, key=lambda name: (name != "train", name))}


def not_prepared(path: str | Path, error: Exception, part: str = "") -> ValueError:
    """What to tell a user whose `path` could not be opened."""
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return ValueError(
        f"cannot open {part}{str(path)!r} as a prepared set ({reason}): make it with `preface-hf prepare SRC {path}`."
    )


def open_mixture(data: str | Path | Mapping[str, float]) -> Mixture:
    """Open one prepared set, or several by weight; raises `ValueError` for weights or paths that do not fit."""
    weights = data if isinstance(data, Mapping) else {str(data): 1}
    for path, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
            raise ValueError(
                f"the weight {weight!r} of {path!r} is no positive number: change it, or leave the set out."
            )
        if sum(Path(other) == Path(path) for other in weights) > 1:
            raise ValueError(f"{path!r} is given twice as data: give it once, with the sum of the weights.")
    # A set whose weight rounds to no draw at all would never be seen.
    shares = shares_of(list(weights.values()))
    for share, (path, weight) in zip(shares, weights.items(), strict=True):
        if not share:
            raise ValueError(
                f"the weight {weight} of {path!r} is less than one of {BLOCK} draws: raise it, or leave the set out."
            )
    return Mixture([open_prepared(path) for path in weights], shares)


def stream_rows(rows: Stream, read_ahead: int = 16) -> Iterator[dict[str, Any]]:
    """The rows of a stream in order, all of them in every process."""
    # Iterated plainly in a loading process, a stream gives that process's share of the rows only.
    for block in rows.iter(batch_size=read_ahead):
        for i in range(len(block["instance_id"])):
            yield {name: values[i] for name, values in block.items()}
