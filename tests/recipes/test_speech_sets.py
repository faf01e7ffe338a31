from pathlib import Path

import pytest
from datasets import load_dataset

from preface_hf.prepare.run import prepare
from preface_hf.recipes import subject_split
from tests.media import given_clip
from tests.recipes.trees import aside, labels, listing, notes, splits, tree


def test_lrs2(tmp_path: Path):
    root = tmp_path / "mvlrs_v1"
    lists = {
        "train.txt": "55/00001\n",
        "val.txt": "55/00002\n",
        "test.txt": "63/00011 NF\n",
        "pretrain.txt": "7/1\n7/2\n",
    }
    text = {
        "main/55/00001.txt": "Text:  WHEN YOU'RE COOKING: CHIPS\nConf: 4\n",
        "pretrain/7/1.txt": "Text: A\nConf: x\n",
    }
    tree(root, "main/55/00001.mp4", "main/63/00011.mp4", "pretrain/7/1.mp4", "main/9/9.mp4", **lists, **text)
    found = listing("lrs2", tmp_path)
    ends = {source.removeprefix("mvlrs_v1/"): split for source, split in splits(found).items()}
    wanted = {
        "main/55/00001.mp4": "train",
        "main/63/00011.mp4": "test",
        "main/9/9.mp4": None,
        "pretrain/7/1.mp4": "pretrain",
    }
    assert ends == wanted
    assert labels(found, "mvlrs_v1/main/55/00001.mp4") == {"transcript": "WHEN YOU'RE COOKING: CHIPS", "confidence": 4}
    assert labels(found, "mvlrs_v1/pretrain/7/1.mp4") == {"transcript": "A", "confidence": None}
    assert set(aside(found, "left out")) == {"mvlrs_v1/main/55/00002.mp4", "mvlrs_v1/pretrain/7/2.mp4"}
    assert "1 media are not named in the lists" in notes(found) and "45839" in notes(found)
    assert len(listing("lrs2", root).items) == 4


ALIGN = (
    "0 24500 sil\n24500 30000 bin\n30000 35500 blue\n35500 36750 by\n36750 41000 f\n41000 5 two\n5 6 now\n6 7 sil\n"
)


def test_grid(tmp_path: Path):
    tree(tmp_path, "s1/bbaf2n.mpg", "s3/video/bbaf2n.mpg", "s3/video/pwij3p.mpg", "s3/intro.mpg",
         "s3/align/sbia1a.align", **{"s3/align/bbaf2n.align": ALIGN})  # fmt: skip
    found = listing("grid", tmp_path)
    assert splits(found) == {"s1/bbaf2n.mpg": "test", "s3/video/bbaf2n.mpg": "train", "s3/video/pwij3p.mpg": "train"}
    assert labels(found, "s1/bbaf2n.mpg") == {"speaker": "s1", "transcript": "bin blue at f two now"}
    assert labels(found, "s3/video/bbaf2n.mpg")["transcript"] == "bin blue by f two now", "of its own speaker's .align"
    assert labels(found, "s3/video/pwij3p.mpg")["transcript"] == "place white in j three please"
    assert list(aside(found, "ignored")) == ["s3/intro.mpg"]
    assert "1 .align files have no clip" in notes(found) and "33000" in notes(found)


def test_grid_through_prepare(tmp_path: Path):
    given_clip(tmp_path / "src", "s1/bbaf2n.mp4", frames=6)
    given_clip(tmp_path / "src", "s4/bbaf2n.mp4", frames=6)
    done = prepare(tmp_path / "src", tmp_path / "out", recipe="grid", landmarker="given", crop_size=32)
    assert done.splits == {"train": 1, "test": 1}
    assert load_dataset(str(tmp_path / "out"), split="test")[0]["speaker"] == "s1"


def test_grid_on_real_clips(shared: Path):
    found = listing("grid", shared / "faces/grid_s1")
    assert len(found.items) == 40 and {item.labels["speaker"] for item in found.items} == {"s1"}
    table = (shared / "faces/grid_s1/transcripts.csv").read_text().splitlines()[1:]
    stated = dict(line.split(",") for line in table)
    assert {Path(i.source).name: i.labels["transcript"] for i in found.items}.items() <= stated.items()
    found = listing("grid", shared / "faces/grid_lipnet_samples")
    table = (shared / "faces/grid_lipnet_samples/transcripts.csv").read_text().splitlines()[1:]
    assert {Path(i.source).name: i.labels["transcript"] for i in found.items} == dict(
        line.split(",") for line in table
    )
    assert {item.labels["speaker"] for item in found.items} == {None}


def write_csd(file: Path, videos: dict) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(file, "w") as store:
        for video, rows in videos.items():
            group = store.create_group(f"All Labels/data/{video}")
            group["intervals"] = [row[:2] for row in rows]
            group["features"] = [row[2:] for row in rows]


@pytest.fixture
def mosei(tmp_path: Path) -> Path:
    clips = [f"Videos/Segmented/Combined/{name}.mp4" for name in ("-a_b_0", "-a_b_1", "c_0", "late_4")]
    lines = "-a_b___0___0.5___4.25___hello\n-a_b___1___4.25___9.0___and ___ more\n-a_b___2___9.0___9.5___gone\n"
    texts = {
        "Transcript/Segmented/Combined/-a_b.txt": lines,
        "Transcript/Segmented/Combined/c.txt": "c___0___1___2___x\n",
    }
    write_csd(
        tmp_path / "CMU_MOSEI_Labels.csd",
        {
            "-a_b": [(4.25, 9, 1, 0, 0, 0, 0, 0, 2), (0.5, 4.25, -2, 0, 1, 0, 0, 0, 0), (9, 9.5, 3, 0, 0, 0, 0, 0, 0)],
            "c": [(3, 4, 1, 1, 1, 1, 1, 1, 1)],
        },
    )
    return tree(tmp_path, *clips, "Videos/Full/Combined/c.mp4", **texts)


def test_cmu_mosei_matches_clips_by_time(mosei: Path):
    found = listing("cmu-mosei", mosei)
    rows = {Path(item.source).stem: item.labels for item in found.items}
    assert list(rows) == ["-a_b_0", "-a_b_1", "c_0", "late_4"]
    assert (rows["-a_b_0"]["sentiment"], rows["-a_b_0"]["sad"]) == (-2, 1)
    assert (rows["-a_b_1"]["sentiment"], rows["-a_b_1"]["fear"]) == (1, 2)
    assert rows["-a_b_1"]["transcript"] == "and ___ more"
    assert rows["c_0"]["sentiment"] is None and rows["c_0"]["transcript"] == "x", "no interval at its time"
    assert rows["late_4"] == {**dict.fromkeys(found.columns), "youtube_id": "late"}
    assert list(aside(found, "left out")) == ["-a_b_2.mp4"]
    assert {Path(i.source).stem: i.split for i in found.items}["c_0"] == subject_split("c")
    assert "not the owners'" in notes(found)


def test_cmu_mosei_takes_the_owners_folds(mosei: Path):
    folds = "standard_train_fold=['-a_b']\nstandard_valid_fold=['c']\nstandard_test_fold=['late']\nraise SystemExit\n"
    tree(mosei, **{"cmu_mosei_std_folds.py": folds})
    found = listing("cmu-mosei", mosei)
    assert [item.split for item in found.items] == ["train", "train", "validation", "test"]


def test_cmu_mosei_without_h5py(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    tree(tmp_path, "CMU_MOSEI_Labels.csd", "Videos/Segmented/Combined/a_0.mp4")
    with pytest.raises(ValueError, match="pip install h5py"):
        listing("cmu-mosei", tmp_path)
