import json
from pathlib import Path

from preface_hf.recipes import subject_split
from tests.recipes.trees import aside, labels, listing, notes, splits, tree


def test_crema_d(tmp_path: Path):
    people = "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,Caucasian,Not Hispanic\n"
    tree(tmp_path, "VideoFlash/1001_DFA_ANG_XX.flv", "VideoFlash/1040_ITH_SAD_X.flv", "VideoFlash/intro.flv",
         "AudioWAV/1001_DFA_ANG_XX.wav", **{"VideoDemographics.csv": people})  # fmt: skip
    found = listing("crema-d", tmp_path)
    assert splits(found) == {
        "VideoFlash/1001_DFA_ANG_XX.flv": subject_split("1001"),
        "VideoFlash/1040_ITH_SAD_X.flv": subject_split("1040"),
    }
    first = {"actor": "1001", "sentence": "DFA", "emotion": "anger", "level": "unspecified", "age": 51, "sex": "male"}
    assert labels(found, "VideoFlash/1001_DFA_ANG_XX.flv") == first
    assert labels(found, "VideoFlash/1040_ITH_SAD_X.flv")["age"] is None
    assert list(aside(found, "ignored")) == ["VideoFlash/intro.flv"] and "7442" in notes(found)


def test_ravdess(tmp_path: Path):
    twin, alone = "Actor_02/02-01-06-02-02-01-02.mp4", "Actor_03/02-02-03-01-01-02-03.mp4"
    tree(
        tmp_path,
        "Actor_02/01-01-06-02-02-01-02.mp4",
        twin,
        alone,
        "Actor_02/03-01-06-01-02-01-02.wav",
        "Actor_02/01-01-09-01-01-01-02.mp4",
    )
    found = listing("ravdess", tmp_path)
    assert list(splits(found)) == ["Actor_02/01-01-06-02-02-01-02.mp4", alone]
    row = {"actor": "02", "emotion": "fearful", "intensity": "strong", "channel": "speech", "statement": "dogs"}
    assert labels(found, "Actor_02/01-01-06-02-02-01-02.mp4") == {**row, "sex": "female", "repetition": 1}
    assert labels(found, alone)["channel"] == "song" and labels(found, alone)["sex"] == "male"
    assert "1 clips without sound are set aside" in notes(found)
    assert list(aside(found, "ignored")) == ["Actor_02/01-01-09-01-01-01-02.mp4"], "there is no ninth emotion"


def test_ravdess_actors_reach_every_split():
    found = {(subject_split(f"{actor:02d}"), actor % 2) for actor in range(1, 25)}
    assert found == {(split, sex) for split in ("train", "validation", "test") for sex in (0, 1)}


def test_mead(tmp_path: Path):
    names = ["M003/video/front/angry/level_1/001.mp4", "M003/video/left_30/neutral/level_1/002.mp4"]
    tree(
        tmp_path, *names, "W009/video/top/sad/level_3/010.mp4", "M003/video/front/angry/notes.mp4", "M003/audio/a.m4a"
    )
    found = listing("mead", tmp_path)
    assert list(splits(found)) == [*names, "W009/video/top/sad/level_3/010.mp4"]
    assert labels(found, names[1]) == {
        "subject": "M003", "view": "left_30", "emotion": "neutral", "sex": "male", "level": 1,
    }  # fmt: skip
    assert splits(found)[names[0]] == splits(found)[names[1]] == subject_split("M003")
    inside = listing("mead", tmp_path / "W009")
    assert labels(inside, "video/top/sad/level_3/010.mp4")["subject"] == "W009"


def test_mead_on_a_real_name(shared: Path):
    found = listing("mead", shared / "faces/mead_eamm")
    row = {"subject": "M030", "view": None, "emotion": "sad", "sex": "male", "level": 3}
    assert [(item.source, item.labels) for item in found.items] == [("M030_sad_3_001.mp4", row)]
    assert set(aside(found, "ignored")) == {"contempt.mp4", "fear.mp4", "surprised.mp4"}


FFPP = [
    "original_sequences/youtube/c23/videos/071.mp4",
    "original_sequences/youtube/c23/videos/054.mp4",
    "manipulated_sequences/Deepfakes/c23/videos/071_054.mp4",
    "manipulated_sequences/Face2Face/c40/videos/054_071.mp4",
    "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__exit__YVGY8LOK.mp4",
]


def test_faceforensics_with_the_official_lists(tmp_path: Path):
    tree(tmp_path, *FFPP, "manipulated_sequences/Deepfakes/masks/videos/071_054.mp4", "downloaded_videos/a.mp4")
    lists = {"train": [["000", "001"]], "val": [["071", "054"]], "test": [["003", "004"]]}
    tree(tmp_path, **{f"splits/{name}.json": json.dumps(pairs) for name, pairs in lists.items()})
    found = listing("faceforensics", tmp_path)
    assert splits(found) == {**dict.fromkeys(FFPP[:4], "validation"), FFPP[4]: None}
    row = {"label": "fake", "method": "Deepfakes", "compression": "c23", "target_id": "071", "source_id": "054"}
    assert labels(found, FFPP[2]) == row
    assert labels(found, FFPP[0]) == {**row, "label": "real", "method": "original", "source_id": None}
    assert labels(found, FFPP[4])["target_id"] is None
    assert list(aside(found, "ignored")) == ["downloaded_videos/a.mp4"]
    assert "2 videos of original c23 found, the owners state 1000" in notes(found)


def test_faceforensics_without_lists_keeps_pairs_together(tmp_path: Path):
    pairs = [(f"{n:03d}", f"{n + 500:03d}") for n in range(60)]
    tree(tmp_path, *(f"original_sequences/youtube/c23/videos/{p}.mp4" for pair in pairs for p in pair))
    tree(tmp_path, *(f"manipulated_sequences/FaceSwap/c23/videos/{b}_{a}.mp4" for a, b in pairs))
    by_person = {Path(source).stem: split for source, split in splits(listing("faceforensics", tmp_path)).items()}
    assert all(by_person[a] == by_person[b] == by_person[f"{b}_{a}"] for a, b in pairs)
    assert set(by_person.values()) == {"train", "validation", "test"}


def test_faceforensics_on_real_files(shared: Path):
    found = listing("faceforensics", shared / "faces/deepfake_ffpp_dfdc/icpr2020dfdc")
    kinds = {Path(item.source).stem: (item.labels["label"], item.labels["method"]) for item in found.items}
    assert kinds == {
        "519": ("real", "original"), "634": ("real", "original"), "519_515": ("fake", "Deepfakes"),
        "750_743": ("fake", "Face2Face"), "634_660": ("fake", "FaceSwap"),
    }  # fmt: skip
    by_person = {Path(source).stem: split for source, split in splits(found).items()}
    assert by_person["519"] == by_person["519_515"] and by_person["634"] == by_person["634_660"]
    assert {Path(source).stem for source in aside(found, "ignored")} == {"yhffcuhhjy", "lynaeydofd"}


def test_dfdc(tmp_path: Path):
    table = {
        "fake.mp4": {"label": "FAKE", "split": "train", "original": "real.mp4"},
        "real.mp4": {"label": "REAL", "split": "train"},
        "lost.mp4": {"label": "REAL", "split": "train"},
    }
    part = "dfdc_train_part_0"
    tree(
        tmp_path,
        f"{part}/fake.mp4",
        f"{part}/real.mp4",
        f"{part}/new.mp4",
        **{f"{part}/metadata.json": json.dumps(table)},
    )
    found = listing("dfdc", tmp_path)
    assert labels(found, f"{part}/fake.mp4") == {"label": "fake", "original": "real.mp4"}
    assert labels(found, f"{part}/real.mp4") == {"label": "real", "original": "real.mp4"}, "a group with its fakes"
    assert labels(found, f"{part}/new.mp4") == {"label": None, "original": None}
    drawn = splits(found)
    assert drawn[f"{part}/fake.mp4"] == drawn[f"{part}/real.mp4"] == subject_split("real.mp4")
    assert list(aside(found, "left out")) == [f"{part}/lost.mp4"] and "119154" in notes(found)
    table |= {"t.mp4": {"is_fake": 1, "split": "test"}}
    tree(tmp_path, f"{part}/t.mp4", **{f"{part}/metadata.json": json.dumps(table)})
    found = listing("dfdc", tmp_path)
    assert splits(found)[f"{part}/fake.mp4"] == "train" and splits(found)[f"{part}/t.mp4"] == "test"
    assert labels(found, f"{part}/t.mp4")["label"] == "fake"
