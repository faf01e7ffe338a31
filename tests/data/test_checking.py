"""Sets that are not whole are refused when they are opened, in every door; what is whole opens as before."""

import math
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preface_hf.data.checking import check_row
from preface_hf.data.opening import open_mixture, open_prepared, open_splits
from preface_hf.features.labeled import open_split
from preface_hf.features.sources import open_corpus
from tests.data.rows import write_rows


DOORS = [
    open_prepared,
    open_splits,
    open_mixture,
    lambda path: open_split(path, "train", "expression", None),
    open_corpus,
]


@pytest.fixture
def copied(prepared, tmp_path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "set"))


def refused(folder: Path, message: str) -> None:
    """Every door refuses the set in one sentence."""
    for door in DOORS:
        with pytest.raises(ValueError, match=message) as caught:
            door(folder)
        assert "\n" not in str(caught.value)


def shard(folder: Path) -> Path:
    return next(folder.glob("data/train-*.parquet"))


def change(folder: Path, name: str, values: list | None) -> None:
    """Put a column in place of the one of this name in the train split, or take it away."""
    table = pq.read_table(shard(folder))
    place = table.column_names.index(name)
    table = table.drop_columns([name]) if values is None else table.set_column(place, name, pa.array(values))
    pq.write_table(table.replace_schema_metadata(None), shard(folder))


@pytest.mark.parametrize("values", [[0] * 12, [-1, *range(11)], [*range(11), 3], [None, *range(11)]])
def test_ids_that_are_no_ids(copied, values):
    change(copied, "instance_id", values)
    refused(copied, "instance_id")


@pytest.mark.parametrize("name", ["fps", "num_frames", "instance_id", "start_seconds", "video"])
def test_a_column_of_another_type(copied, name):
    change(copied, name, ["text"] * 12)
    refused(copied, f"column '{name}' of .* is string, not ")


@pytest.mark.parametrize("name", ["fps", "quality", "video", "source"])
def test_a_column_that_the_card_promises(copied, name):
    change(copied, name, None)
    refused(copied, f"has no column {name}, which the set promises")


def test_a_missing_shard(copied):
    file = shard(copied)
    file.rename(file.with_name("train-00000-of-00002.parquet"))
    refused(copied, "lacks shard train-00001-of-00002.parquet")


def test_a_split_without_its_shard(copied):
    shard(copied).unlink()
    refused(copied, "cannot open .* as a prepared set")


@pytest.mark.parametrize("left", [0, 100, 5000])
def test_a_shard_that_is_not_all_there(copied, left):
    shard(copied).write_bytes(shard(copied).read_bytes()[:left])
    refused(copied, "cannot open .* as a prepared set")


def test_fewer_rows_than_the_card_says(copied):
    pq.write_table(pq.read_table(shard(copied)).slice(0, 10), shard(copied))
    refused(copied, "promises 12 rows of split 'train', and its files hold 10")


def test_shards_of_different_columns(tmp_path):
    folder = write_rows(tmp_path / "set", 4)
    first = shard(folder).rename(folder / "data/train-00000-of-00002.parquet")
    pq.write_table(pq.read_table(first).drop_columns(["num_frames"]), folder / "data/train-00001-of-00002.parquet")
    refused(folder, "train-00001-of-00002.parquet has no column num_frames")


def test_a_set_without_its_folder_of_shards(copied):
    """Its preview.png was taken for the corpus."""
    shutil.rmtree(copied / "data")
    refused(copied, "cannot open|is a prepared set without shards")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"fps": fps} for fps in (-25, 0, math.nan, math.inf, None)), {"num_frames": 0}, {"num_frames": None},
        {"start_seconds": math.inf}, {"video": None}, {"video": {"bytes": None, "path": "/etc/passwd"}},
        {"frame_seconds": [0, 1, 0.5]}, {"frame_seconds": np.array([0, math.nan])},
    ],
)  # fmt: skip
def test_rows_that_cannot_be(wrong):
    good = {"video": {"bytes": b"0"}, "num_frames": 2, "fps": 25.0, "start_seconds": -1.0, "frame_seconds": [0, 0.1]}
    check_row(good)
    check_row({})
    with pytest.raises(ValueError, match=next(iter(wrong))):
        check_row({**good, **wrong})


@pytest.mark.parametrize("name", ["fps", "num_frames", "instance_id"])
def test_a_card_that_says_another_type(copied, name):
    """`datasets` gives a column as the card says, whatever the shard holds."""
    card = copied / "README.md"
    lines = card.read_text(encoding="utf-8").splitlines()
    lines[lines.index(f"  - name: {name}") + 1] = "    dtype: string"
    card.write_text("\n".join(lines), encoding="utf-8")
    for door in DOORS[:4]:
        with pytest.raises(ValueError, match=f"column '{name}' of the README of .* is string, not "):
            door(copied)
