"""Row groups of the parquet files of a prepared set: read one by one, from a folder or from the Hub."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from preface_hf.data.order import Draw


COLUMNS = ["instance_id", "video", "landmarks", "num_frames"]


def open_parquet(file: str) -> pq.ParquetFile:
    """A parquet file, local or at an address that fsspec knows (`hf://…`)."""
    # Not through `datasets`: it can make a shard of each row group (`reshard`), but opening one of 1250 took 32 ms
    # instead of 1, because each time it splits the list of all and reads the file's footer again.
    if "://" not in file:
        return pq.ParquetFile(file)
    filesystem, path = url_to_fs(file)
    # Whole row groups are asked for: fsspec's reading ahead would fetch megabytes that nobody needs.
    return pq.ParquetFile(filesystem.open(path, cache_type="none"), pre_buffer=True)


class Group(NamedTuple):
    """A row group as a footer describes it: its rows, and the first and last of their `source` by the alphabet (`None`
    where the set has no such column)."""

    rows: int
    first: str | None = None
    last: str | None = None


def read_footer(file: str) -> list[Group]:
    """The row groups of a parquet file, from its footer."""
    with open_parquet(file) as opened:
        footer = opened.metadata
    return [describe_group(footer.row_group(number)) for number in range(footer.num_row_groups)]


def describe_group(group: pq.RowGroupMetaData) -> Group:
    """What stands in a footer on one row group."""
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == "source" and column.statistics is not None and column.statistics.has_min_max:
            return Group(group.num_rows, str(column.statistics.min), str(column.statistics.max))
    return Group(group.num_rows)


def digest(parts: Sequence[object]) -> str:
    """Twelve letters that differ where `parts` do."""
    return sha256(json.dumps(parts).encode()).hexdigest()[:12]


def read_group(opened: pq.ParquetFile, number: int) -> pa.Table:
    """One row group."""
    return opened.read_row_group(number, columns=COLUMNS, use_threads=False)


class GroupReader:
    """Rows of draws. A row group is read when the first row of it is needed, and held until its window is past.

    Args:
        groups: (parquet file, number in it) of each row group.
        first_ids: what is added to the `instance_id` of its rows, int64 `(groups,)`.
    """

    def __init__(self, groups: list[tuple[str, int]], first_ids: np.ndarray):
        self.groups, self.first_ids = groups, first_ids
        # A file stays open with its footer: each of its row groups would read that again.
        self.open = lru_cache(maxsize=256)(open_parquet)
        self.tables: dict[tuple[int, int, int, int], pa.Table] = {}  # by set, epoch, window, group

    def rows(self, draws: Iterable[Draw]) -> list[dict[str, Any]]:
        """A row per draw: `COLUMNS`, landmarks float32 `(frames, 68, 2)`, without a frame where the set has none;
        `instance_id` counts over all sets."""
        draws = list(draws)
        self.forget(draws)
        return [self.row(draw) for draw in draws]

    def row(self, draw: Draw) -> dict[str, Any]:
        """The row of one draw."""
        key = draw[:4]
        if key not in self.tables:
            self.tables[key] = self.group(*self.groups[draw.group])
        row = {name: self.tables[key][name][draw.row] for name in COLUMNS}
        # Three nested lists, (frames, 68, 2); as Python objects they would take longer than decoding the video.
        lists = row.pop("landmarks").value
        points = np.zeros(0, np.float32) if lists is None else lists.values.flatten().flatten().to_numpy()
        row = {name: value.as_py() for name, value in row.items()}
        row["instance_id"] += int(self.first_ids[draw.group])
        return {**row, "landmarks": points.reshape(-1, 68, 2)}

    def group(self, file: str, number: int) -> pa.Table:
        """One row group; `ValueError` where it is damaged."""
        try:
            return read_group(self.open(file), number)
        # An `OSError` would be taken for one of what is written meanwhile.
        except (OSError, pa.ArrowException) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"row group {number} of {file} cannot be read ({reason}): fetch the file again, or prepare the set."
            ) from error

    def forget(self, draws: list[Draw]) -> None:
        """Drop the windows of each set that are before those of `draws`."""
        # The sets of a mixture are at windows of their own.
        oldest: dict[int, tuple[int, int]] = {}
        for draw in draws:
            now = (draw.epoch, draw.window)
            oldest[draw.set] = min(oldest.get(draw.set, now), now)
        self.tables = {key: table for key, table in self.tables.items() if key[1:3] >= oldest.get(key[0], key[1:3])}
