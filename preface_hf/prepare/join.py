"""The last step of `prepare`: from the rows that the tasks left to the shards of the prepared set.

Rows keep the order of the files and are packed anew, so that the bytes do not depend on how many tasks there were.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Features

from preface_hf.data.shards import group_end, prepared_features, write_tables
from preface_hf.files import replacing, writing
from preface_hf.prepare.card import readme
from preface_hf.prepare.folder import README_FILE, REPORT_FILE, SPLITS_LINE, WORK_FOLDER
from preface_hf.prepare.options import SetOptions
from preface_hf.prepare.tasks import PrepareFiles
from preface_hf.recipes import Item, Listing, split_hash


@dataclass
class FileLabels:
    """What a recipe says of a file: its split and its labels."""

    split: str
    labels: dict[str, Any]


def write_set(out: Path, listing: Listing, step: PrepareFiles, options: SetOptions) -> None:
    """From the tasks' files to the finished set; README.md comes last and says that it is finished."""
    about = {item.source: FileLabels(split_of(item, options), item.labels) for item in listing.items}
    features = prepared_features(listing.columns, options.tracks.audio)
    folder = out / WORK_FOLDER / "data"  # what a killed run left there is written anew
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with writing(folder):
        counts = join_rows([step.rows_file(rank) for rank in range(step.tasks)], folder, about, features)
    with replacing(out / REPORT_FILE) as temporary, temporary.open("w", encoding="utf-8") as report:
        report.writelines(json.dumps(line) + "\n" for line in (*step.records(), *listing.aside))
    if not counts:
        raise ValueError(f"no face could be prepared from {options.src}: see the reasons in {out / REPORT_FILE}")
    # The folder is whole now: what a run before left under its name gives way.
    shutil.rmtree(out / "data", ignore_errors=True)
    folder.rename(out / "data")
    text = readme(features, counts, out / "data", options.tracks.crop_size, options.landmarker)
    # The hash is of the splits as they are written, those drawn here included.
    splits = Listing([Item(source, labeled.split) for source, labeled in about.items()], {}, [])
    text += f"\n{SPLITS_LINE}{split_hash(splits)}\n"
    with replacing(out / README_FILE) as temporary:
        temporary.write_text(text, encoding="utf-8")


def split_of(item: Item, options: SetOptions) -> str:
    """The split that the recipe states, else one by a hash of seed and path: it does not depend on the other files."""
    if item.split is not None:
        return item.split
    digest = hashlib.sha256(f"{options.seed}:{item.source}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64  # even in [0, 1)
    return "test" if share < options.test_fraction else "train"


def join_rows(files: list[Path], folder: Path, about: dict[str, FileLabels], features: Features) -> dict[str, int]:
    """Write the rows of `files` as shards into `folder`, `train` first; returns the rows of each split.

    `about` says which split and labels a source has. `instance_id` counts from 0 through all splits. A few row groups
    are in memory at a time.
    """
    # Only splits with rows: a file without a face may leave its split empty.
    splits = {about[source].split for file in files for source in sources_of(file)}
    counts: dict[str, int] = {}
    # Each split reads all files again: that costs time, and keeps memory small and the order that of the files.
    for split in sorted(splits, key=lambda split: (split != "train", split)):
        tables = number_rows(regroup(files, split, about), about, features, sum(counts.values()))
        counts[split] = write_tables(folder, split, tables, features)
    return counts


def sources_of(file: Path) -> list[str]:
    """The source of each row of a parquet file of rows."""
    return pq.read_table(file, columns=["source"])["source"].to_pylist()


def regroup(files: list[Path], split: str, about: dict[str, FileLabels]) -> Iterator[pa.Table]:
    """The rows of a split in full groups (`shards.group_end`), the last of what is left."""
    # `rest` holds the rows that do not fill a group yet.
    rest: pa.Table | None = None
    for table in rows_of(files, split, about):
        rest = table if rest is None else pa.concat_tables([rest, table])
        # A table may hold several groups, or only a part of one that goes on in the next table.
        while (end := group_end(video_sizes(rest))) is not None:
            yield rest.slice(0, end)
            rest = rest.slice(end)
    if rest is not None and len(rest):
        yield rest


def video_sizes(table: pa.Table) -> list[int]:
    """Bytes of each row's video."""
    return pc.binary_length(pc.struct_field(table["video"], "bytes")).to_pylist()


def rows_of(files: list[Path], split: str, about: dict[str, FileLabels]) -> Iterator[pa.Table]:
    """The rows of a split, a row group of `files` at a time; groups without any are not read but for their names."""
    for file in files:
        with pq.ParquetFile(file) as reader:
            for group in range(reader.num_row_groups):
                sources = reader.read_row_group(group, columns=["source"])["source"].to_pylist()
                mask = [about[source].split == split for source in sources]
                if any(mask):
                    yield reader.read_row_group(group).filter(pa.array(mask))


def number_rows(
    tables: Iterator[pa.Table], about: dict[str, FileLabels], features: Features, first_id: int
) -> Iterator[pa.Table]:
    """The tables with instance ids and labels, in the columns of `features`."""
    for table in tables:
        labels = [about[source].labels for source in table["source"].to_pylist()]
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        columns["instance_id"] = pa.array(range(first_id, first_id + len(table)), pa.int64())
        # Labels are the columns that tasks do not write; a label that a row lacks is null.
        for name in features:
            if name not in columns:
                columns[name] = pa.array([row.get(name) for row in labels], features[name].pa_type)
        yield pa.Table.from_arrays([columns[name] for name in features], schema=features.arrow_schema)
        first_id += len(table)
