"""Whether a prepared set is whole: its shards when it is opened, each row where it is used."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


AGAIN = "copy the set again, or prepare it anew."
NUMBERED = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.parquet")


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds numbers."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def is_media(kind: pa.DataType) -> bool:
    """Whether a column of this type holds bytes of media."""
    return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


# What each column must be; those that a set may lack are checked where they are.
TYPES: dict[str, tuple[Callable[[pa.DataType], bool], str]] = {
    "instance_id": (pa.types.is_integer, "whole numbers"),
    "num_frames": (pa.types.is_integer, "whole numbers"),
    "fps": (is_number, "numbers"),
    "start_seconds": (is_number, "numbers"),
    "video": (is_media, "the bytes of videos"),
}


def check_shards(path: str, split: str, files: Sequence[str], promised: Sequence[str]) -> None:
    """Raise `ValueError` where a shard of the split is missing, lacks a column that the card promises, has one of
    another type, or where its ids are no ids.

    Of files in a folder the footers and the ids are read; of those on the Hub only the names are looked at.
    """
    check_names(path, files)
    seen: Counter[int] = Counter()
    for file in files:
        if "://" in file:
            continue
        with pq.ParquetFile(file) as opened:
            check_schema(file, opened.schema_arrow, promised)
            ids = read_ids(file, opened)
        if ids.null_count or (len(ids) and min(ids.to_numpy()) < 0):
            raise ValueError(f"{file} has an instance_id that is null or negative: prepare the set again.")
        seen.update(ids.to_numpy().tolist())
    number, times = max(seen.items(), key=lambda item: item[1], default=(0, 0))
    if times > 1:
        raise ValueError(
            f"{times} rows of split {split!r} of {path!r} have the instance_id {number}: prepare the set again."
        )


def read_ids(file: str, opened: pq.ParquetFile) -> pa.ChunkedArray:
    """The ids of a shard; `ValueError` where a row group is damaged."""
    chunks: list[pa.Array] = []
    for number in range(opened.num_row_groups):
        try:
            chunks += opened.read_row_group(number, ["instance_id"])["instance_id"].chunks
        except (OSError, pa.ArrowException) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"row group {number} of {file} cannot be read ({reason}): fetch the file again, or prepare the set."
            ) from error
    return pa.chunked_array(chunks, opened.schema_arrow.field("instance_id").type)


def check_names(path: str, files: Sequence[str]) -> None:
    """Raise `ValueError` where the numbers in the names of shards, `train-00001-of-00003.parquet`, have a gap."""
    groups: dict[tuple[str, int], set[int]] = {}
    for file in files:
        if match := NUMBERED.fullmatch(file.rsplit("/", 1)[-1]):
            groups.setdefault((match[1], int(match[3])), set()).add(int(match[2]))
    for (name, count), there in groups.items():
        if missing := sorted(set(range(count)) - there):
            raise ValueError(f"{path!r} lacks shard {name}-{missing[0]:05d}-of-{count:05d}.parquet: {AGAIN}")


def check_schema(file: str, schema: pa.Schema, promised: Sequence[str]) -> None:
    """Raise `ValueError` for columns that a shard lacks, or that are of a type that cannot be."""
    if lacking := [name for name in promised if name not in schema.names]:
        raise ValueError(f"{Path(file).name} has no column {', '.join(lacking)}, which the set promises: {AGAIN}")
    for name, (fits, what) in TYPES.items():
        if name in schema.names and not fits(schema.field(name).type):
            raise ValueError(f"column {name!r} of {file} is {schema.field(name).type}, not {what}: {AGAIN}")


def check_row(row: dict[str, Any]) -> None:
    """Raise `ValueError` for a row that holds no video, or a number that cannot be; what it lacks is not looked at."""
    if "video" in row and not (row["video"] and row["video"]["bytes"]):
        raise ValueError("it holds no video")
    if "num_frames" in row and not (row["num_frames"] and row["num_frames"] > 0):
        raise ValueError(f"num_frames is {row['num_frames']}")
    fps, start = row.get("fps", 1), row.get("start_seconds", 0)
    if fps is None or not 0 < fps < math.inf:
        raise ValueError(f"fps is {fps}")
    if start is None or not math.isfinite(start):
        raise ValueError(f"start_seconds is {start}")
    offsets = row.get("frame_seconds")
    # One frame has one time; a clock never goes back.
    if offsets is not None and len(offsets) and not (np.isfinite(offsets).all() and (np.diff(offsets) >= 0).all()):
        raise ValueError("frame_seconds go back, or are no numbers")


def check_frames(row: dict[str, Any], num_frames: int) -> None:
    """Raise `ValueError` where the video of a row has other frames than the row says."""
    if row["num_frames"] != num_frames:
        raise ValueError(f"num_frames is {row['num_frames']} and its video has {num_frames}")
