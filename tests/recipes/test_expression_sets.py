from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preface_hf.recipes import subject_split
from preface_hf.video.decoding import open_video
from tests.recipes.trees import aside, labels, listing, notes, splits, tree


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PREFACE_HF_CACHE", str(place))
    return place


def pictures(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (32, 24), 90).save(root / name)


def test_ck_plus_sequences(tmp_path: Path):
    first = [f"cohn-kanade-images/S005/001/S005_001_{n:08d}.png" for n in (1, 2, 11)]
    pictures(tmp_path, *first, "cohn-kanade-images/S010/002/S010_002_00000001.png")
    tree(tmp_path, **{"Emotion/S005/001/S005_001_00000011_emotion.txt": "   3.0000000e+00\n"})
    found = listing("ck-plus", tmp_path)
    assert splits(found) == {"S005/S005_001.mp4": subject_split("S005"), "S010/S010_002.mp4": subject_split("S010")}
    assert labels(found, "S005/S005_001.mp4") == {"subject": "S005", "sequence": "S005_001", "emotion": "disgust"}
    assert labels(found, "S010/S010_002.mp4")["emotion"] is None
    assert open_video(Path(found.root, "S005/S005_001.mp4")).num_frames == 3
    assert "1 sequences with an emotion found, the owners state 327" in notes(found)
    peaks = listing("ck-plus", tmp_path, "image")
    assert (
        list(splits(peaks)) == [first[2], "cohn-kanade-images/S010/002/S010_002_00000001.png"] and peaks.root is None
    )
    assert labels(peaks, first[2])["emotion"] == "disgust"


def test_ck_plus_on_real_images_in_folders(shared: Path):
    found = listing("ck-plus", shared / "faces/ckplus48")
    assert len(found.items) == 750 and found.root is None
    table = (shared / "faces/ckplus48/labels.csv").read_text().splitlines()[1:]
    stated = {
        name: (emotion, subject, sequence) for name, emotion, subject, sequence, _ in (x.split(",") for x in table)
    }
    assert all(stated[i.source] == tuple(i.labels[k] for k in ("emotion", "subject", "sequence")) for i in found.items)
    by_subject = {}
    for item in found.items:
        by_subject.setdefault(item.labels["subject"], set()).add(item.split)
    assert all(len(found) == 1 for found in by_subject.values()) and len(by_subject) == 88


def test_fer2013_pixels_become_images(tmp_path: Path, cache: Path):
    pixels = " ".join(str(n % 251) for n in range(2304))
    table = (
        f"emotion,pixels,Usage\n3,{pixels},Training\n0,{pixels},PublicTest\n6,{pixels},PrivateTest\n1,1 2 3,Training\n"
    )
    found = listing("fer2013", tree(tmp_path, **{"fer2013.csv": table}))
    assert {i.source: (i.split, i.labels["emotion"]) for i in found.items} == {
        "Training/happy/00000.png": ("train", "happy"),
        "PublicTest/angry/00001.png": ("validation", "angry"),
        "PrivateTest/neutral/00002.png": ("test", "neutral"),
    }
    assert list(aside(found, "left out")) == ["Training/disgust/00003.png"]
    with Image.open(Path(found.root, "Training/happy/00000.png")) as picture:
        assert np.array_equal(np.asarray(picture).ravel(), np.arange(2304) % 251)
    assert "1 train images found, the owners state 28709" in notes(found) and cache in Path(found.root).parents


def test_fer2013_other_columns_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="columns emotion, pixels, Usage"):
        listing("fer2013", tree(tmp_path, **{"fer2013.csv": "a,b\n1,2\n"}))


def test_fer2013_folders(tmp_path: Path, shared: Path):
    tree(tmp_path, "train/Angry/im0.jpg", "test/sad/PublicTest_1.jpg", "test/sad/x.jpg", "test/odd/x.jpg")
    found = listing("fer2013", tmp_path)
    assert splits(found) == {
        "test/sad/PublicTest_1.jpg": "validation", "test/sad/x.jpg": "test", "train/Angry/im0.jpg": "train",
    }  # fmt: skip
    assert labels(found, "train/Angry/im0.jpg") == {"emotion": "angry"}
    assert list(aside(found, "ignored")) == ["test/odd/x.jpg"]
    real = listing("fer2013", shared / "faces/fer2013_subset")
    table = (shared / "faces/fer2013_subset/labels.csv").read_text().splitlines()[1:]
    stated = {name: (split, emotion) for name, split, emotion in (line.split(",") for line in table)}
    assert len(real.items) == 2105
    assert all(stated[item.source] == (item.split, item.labels["emotion"]) for item in real.items)


def test_raf_db(tmp_path: Path):
    lines = "train_00001.jpg 5\ntest_0001.jpg 7\ntrain_09999.jpg 1\n"
    tree(tmp_path, "basic/Image/aligned/train_00001_aligned.jpg", "basic/Image/aligned/test_0001_aligned.jpg",
         "basic/Image/aligned/test_0002_aligned.jpg", "basic/Image/original/train_00001.jpg",
         "compound/Image/aligned/train_0001_aligned.jpg",
         **{"basic/EmoLabel/list_patition_label.txt": lines})  # fmt: skip
    found = listing("raf-db", tmp_path)
    place = "basic/Image/aligned"
    assert splits(found) == {
        f"{place}/test_0001_aligned.jpg": "test", f"{place}/test_0002_aligned.jpg": None,
        f"{place}/train_00001_aligned.jpg": "train",
    }  # fmt: skip
    assert labels(found, f"{place}/train_00001_aligned.jpg") == {"emotion": "sadness"}
    assert labels(found, f"{place}/test_0001_aligned.jpg") == {"emotion": "neutral"}
    assert list(aside(found, "left out")) == ["train_09999.jpg"] and "12271" in notes(found)


def test_affectnet_npy(tmp_path: Path):
    tree(
        tmp_path, "train_set/images/0.jpg", "train_set/images/7.jpg", "val_set/images/2.jpg", "train_set/images/n.txt"
    )
    for place, values in {
        "train_set/annotations/0": ("3", "-0.5", "0.25"),
        "val_set/annotations/2": ("7", "-2", "-2"),
    }.items():
        (tmp_path / place).parent.mkdir(parents=True)
        for kind, value in zip(("exp", "val", "aro"), values, strict=True):
            np.save(tmp_path / f"{place}_{kind}.npy", np.array(value))
    found = listing("affectnet", tmp_path)
    assert list(splits(found).values()) == ["train", "train", "validation"]
    assert labels(found, "train_set/images/0.jpg") == {"emotion": "surprise", "valence": -0.5, "arousal": 0.25}
    assert labels(found, "train_set/images/7.jpg") == dict.fromkeys(found.columns)
    assert labels(found, "val_set/images/2.jpg") == {"emotion": "contempt", "valence": None, "arousal": None}
    assert "1 images have no annotation" in notes(found) and "287651" in notes(found)
    assert list(splits(listing("affectnet", tmp_path / "val_set")).values()) == ["validation"]


def test_affectnet_csv(tmp_path: Path):
    head = "subDirectory_filePath,face_x,facial_landmarks,expression,valence,arousal\n"
    train, val = f"{head}689/a.jpg,1,1;2,1,0.5,-0.1\n1/lost.jpg,1,,10,-2,-2\n", f"{head}9/b.JPG,1,,10,-2,-2\n"
    place = "Manually_Annotated_Images"
    tree(tmp_path, f"{place}/689/a.jpg", f"{place}/9/b.JPG", **{"training.csv": train, "validation.csv": val})
    found = listing("affectnet", tmp_path)
    assert splits(found) == {f"{place}/689/a.jpg": "train", f"{place}/9/b.JPG": "validation"}
    assert labels(found, f"{place}/689/a.jpg") == {"emotion": "happiness", "valence": 0.5, "arousal": -0.1}
    assert labels(found, f"{place}/9/b.JPG") == {"emotion": "no-face", "valence": None, "arousal": None}
    assert list(aside(found, "left out")) == ["1/lost.jpg"]
