"""Attributes (CelebA, LFW, LFWA) and landmarks (300-W, WFLW)."""

from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

from preface_hf.prepare.run import prepare
from preface_hf.recipes import subject_split
from tests.media import as_bytes, face_points, pattern
from tests.recipes.trees import aside, labels, listing, notes, splits, tree


ATTRIBUTES = "3\nSmiling Male \n000001.jpg  1 -1\n000002.jpg -1 -1\n000009.jpg -1  1\n"


def test_celeba(tmp_path: Path):
    images = ["Img/img_align_celeba/000001.jpg", "Img/img_align_celeba/000002.jpg", "Img/img_align_celeba/000005.jpg"]
    tables = {
        "Anno/list_attr_celeba.txt": ATTRIBUTES,
        "Anno/identity_CelebA.txt": "000001.jpg 2880\n000002.jpg 2937\n",
        "Eval/list_eval_partition.txt": "000001.jpg 0\n000002.jpg 2\n",
    }
    tree(tmp_path, *images, "Img/img_celeba/000001.jpg", **tables)
    found = listing("celeba", tmp_path)
    assert splits(found) == dict(zip(images, ["train", "test", None], strict=True))
    assert labels(found, images[0]) == {"Smiling": 1, "Male": 0, "identity": "2880"}
    assert labels(found, images[2]) == dict.fromkeys(found.columns)
    assert list(aside(found, "left out")) == ["000009.jpg"]
    assert "1 images are other copies" in notes(found) and "162770" in notes(found)
    (tmp_path / "Eval/list_eval_partition.txt").unlink()
    assert splits(listing("celeba", tmp_path))[images[0]] == subject_split("2880")


def test_celeba_layout_of_real_images(tmp_path: Path, shared: Path):
    source = shared / "faces/celeba_small"
    (tmp_path / "img_align_celeba").symlink_to(source / "images")
    head, *rows = [line.split(",") for line in (source / "attributes.csv").read_text().splitlines()]
    lines = [
        str(len(rows)),
        " ".join(head[3:]),
        *(" ".join([r[0], *("1" if v == "1" else "-1" for v in r[3:])]) for r in rows),
    ]
    parts = "\n".join(f"{row[0]} {0 if row[2] == 'train' else 2}" for row in rows)
    tree(tmp_path, **{"list_attr_celeba.txt": "\n".join(lines), "list_eval_partition.txt": parts})
    found, same = listing("celeba", tmp_path), listing("csv", source / "attributes.csv")
    assert len(found.items) == 9400 and list(splits(found).values()) == list(splits(same).values())
    shared_columns = set(head[3:])
    for item, other in zip(found.items, same.items, strict=True):
        assert {name: item.labels[name] for name in shared_columns} == {n: other.labels[n] for n in shared_columns}


def test_lfw(tmp_path: Path):
    scores = (
        "# lfw_attributes.txt v1.2\n#\tperson\timagenum\tMale\tPale Skin\nAnn Lee\t1\t-1.5\t0.25\nZoe\t3\t1.0\t2.0\n"
    )
    tree(tmp_path, "lfw/Ann_Lee/Ann_Lee_0001.jpg", "lfw/Bob/Bob_0002.jpg", "lfw-deepfunneled/Bob/Bob_0002.jpg",
         "lfw/Bob/Carl_0001.jpg", **{"lfw_attributes.txt": scores, "peopleDevTrain.txt": "1\nAnn_Lee\t1\n",
                                     "peopleDevTest.txt": "1\nBob\t1\n"})  # fmt: skip
    found = listing("lfw", tmp_path)
    assert splits(found) == {"lfw-deepfunneled/Bob/Bob_0002.jpg": "test", "lfw/Ann_Lee/Ann_Lee_0001.jpg": "train"}
    assert labels(found, "lfw/Ann_Lee/Ann_Lee_0001.jpg") == {"identity": "Ann_Lee", "male": -1.5, "pale_skin": 0.25}
    assert labels(found, "lfw-deepfunneled/Bob/Bob_0002.jpg") == {"identity": "Bob", "male": None, "pale_skin": None}
    assert list(aside(found, "left out")) == ["Zoe_0003.jpg"] and "13233" in notes(found)
    for name in ("Train", "Test"):
        (tmp_path / f"peopleDev{name}.txt").unlink()
    assert splits(listing("lfw", tmp_path / "lfw"))["Bob/Bob_0002.jpg"] == subject_split("Bob")


def cells(store, name: str, texts: list[str]) -> None:
    import h5py

    references = []
    for number, text in enumerate(texts):
        store[f"#refs#/{name}{number}"] = np.array([[ord(letter)] for letter in text], np.uint16)
        references.append(store[f"#refs#/{name}{number}"].ref)
    store.create_dataset(name, data=np.array([references], h5py.ref_dtype), dtype=h5py.ref_dtype)


def test_lfwa(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    tree(tmp_path, "lfw/Ann/Ann_0001.jpg", "lfw/Bob/Bob_0001.jpg")
    with h5py.File(tmp_path / "lfw_att_40.mat", "w") as store:
        cells(store, "AttrName", ["Male", "Young"])
        cells(store, "name", ["Ann\\Ann_0001.jpg", "Bob\\Bob_0001.jpg", "Zoe\\Zoe_0001.jpg"])
        store["label"] = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    with h5py.File(tmp_path / "indices_train_test.mat", "w") as store:
        store["indices_img_train"], store["indices_img_test"] = np.array([[2.0]]), np.array([[1.0, 3.0]])
    found = listing("lfwa", tmp_path)
    assert splits(found) == {"lfw/Ann/Ann_0001.jpg": "test", "lfw/Bob/Bob_0001.jpg": "train"}
    assert labels(found, "lfw/Ann/Ann_0001.jpg") == {"Male": 0, "Young": 1, "identity": "Ann"}
    assert labels(found, "lfw/Bob/Bob_0001.jpg") == {"Male": 1, "Young": 0, "identity": "Bob"}
    assert list(aside(found, "left out")) == ["Zoe/Zoe_0001.jpg"]
    (tmp_path / "indices_train_test.mat").unlink()
    assert set(splits(listing("lfwa", tmp_path)).values()) == {subject_split("Ann"), subject_split("Bob")}


def test_300w(tmp_path: Path):
    names = [
        "afw/1_2",
        "helen/trainset/3_1",
        "lfpw/testset/image_0001",
        "ibug/image_003_1",
        "300W/01_Indoor/indoor_001",
    ]
    tree(
        tmp_path,
        *(f"{name}.{end}" for name in names for end in ("pts", "jpg")),
        "ibug/bare.jpg",
        "afw/lost.pts",
        "x.jpg",
    )
    found = listing("300w", tmp_path)
    parts = {Path(item.source).stem: (item.split, item.labels["subset"]) for item in found.items}
    assert parts == {
        "1_2": ("train", "afw"), "3_1": ("train", "helen/trainset"), "image_0001": ("test", "lfpw/testset"),
        "image_003_1": ("test", "ibug"), "bare": ("test", "ibug"), "indoor_001": ("private", "01_Indoor"),
    }  # fmt: skip
    assert list(aside(found, "left out")) == ["afw/lost.pts"] and list(aside(found, "ignored")) == ["x.jpg"]
    assert "1 images have no .pts" in notes(found) and "2 images in ibug found" in notes(found)
    assert list(splits(listing("300w", tmp_path / "helen")).values()) == ["train"]


def test_300w_through_prepare(tmp_path: Path):
    lines = "\n".join(f"{x + 1:.3f} {y + 1:.3f}" for x, y in face_points((64, 48), 50))
    for name in ("afw/a", "helen/testset/b"):
        tree(tmp_path / "src", **{f"{name}.pts": lines})
        (tmp_path / f"src/{name}.jpg").write_bytes(as_bytes(pattern(1)[0], "jpeg"))
    done = prepare(tmp_path / "src", tmp_path / "out", recipe="300w", landmarker="given", crop_size=32)
    assert done.splits == {"train": 1, "test": 1}
    assert load_dataset(str(tmp_path / "out"), split="test")[0]["subset"] == "helen/testset"
    assert '"status": "note"' in (tmp_path / "out/report.jsonl").read_text()


def test_300w_on_real_parts(shared: Path):
    found = listing("300w", shared / "faces/helen_afw_68pts")
    counts = [
        sum(i.labels["subset"] == part for i in found.items) for part in ("afw", "helen/trainset", "helen/testset")
    ]
    assert counts == [30, 100, 30] and sum(item.split == "test" for item in found.items) == 30
    assert not aside(found, "left out") and not aside(found, "ignored") and "no .pts" not in notes(found)


def face(image: str, size: int, *attributes: int) -> str:
    return " ".join(["1.5"] * 196 + ["0", "0", str(size), str(size), *map(str, attributes), image])


def test_wflw(tmp_path: Path):
    train = [face("0--Parade/a.jpg", 50, 1, 0, 0, 0, 0, 1), face("0--Parade/a.jpg", 20, 0, 1, 1, 1, 1, 0)]
    test = [face("37--Soccer/b.jpg", 9, 0, 0, 0, 1, 0, 0), face("0--Parade/c.jpg", 9, *[0] * 6)]
    lists = {
        f"WFLW_annotations/x/list_98pt_rect_attr_{n}.txt": "\n".join(v) for n, v in (("train", train), ("test", test))
    }
    tree(tmp_path, "WFLW_images/0--Parade/a.jpg", "WFLW_images/37--Soccer/b.jpg", **lists)
    found = listing("wflw", tmp_path)
    assert splits(found) == {"WFLW_images/0--Parade/a.jpg": "train", "WFLW_images/37--Soccer/b.jpg": "test"}
    row = {"pose": 1, "expression": 0, "illumination": 0, "make_up": 0, "occlusion": 0, "blur": 1}
    assert labels(found, "WFLW_images/0--Parade/a.jpg") == row, "of the larger face"
    assert list(aside(found, "left out")) == ["0--Parade/c.jpg"]
    assert "1 faces are in an image with a larger one" in notes(found) and "10000" in notes(found)
    tree(tmp_path, **{"WFLW_annotations/x/list_98pt_rect_attr_test.txt": face("0--Parade/a.jpg", 9, *[0] * 6)})
    assert splits(listing("wflw", tmp_path))["WFLW_images/0--Parade/a.jpg"] == "test"
    tree(tmp_path, **{"WFLW_annotations/x/list_98pt_rect_attr_test.txt": "1 2 3\n"})
    with pytest.raises(ValueError, match="a line of 3 words, not 207"):
        listing("wflw", tmp_path)
