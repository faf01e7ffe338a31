from pathlib import Path

import pytest
from datasets import load_dataset

from preface_hf.prepare.run import prepare
from tests.media import given_clip
from tests.recipes.trees import aside, labels, listing, splits, tree


TABLE = "path,age,name,split\na.mp4,20,007,train\nb.mp4,,x,dev\nsub/c.jpg,3,,\nlost.mp4,1,,test\n"


def test_csv_types_splits_missing_and_unnamed(tmp_path: Path):
    tree(tmp_path, "clips/a.mp4", "clips/b.mp4", "sub/c.jpg", "extra.mp4", **{"labels.csv": TABLE})
    found = listing("csv", tmp_path / "labels.csv")
    assert splits(found) == {"clips/a.mp4": "train", "clips/b.mp4": "dev", "sub/c.jpg": None}
    assert found.columns == {"age": "int64", "name": "string"}
    assert labels(found, "clips/a.mp4") == {"age": 20, "name": "007"}
    assert labels(found, "clips/b.mp4") == {"age": None, "name": "x"}
    assert aside(found, "left out") == {"lost.mp4": "named in labels.csv but not found"}
    assert listing("csv", tmp_path).items == found.items
    assert list(splits(listing("csv", tmp_path, "image"))) == ["sub/c.jpg"]


def test_csv_absolute_paths_and_ends_that_two_files_share(tmp_path: Path):
    tree(tmp_path, "x/a.mp4", "y/a.mp4", "b.mp4")
    tree(tmp_path, **{"t.csv": f"file,l\n{tmp_path.resolve()}/b.mp4,1\na.mp4,2\n"})
    found = listing("csv", tmp_path / "t.csv")
    assert list(splits(found)) == ["b.mp4"] and list(aside(found, "left out")) == ["a.mp4"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("clip,label\na.mp4,x\n", "no column of paths"),
        ("file,label\na.mp4,x\na.mp4,y\n", "twice"),
        ("file,split\na.mp4,my split\n", "my split"),
        ("file,label\nb.mp4,x\n", "none of them is there"),
    ],
)
def test_csv_refuses(tmp_path: Path, text: str, reason: str):
    tree(tmp_path, "a.mp4", **{"t.csv": text})
    with pytest.raises(ValueError, match=reason):
        listing("csv", tmp_path)


def test_csv_through_prepare(tmp_path: Path):
    for name in ("a", "b"):
        given_clip(tmp_path / "src", f"clips/{name}.mp4", frames=6)
    tree(tmp_path / "src", **{"t.csv": "file,mood,split\na.mp4,glad,train\nb.mp4,sad,test\n"})
    options = {"recipe": "csv", "landmarker": "given", "crop_size": 32}
    done = prepare(tmp_path / "src/t.csv", tmp_path / "out", **options)
    assert done.splits == {"train": 1, "test": 1}
    assert load_dataset(str(tmp_path / "out"), split="test")[0]["mood"] == "sad"
    again = prepare(tmp_path / "src/t.csv", tmp_path / "out", **options)
    assert again.already_done and again.split_hash == done.split_hash and len(done.split_hash) == 16
    assert done.split_hash in (tmp_path / "out/README.md").read_text()
    tree(tmp_path / "src", **{"t.csv": "file,mood,split\na.mp4,glad,test\nb.mp4,sad,train\n"})
    assert prepare(tmp_path / "src/t.csv", tmp_path / "other", **options).split_hash != done.split_hash


def test_csv_on_real_tables(shared: Path):
    faces = shared / "faces"
    found = listing("csv", faces / "celeba_small/attributes.csv")
    assert len(found.items) == 9400 and not found.aside
    people = {split: {i.labels["identity"] for i in found.items if i.split == split} for split in ("train", "test")}
    assert not people["train"] & people["test"] and labels(found, "images/000001.jpg")["Smiling"] == 1
    found = listing("csv", faces / "lipreading_org/labels.csv")
    kinds = [item.labels["label"] for item in found.items]
    assert (kinds.count("real"), kinds.count("fake_wav2lip")) == (124, 59)
    found = listing("csv", faces / "deepfake_ffpp_dfdc/labels.csv", "video")
    assert len(found.items) == 8 and found.columns["label"] == "string"


def test_folder_on_real_stills(shared: Path):
    assert len(listing("folder", shared / "faces/utkface").items) == 5000
