"""One file to rows: several people, long videos, damage, size limits; nothing is lost without a line that says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from preface_hf.faces.landmarkers import OnnxLandmarker
from preface_hf.prepare.options import TrackOptions
from preface_hf.prepare.records import FileRecord
from preface_hf.prepare.tracks import file_rows
from preface_hf.video.decoding import frame_size, open_video
from preface_hf.video.encoding import encode_video
from tests.media import SHARED, as_bytes, face_points, given_clip, pattern, write_timed, write_video


pytest.importorskip("cv2")


def rows(file: Path, landmarker=None, **options) -> tuple[list[dict], dict]:
    record = FileRecord(file.name)
    made = list(file_rows(file, landmarker, TrackOptions(**{"crop_size": 64, **options}), record))
    return made, record.prepared()


def test_a_long_video_is_several_rows_and_no_frame_is_lost(tmp_path: Path):
    points = given_clip(tmp_path, "long.mp4", frames=130)
    made, line = rows(tmp_path / "long.mp4", max_seconds=2)
    assert [row["num_frames"] for row in made] == [50, 50, 30]
    assert [row["track"] for row in made] == [0, 1, 2]
    assert [row["start_seconds"] for row in made] == [0.0, 2.0, 4.0]
    assert (line["frames"], line["frames_left_out"], line["reason"]) == (130, [], None)
    whole, _ = rows(tmp_path / "long.mp4")
    assert len(whole) == 1 and whole[0]["landmarks"].shape == (130, 68, 2) == points.shape
    for row in made:
        video = open_video(row["video"]["bytes"])
        assert video.num_frames == row["num_frames"] == len(row["landmarks"])


@pytest.mark.parametrize("crop", ["fixed", "per-frame"])
def test_other_crops_hold_the_face(tmp_path: Path, crop: str):
    given_clip(tmp_path, "a.mp4", frames=20)
    (row,), _ = rows(tmp_path / "a.mp4", crop=crop)
    assert row["landmarks"].min() > 0 and row["landmarks"].max() < 63


def test_tracks_of_low_quality_are_left_out_and_named(tmp_path: Path):
    given_clip(tmp_path, "a.mp4", frames=10)
    (row,), line = rows(tmp_path / "a.mp4")
    assert 0 < row["quality"] < 1 and line["tracks"][0]["quality"] == row["quality"]
    with pytest.raises(ValueError, match="quality is below min_quality=0.99"):
        rows(tmp_path / "a.mp4", min_quality=0.99)


def test_large_frames_are_refused_before_they_are_decoded(tmp_path: Path):
    file = write_video(tmp_path / "a.mp4", pattern(3, height=96, width=128))
    assert frame_size(file) == (96, 128)
    with pytest.raises(ValueError, match="frames of 128x96 pixels are over max_pixels=10000: raise it"):
        rows(file, max_pixels=10_000)
    (tmp_path / "b.png").write_bytes(as_bytes(np.zeros((16000, 16000), np.uint8), "png"))
    with pytest.raises(ValueError, match="frames of 16000x16000 pixels are over max_pixels=50000000"):
        rows(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(as_bytes(np.zeros((20000, 20000), np.uint8), "png"))
    with pytest.raises(ValueError, match="over max_pixels"):
        rows(tmp_path / "c.png")


def test_what_came_before_the_damage_is_kept(tmp_path: Path):
    given_clip(tmp_path, "a.mp4", frames=200)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    start = data.index(b"mdat") + len(data) * 3 // 4
    data[start : start + 3000] = bytes(3000)
    (tmp_path / "a.mp4").write_bytes(bytes(data))
    with pytest.raises(ValueError, match="damaged"):
        rows(tmp_path / "a.mp4")
    made, line = rows(tmp_path / "a.mp4", max_seconds=1)
    assert 1 <= len(made) < 7
    assert "what comes after is lost" in line["reason"] and "damaged" in line["reason"]


def test_a_file_that_disappears_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"gone\.mp4 is not a file"):
        rows(tmp_path / "gone.mp4")


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx"), ("a.avi", "mpeg4")])
@pytest.mark.parametrize("count", [1, 40])
def test_every_frame_of_every_container(tmp_path: Path, name: str, codec: str, count: int):
    file = write_video(tmp_path / name, pattern(count, height=180, width=240), codec=codec)
    np.save(file.with_suffix(".npy"), np.stack([face_points((100 + 0.5 * t, 90), 70) for t in range(count)]))
    (row,), line = rows(file)
    assert row["num_frames"] == len(row["landmarks"]) == line["frames"] == count and line["frames_left_out"] == []


def timed_file(file: Path, seconds: np.ndarray) -> Path:
    """A face that is shown at these seconds, with its landmarks beside it."""
    write_timed(file, pattern(len(seconds)), seconds, "libvpx" if file.suffix == ".webm" else "libx264")
    np.save(file.with_suffix(".npy"), np.stack([face_points((60 + t, 48), 40) for t in range(len(seconds))]))
    return file


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_an_uneven_rate_is_kept_in_seconds(tmp_path: Path, name: str):
    """The 16 frames last 0.96 seconds in every container, and the crop plays as they do."""
    seconds = np.array([*np.arange(4), *np.arange(12, 24)]) / 25
    (row,), _ = rows(timed_file(tmp_path / name, seconds))
    assert row["fps"] == pytest.approx(16 / 0.96, rel=2e-3) and row["start_seconds"] == 0
    assert row["frame_seconds"] == pytest.approx(seconds, abs=1e-3)
    assert open_video(row["video"]["bytes"]).times == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize("name", ["a.mkv", "a.webm"])
def test_a_header_that_lies_about_the_rate_hides_no_face(tmp_path: Path, name: str):
    """At the 1000 frames a second of the header, 100 frames would be a glimpse; it takes 8 seconds."""
    seconds = np.arange(100) / 12.5
    (row,), line = rows(timed_file(tmp_path / name, seconds), max_seconds=60)
    assert (row["num_frames"], row["frame_seconds"], line["tracks_left_out"]) == (100, None, [])
    assert row["fps"] == pytest.approx(12.5)
    parts, _ = rows(tmp_path / name, max_seconds=2)
    assert [part["num_frames"] for part in parts] == [25] * 4
    assert [part["start_seconds"] for part in parts] == pytest.approx([0, 2, 4, 6])


def test_a_track_begins_when_its_first_frame_is_shown(tmp_path: Path):
    seconds = 2 + np.array([*np.arange(10) * 0.04, *(0.4 + np.arange(20) * 0.1)])
    file = timed_file(tmp_path / "a.mkv", seconds)
    points = np.load(tmp_path / "a.npy")
    points[:14] = np.nan
    np.save(tmp_path / "a.npy", points)
    (row,), line = rows(file)
    assert row["start_seconds"] == pytest.approx(2.8) and row["frame_seconds"] is None
    assert row["fps"] == pytest.approx(10) and line["frames_left_out"] == [[0, 13]]


@pytest.fixture(scope="module")
def landmarker():
    if not (SHARED / "weights").is_dir() or not (SHARED / "faces").is_dir():
        pytest.skip("no ../shared")
    return OnnxLandmarker(SHARED / "weights")


@pytest.fixture(scope="module")
def two_people(landmarker) -> np.ndarray:
    """Two real clips side by side, 20 frames; then two others in their places, 15 frames."""
    clips = [
        open_video(SHARED / f"faces/marlin_clips/cropped0{number}.mp4").frames(range(15)) for number in (1, 2, 3, 4)
    ]
    first, second = (np.concatenate(pair, axis=2) for pair in (clips[:2], clips[2:]))
    return np.concatenate([first, first[-1:], first[-1:], first[-1:], first[-1:], first[-1:], second])


def test_two_people_and_a_cut_are_four_tracks(two_people, landmarker, tmp_path: Path):
    (tmp_path / "two.mp4").write_bytes(encode_video(two_people, 25))
    made, line = rows(tmp_path / "two.mp4", landmarker)
    assert [(track["start"], track["frames"]) for track in line["tracks"]] == [(0, 20), (0, 20), (20, 15), (20, 15)]
    assert [row["track"] for row in made] == [0, 1, 2, 3]
    assert all(row["landmarks"].min() > 0 and row["landmarks"].max() < 63 for row in made)


def test_detecting_every_third_frame_finds_nearly_the_same(landmarker):
    file = SHARED / "faces/marlin_clips/cropped01.mp4"
    (every,), _ = rows(file, landmarker, crop_size=224)
    (third,), _ = rows(file, landmarker, crop_size=224, detect_every=3)
    assert third["num_frames"] == every["num_frames"]
    eyes = np.linalg.norm(every["landmarks"][:, 36] - every["landmarks"][:, 45], axis=1).mean()
    apart = np.linalg.norm(third["landmarks"] - every["landmarks"], axis=-1).mean()
    assert apart < 0.03 * eyes
