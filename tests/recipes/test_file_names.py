"""Names of files and folders that are not UTF-8, or odd: one file never ends a run, and none is passed over unsaid."""

import json
import os
import sys
from pathlib import Path

import pytest
from datasets import load_dataset

from preface_hf.curation.curate import curate
from preface_hf.data.opening import open_prepared, open_splits
from preface_hf.data.shards import read_rows
from preface_hf.features.extract import extract
from preface_hf.features.labeled import labeled_rows
from preface_hf.prepare.run import prepare
from preface_hf.recipes import RECIPES
from tests.features.test_extract import checkpoint  # noqa: F401
from tests.media import given_clip
from tests.recipes.trees import aside, splits, tree


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
NOT_TEXT = "its path is not Unicode text (UTF-8): rename the file or its folder"


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """`ok.mp4`, and beside it the same clip as `latin\\xe9.mp4`, `caf\\xe9/in.mp4` and a text file likewise."""
    given_clip(tmp_path / "src", "ok.mp4", frames=6)
    copies = {b"latin\xe9": b".mp4", b"caf\xe9/in": b".mp4"}
    for stem, ending in copies.items():
        place = os.path.join(os.fsencode(tmp_path / "src"), stem)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        for suffix in (ending, b".npy"):
            content = (tmp_path / "src/ok").with_suffix(suffix.decode()).read_bytes()
            with open(place + suffix, "wb") as file:
                file.write(content)
    with open(os.path.join(os.fsencode(tmp_path / "src"), b"note\xe9.txt"), "wb"):
        pass
    return tmp_path / "src"


def test_prepare_leaves_out_what_it_cannot_name(src: Path, tmp_path: Path):
    done = prepare(src, tmp_path / "out", landmarker="given", crop_size=32)
    lines = [json.loads(line) for line in (tmp_path / "out/report.jsonl").read_text(encoding="utf-8").splitlines()]
    found = {line["source"]: (line["status"], line["reason"]) for line in lines}
    assert found == {
        "ok.mp4": ("prepared", None),
        "latin\\xe9.mp4": ("left out", NOT_TEXT),
        "caf\\xe9/in.mp4": ("left out", NOT_TEXT),
        "note\\xe9.txt": ("ignored", NOT_TEXT),
    }
    assert (done.rows, done.left_out) == (1, 2)
    data = load_dataset(str(tmp_path / "out"), split="train")
    assert data["source"][:] == ["ok.mp4"] and "label" not in data.column_names
    assert prepare(src, tmp_path / "out", landmarker="given", crop_size=32).already_done


def test_extract_leaves_out_what_it_cannot_name(src: Path, tmp_path: Path, checkpoint: Path):  # noqa: F811
    counts = extract(checkpoint, src, tmp_path / "f.parquet", landmarker="given")
    assert counts["sources"] == 1 and counts["left_out"] == 2
    lines = (tmp_path / "f.parquet.report.jsonl").read_text(encoding="utf-8").splitlines()
    assert sorted(json.loads(line)["source"] for line in lines) == ["caf\\xe9/in.mp4", "latin\\xe9.mp4"]


def test_a_source_or_output_that_cannot_be_named_is_one_sentence(src: Path, tmp_path: Path, checkpoint: Path):  # noqa: F811
    bad = Path(os.fsdecode(os.fsencode(src) + b"/caf\xe9"))
    calls = [
        lambda: prepare(bad, tmp_path / "out", landmarker="given"),
        lambda: prepare(bad / "in.mp4", tmp_path / "out", landmarker="given"),
        lambda: prepare(bad, tmp_path / "out", recipe="grid", landmarker="given"),
        lambda: prepare(bad, tmp_path / "out", recipe="csv", landmarker="given"),
        lambda: prepare(src, bad / "out", landmarker="given"),
        lambda: extract(checkpoint, bad, tmp_path / "f.parquet", landmarker="given"),
        lambda: extract(checkpoint, src, bad / "f.parquet", landmarker="given"),
        lambda: curate(bad, tmp_path / "out", features=tmp_path / "f.parquet"),
        lambda: curate(src, bad / "out", features=tmp_path / "f.parquet"),
    ]
    for number, call in enumerate(calls):
        with pytest.raises(ValueError, match=r"^the path .*/src/caf\\xe9.* is not Unicode text") as stop:
            call()
        str(stop.value).encode(), number
    assert not (tmp_path / "out").exists() and sorted(os.listdir(bad)) == ["in.mp4", "in.npy"]


def test_a_prepared_set_in_a_folder_that_cannot_be_named(src: Path, tmp_path: Path):
    prepare(src, tmp_path / "out", landmarker="given", crop_size=32)
    bad = Path(os.fsdecode(os.fsencode(tmp_path) + b"/set\xe9"))
    (tmp_path / "out").rename(bad)
    for call in (lambda: labeled_rows(bad, "source"), lambda: open_prepared(bad), lambda: open_splits(bad)):
        with pytest.raises(ValueError, match=r"set\\xe9 is not Unicode text"):
            call()


@pytest.mark.parametrize(
    "name",
    ["new\nline.mp4", "quote\"'.mp4", "\N{GRINNING FACE}.mp4", f"{'x' * 251}.mp4", "-dash #%?.mp4", "back\\slash.mp4",
     "tab\t\x01.mp4", f"{'ü' * 120}/y.mp4", "line\u2028end.mp4", " a .mp4"],
)  # fmt: skip
def test_odd_names_are_prepared(name: str, tmp_path: Path):
    given_clip(tmp_path / "src", name, frames=6)
    assert prepare(tmp_path / "src", tmp_path / "out", landmarker="given", crop_size=32).rows == 1
    row = next(read_rows(tmp_path / "out/data/train-00000-of-00001.parquet"))
    assert row["source"] == name and row.get("label") == (name.split("/")[0] if "/" in name else None)


def test_only_names_that_are_not_text(tmp_path: Path):
    with open(os.path.join(os.fsencode(tmp_path), b"latin\xe9.mp4"), "wb"):
        pass
    with pytest.raises(ValueError, match=r"holds no video or image \(latin\\xe9.mp4: its path is not Unicode text"):
        RECIPES["folder"](tmp_path, "auto")


def test_recipes_of_other_layouts_and_tables_list_them_too(tmp_path: Path):
    tree(tmp_path, "s1/bbaf2n.mpg", "table.csv")
    with open(os.path.join(os.fsencode(tmp_path / "s1"), b"latin\xe9.mpg"), "wb"):
        pass
    (tmp_path / "table.csv").write_text("file\ns1/bbaf2n.mpg\n")
    for recipe in ("grid", "csv"):
        found = RECIPES[recipe](tmp_path, "auto")
        assert list(splits(found)) == ["s1/bbaf2n.mpg"]
        assert aside(found, "left out") == {"s1/latin\\xe9.mpg": NOT_TEXT}
