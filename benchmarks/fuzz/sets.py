"""Damaged prepared sets and settings: refused in one sentence, bad rows told, or the results of the whole set."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.fuzz.cases import Case
from benchmarks.fuzz.damage import DAMAGES
from benchmarks.fuzz.runs import judge, make_base
from benchmarks.fuzz.values import damage_bytes, damage_text, damage_yaml, put_in_place
from preface_hf.data.shards import ROWS_PER_GROUP


__all__ = ["BASE", "cases", "make_base"]
BASE = "runs"
ON_SETS = ("pretrain on set", "extract of set", "probe of set", "curate", "plan of set")
BY_SETTINGS = ("pretrain by settings", "pretrain by settings", "plan by settings")
NUMBERS = (-25.0, 0.0, math.nan, math.inf, -math.inf, 1e300, None)


def cases(base: Path, folder: Path, seed: int, wanted: Iterator[int]) -> Iterator[Case]:
    """One damaged set (two of three) or file of settings for each number, given to one command."""
    for number in wanted:
        rng = np.random.default_rng([seed, 3, number])
        given = folder / f"case-{number}" / "given"
        of_set = rng.random() < 0.65
        whole = base / ("set" if of_set else "settings")
        shutil.copytree(whole, given)
        if of_set:
            name = ON_SETS[int(rng.integers(len(ON_SETS)))]
            what, may_differ = damage_set(given, rng)
        else:
            name = BY_SETTINGS[int(rng.integers(len(BY_SETTINGS)))]
            what, may_differ = damage_yaml(given / "settings.yaml", rng)
        yield Case(number, what, name, partial(judge, name, base, given, whole, given.with_name("out"), may_differ))


def damage_set(given: Path, rng: np.random.Generator) -> tuple[str, bool]:
    """Damage a shard, its table, or what stands around it; what was done, and whether results may differ."""
    shards = sorted(given.glob("data/*.parquet"))
    shard = shards[int(rng.integers(len(shards)))]
    dice = rng.random()
    if dice < 0.2:
        what = put_in_place(shard, rng) if rng.random() < 0.4 else damage_bytes(shard, rng)
        return f"{shard.name}: {what}", False
    if dice < 0.35:
        return damage_card(given / "README.md", rng)
    if dice < 0.4:
        shutil.rmtree(given / "data")
        return "no folder data", False
    table = pq.read_table(shard)
    changes = COLUMNS if dice < 0.75 else VALUES
    change = changes[int(rng.integers(len(changes)))]
    table, what, may_differ = change(table, rng)
    pq.write_table(table, shard, row_group_size=ROWS_PER_GROUP)  # the order of training depends on the groups
    return f"{shard.name}: {what}", may_differ


Changed = tuple[pa.Table, str, bool]
# What a set can do without: columns of labels and of what is only reported.
NEEDLESS = {"quality", "track", "mean_mouth_opening", "mean_yaw", "mean_pitch", "mean_roll"}


def set_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    """A column in the place of the one of this name, without what the schema says of it to `datasets`."""
    changed = table.set_column(table.column_names.index(name), name, values)
    return changed.replace_schema_metadata(None)


def drop(table: pa.Table, rng: np.random.Generator) -> Changed:
    name = table.column_names[int(rng.integers(table.num_columns))]
    return table.drop_columns([name]), f"no column {name}", name in NEEDLESS


def as_text(table: pa.Table, rng: np.random.Generator) -> Changed:
    name = str(rng.choice(["fps", "num_frames", "instance_id", "start_seconds", "source"]))
    values = [f"{value} x" for value in table[name].to_pylist()] if name != "source" else list(range(len(table)))
    return set_column(table, name, pa.array(values)), f"{name} of another type", name == "source"


def nulls(table: pa.Table, rng: np.random.Generator) -> Changed:
    name = str(rng.choice(["fps", "num_frames", "instance_id", "start_seconds", "source", "video"]))
    return (
        set_column(table, name, pa.nulls(len(table), table.schema.field(name).type)),
        f"{name} all null",
        name == "source",
    )


def renamed(table: pa.Table, rng: np.random.Generator) -> Changed:
    place = int(rng.integers(table.num_columns))
    names = [f"{name}_old" if i == place else name for i, name in enumerate(table.column_names)]
    return table.rename_columns(names), f"{table.column_names[place]} renamed", table.column_names[place] in NEEDLESS


def ids(table: pa.Table, rng: np.random.Generator) -> Changed:
    count = len(table)
    kinds = {"all 0": [0] * count, "negative": [-i for i in range(count)], "huge": [2**62 + i for i in range(count)],
             "twice": [i // 2 for i in range(count)], "backwards": list(range(count))[::-1]}  # fmt: skip
    what = sorted(kinds)[int(rng.integers(len(kinds)))]
    # Numbered backwards they are still each row's own.
    return set_column(table, "instance_id", pa.array(kinds[what], pa.int64())), f"ids {what}", what == "backwards"


def no_rows(table: pa.Table, rng: np.random.Generator) -> Changed:
    return table.slice(0, 0), "no rows", False


def fewer_rows(table: pa.Table, rng: np.random.Generator) -> Changed:
    return table.slice(0, len(table) - 2), "2 rows fewer than the card says", False


COLUMNS = (drop, drop, as_text, nulls, renamed, ids, ids, no_rows, fewer_rows)


def one_number(table: pa.Table, rng: np.random.Generator) -> Changed:
    """A number of one row, or of all, that cannot be."""
    name = str(rng.choice(["fps", "fps", "num_frames", "start_seconds"]))
    new = NUMBERS[int(rng.integers(len(NUMBERS)))]
    if name == "num_frames":
        new = int(rng.choice([-1, 0, 3, 10**9]))
    values, whole = table[name].to_pylist(), rng.random() < 0.5
    row = int(rng.integers(len(values)))
    values = [new if whole or i == row else value for i, value in enumerate(values)]
    what = f"{name}={new} in {'all rows' if whole else f'row {row}'}"
    return set_column(table, name, pa.array(values, table.schema.field(name).type)), what, False


def one_video(table: pa.Table, rng: np.random.Generator) -> Changed:
    """The video of one row, or of all, damaged."""
    values, whole = table["video"].to_pylist(), rng.random() < 0.25
    row = int(rng.integers(len(values)))
    damage: Callable = DAMAGES[int(rng.integers(len(DAMAGES)))]
    null = rng.random() < 0.2
    for i, value in enumerate(values):
        if whole or i == row:
            values[i] = None if null else {**value, "bytes": damage(value["bytes"], rng)}
    what = f"the video of {'all rows' if whole else f'row {row}'} {'null' if null else damage.__name__}"
    # Other bytes may well be another video that plays.
    plays = not null and damage.__name__ in ("flip", "zero", "scramble", "insert", "remove", "repeat", "twice")
    return set_column(table, "video", pa.array(values, table.schema.field("video").type)), what, plays


def landmarks(table: pa.Table, rng: np.random.Generator) -> Changed:
    """Landmarks of one row that are no numbers, too few, of another shape, or none."""
    values = table["landmarks"].combine_chunks().storage.to_pylist()
    row = int(rng.integers(len(values)))
    points = np.array(values[row], np.float32)
    kinds = {
        "NaN": points * np.nan, "infinite": points + np.inf, "huge": points + 1e30, "a frame fewer": points[:-1],
        "67 points": points[:, :67], "3 numbers": np.concatenate([points, points[..., :1]], -1), "null": None,
        "far away": points - 1000,
    }  # fmt: skip
    what = sorted(kinds)[int(rng.integers(len(kinds)))]
    values[row] = None if kinds[what] is None else kinds[what].tolist()
    kind = table.schema.field("landmarks").type
    lists = pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    return set_column(table, "landmarks", lists), f"landmarks of row {row} {what}", False


VALUES = (one_number, one_number, one_video, one_video, landmarks)


def damage_card(file: Path, rng: np.random.Generator) -> tuple[str, bool]:
    """The README gone, another text, or with other promises."""
    text = file.read_text(encoding="utf-8")
    swaps = (
        ("num_examples: 8", "num_examples: 80"), ("num_examples: 8", "num_examples: -1"), ("float64", "string"),
        ("name: fps", "name: rate"), ("data/train-*", "data/nothing-*"), ("data/train-*", "../**"),
        ("split: train", "split: valid"), ("dtype: int64", "dtype: nothing"), ("---", ""),
        ("features:", "features: 3"),
        ("- name: train", "- name: other"), ("num_bytes:", "num_bytes: x"),
    )  # fmt: skip
    dice = rng.random()
    if dice < 0.2:
        return f"README.md: {put_in_place(file, rng)}", False
    if dice < 0.35:
        return f"README.md: {damage_text(file, rng)}", False
    old, new = swaps[int(rng.integers(len(swaps)))]
    file.write_text(text.replace(old, new), encoding="utf-8")
    return f"README.md: {old!r} -> {new!r}", False
