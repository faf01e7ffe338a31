import json
from pathlib import Path

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


def frames(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (33, 24), (number * 40, 0, 0)).save(root / name)


def test_youtube_faces_frames_become_videos_once(tmp_path: Path, cache: Path):
    place = "frame_images_DB/Ann_Lee"
    frames(tmp_path, f"{place}/0/0.9.jpg", f"{place}/0/0.10.jpg", f"{place}/0/0.11.jpg", f"{place}/3/3.1.jpg")
    tree(tmp_path, f"{place}.labeled_faces.txt", "frame_images_DB/Bob/1/1.1.jpg")  # an empty image
    found = listing("youtube-faces", tmp_path)
    assert list(splits(found)) == ["Ann_Lee/0.mp4", "Ann_Lee/3.mp4"]
    assert labels(found, "Ann_Lee/3.mp4") == {"identity": "Ann_Lee", "video_number": "3"}
    assert set(splits(found).values()) == {subject_split("Ann_Lee")}
    assert "could not be written" in aside(found, "left out")["Bob/1.mp4"]
    file = Path(found.root, "Ann_Lee/0.mp4")
    video = open_video(file)
    assert (video.num_frames, video.fps) == (3, 24.0) and cache in file.parents
    red = [int(frame[..., 0].mean()) for frame in video]
    assert red == sorted(red) and red[2] > red[0] + 50, "frames in the order of their numbers"
    before = file.stat().st_mtime_ns
    assert listing("youtube-faces", tmp_path).root == found.root and file.stat().st_mtime_ns == before
    assert "the owners state 3425" in notes(found)
    frames(tmp_path, f"{place}/0/0.12.jpg")
    assert listing("youtube-faces", tmp_path).root != found.root
    assert len(listing("youtube-faces", tmp_path, "image").items) == 6


def test_voxceleb2(tmp_path: Path):
    meta = (
        "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev \nid00017 ,n1 ,f ,test \nid9 ,n2 ,f ,dev \n"
    )
    clips = ["dev/mp4/id00012/-2_x/00001.mp4", "test/mp4/id00017/abc/00002.mp4", "dev/mp4/notes.mp4"]
    tree(tmp_path, *clips, **{"vox2_meta.csv": meta})
    found = listing("voxceleb2", tmp_path)
    assert splits(found) == {clips[0]: "train", clips[1]: "test"}
    assert labels(found, clips[1]) == {"identity": "id00017", "youtube_id": "abc", "gender": "f"}
    assert list(aside(found, "ignored")) == ["dev/mp4/notes.mp4"]
    assert "1 speakers of vox2_meta.csv" in notes(found) and "1092009" in notes(found)
    inside = listing("voxceleb2", tmp_path / "test")
    assert splits(inside) == {"mp4/id00017/abc/00002.mp4": "test"}


def clip(video: str, emotion) -> dict:
    return {"ytb_id": video, "attributes": {"appearance": [0, 1], "action": [1], "emotion": emotion}}


@pytest.fixture
def celebvhq(tmp_path: Path) -> Path:
    parts = [("neutral", 0, 0.3), ("happy", 1.2, 3.2), ("neutral", 4, 5)]
    several = [{"emotion": name, "start_sec": start, "end_sec": end} for name, start, end in parts]
    clips = {
        "M2_x_1": clip("M2_x", {"sep_flag": False, "labels": "neutral"}),
        "M2_x_0": clip("M2_x", {"sep_flag": True, "labels": several}),
        "lost_0": clip("lost", {"sep_flag": False, "labels": "sad"}),
    }
    info = {"meta_info": {"appearance_mapping": ["Blurry", "Pale Skin"], "action_mapping": ["blow"]}, "clips": clips}
    return tree(
        tmp_path, "processed/M2_x_0.mp4", "processed/M2_x_1.mp4", "raw/M2_x.mp4",
        **{"celebvhq_info.json": json.dumps(info)},
    )  # fmt: skip


def test_celebv_hq(celebvhq: Path):
    found = listing("celebv-hq", celebvhq)
    assert splits(found) == dict.fromkeys(["processed/M2_x_0.mp4", "processed/M2_x_1.mp4"], subject_split("M2_x"))
    row = labels(found, "processed/M2_x_0.mp4")
    assert row == {"blurry": 0, "pale_skin": 1, "blow": 1, "emotion": "happy", "youtube_id": "M2_x"}
    assert labels(found, "processed/M2_x_1.mp4")["emotion"] == "neutral"
    assert list(aside(found, "left out")) == ["lost_0.mp4"]
    assert "1 videos are not named after a clip" in notes(found) and "35666" in notes(found)


def test_celebv_hq_takes_lists_of_splits(celebvhq: Path):
    tree(celebvhq, **{"train.txt": "M2_x_0\n", "val.txt": "M2_x_1.mp4\n"})
    assert list(splits(listing("celebv-hq", celebvhq)).values()) == ["train", "validation"]
