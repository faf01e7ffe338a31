"""The prepared set as files: its columns, its parquet shards, its README. One row is one face track."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Array3D, Audio, DatasetInfo, Features, List, Value, Video
from datasets.info import DatasetInfosDict
from datasets.splits import SplitDict, SplitInfo
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData

from preface_hf.audio.sound import SAMPLE_RATE
from preface_hf.faces.landmarks import NUM_LANDMARKS


TRACK_FEATURES = Features(
    {
        # The bytes of an mp4, decoded by `open_video`: datasets would do it by torchcodec.
        "video": Video(decode=False),
        # Pixels of the crop, x then y; without a frame where the set was prepared without landmarks.
        "landmarks": Array3D((None, NUM_LANDMARKS, 2), "float32"),
        "fps": Value("float64"),
        "num_frames": Value("int64"),
        # On the clock of the source, so that a row can be found in its video.
        "start_seconds": Value("float64"),
        "frame_seconds": List(Value("float64")),  # from the first frame to each; null where they are evenly spaced
        "track": Value("int64"),
        "source": Value("string"),
        "quality": Value("float64"),
    }
)
# Where sound was asked for: bytes of a FLAC file, mono, from the first frame to the end of the last; null where the
# source has none. FLAC loses no sample, is smaller than plain PCM, and the Hub's viewer plays it.
SOUND_FEATURES = Features({"audio": Audio(sampling_rate=SAMPLE_RATE, decode=False)})
# A row is tens of kilobytes to a few megabytes: small groups keep writer and streaming reader small.
ROWS_PER_GROUP, GROUP_BYTES = 16, 8 * 2**20
# Opening a set reads the footer of every shard, so they are not small.
SHARD_BYTES = 256 * 2**20


def track_features(audio: bool = False) -> Features:
    """The columns of a track, before it has an instance id and labels."""
    return Features({**TRACK_FEATURES, **(SOUND_FEATURES if audio else {})})


def prepared_features(label_columns: dict[str, str], audio: bool = False) -> Features:
    """All columns of a prepared set whose labels have these types (`string`, `int64`, `float64`)."""
    labels = {name: Value(kind) for name, kind in label_columns.items()}
    return Features({"instance_id": Value("int64"), **track_features(audio), **labels})


def to_table(rows: list[dict[str, Any]], features: Features) -> pa.Table:
    """Rows as an arrow table; `landmarks` float32 `(frames, 68, 2)`, `video` a dictionary of bytes and path.

    A row may go without `frame_seconds`: its frames are evenly spaced.
    """
    arrays, schema = [], features.arrow_schema
    for column in schema:
        # Not by `features.encode_example`: it would import torchcodec, working or not.
        values: list[Any] = [
            row.get(column.name) if column.name == "frame_seconds" else row[column.name] for row in rows
        ]
        if column.name == "landmarks":
            arrays.append(pa.ExtensionArray.from_storage(column.type, landmark_lists(values)))
        else:
            arrays.append(pa.array(values, storage_type(column.type)))
    return pa.Table.from_arrays(arrays, schema=schema)


def landmark_lists(values: list[np.ndarray]) -> pa.Array:
    """Landmarks `(frames, 68, 2)` of several rows as arrow lists, without a Python object for each number."""
    points = np.concatenate(values).astype(np.float32, copy=False)
    ends = np.cumsum([0, *map(len, values)])
    # From the inside out: lists of 2 numbers, of 68 points, of the frames of a row.
    lists = pa.array(points.ravel())
    for offsets in (np.arange(points[..., 0].size + 1) * 2, np.arange(len(points) + 1) * NUM_LANDMARKS, ends):
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), lists)
    return lists


def storage_type(kind: pa.DataType) -> pa.DataType:
    """The arrow type in which columns of `kind` are stored: that of an extension type, else `kind` itself."""
    return kind.storage_type if isinstance(kind, pa.ExtensionType) else kind


def write_rows(file: Path, rows: Iterable[dict[str, Any]], features: Features) -> None:
    """Write rows to one parquet file in small row groups."""
    with pq.ParquetWriter(file, features.arrow_schema) as writer:
        for group in group_rows(rows):
            writer.write_table(to_table(group, features))


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """Rows of a parquet file, one row group in memory at a time; landmarks as nested lists."""
    with pq.ParquetFile(file) as reader:
        for number in range(reader.num_row_groups):
            group = reader.read_row_group(number)
            for row in range(len(group)):  # lists of a minute of landmarks take 15 MB
                yield from group.slice(row, 1).to_pylist()


def write_shards(folder: Path, split: str, rows: Iterable[dict[str, Any]], features: Features) -> int:
    """Write rows to `folder/<split>-00000-of-0000N.parquet`, about `SHARD_BYTES` each at most; returns their count."""
    return write_tables(folder, split, (to_table(group, features) for group in group_rows(rows)), features)


def write_tables(folder: Path, split: str, tables: Iterable[pa.Table], features: Features) -> int:
    """As [`write_shards`], from arrow tables of the columns `features`, each of which becomes a row group."""
    count, size = 0, SHARD_BYTES
    shards: list[Path] = []
    writer = None
    for table in tables:
        if writer is None or size + table.nbytes > SHARD_BYTES:  # the number of shards is known at the end only
            if writer is not None:
                writer.close()
            shards.append(folder / f"{split}-{len(shards):05d}.parquet")
            writer, size = pq.ParquetWriter(shards[-1], features.arrow_schema), 0
        writer.write_table(table)
        count, size = count + len(table), size + table.nbytes
    if writer is not None:
        writer.close()
    for number, shard in enumerate(shards):
        shard.rename(folder / f"{split}-{number:05d}-of-{len(shards):05d}.parquet")
    return count


def group_end(sizes: list[int]) -> int | None:
    """How many rows, whose videos have these `sizes` in bytes, fill a row group; None where they do not."""
    total = 0
    for count, size in enumerate(sizes, start=1):
        total += size
        if count == ROWS_PER_GROUP or total >= GROUP_BYTES:
            return count
    return None


def group_rows(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows in lists, each a row group: it ends with `ROWS_PER_GROUP` rows or `GROUP_BYTES` of video."""
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append(row)
        if group_end([len(row["video"]["bytes"]) for row in group]):
            yield group
            group = []
    if group:
        yield group


def describe_files(features: Features, counts: dict[str, int], folder: Path, card: DatasetCardData) -> DatasetCardData:
    """Write into `card`, the header of a README, what `datasets` reads there: columns, splits, files in `folder`."""
    sizes = {split: sum(file.stat().st_size for file in folder.glob(f"{split}-*.parquet")) for split in counts}
    # With this in the README `datasets` knows columns and numbers of rows before it opens a file.
    splits = SplitDict()
    for split, rows in counts.items():
        splits.add(SplitInfo(split, num_bytes=sizes[split], num_examples=rows))
    total = sum(sizes.values())
    info = DatasetInfo(features=features, splits=splits, download_size=total, dataset_size=total)
    DatasetInfosDict({"default": info}).to_dataset_card_data(card)
    files = [{"split": split, "path": f"data/{split}-*"} for split in counts]
    MetadataConfigs({"default": {"data_files": files}}).to_dataset_card_data(card)
    return card
