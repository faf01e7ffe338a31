"""No frame is lost: N frames give N rows of landmarks, whatever the container, rotation, rate or length."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from datasets import load_dataset

from preface_hf.prepare.run import prepare
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import encode_video
from tests.media import SHARED, face_points, pattern, remux, rotated, write_video


pytest.importorskip("cv2")
CODECS = {
    "h264.mp4": "libx264",
    "matroska.mkv": "libx264",
    "quicktime.mov": "libx264",
    "transport.ts": "libx264",
    "program.mpg": "mpeg1video",
    "divx.avi": "mpeg4",
    "flash.flv": "flv",
    "windows.wmv": "wmv2",
    "vp8.webm": "libvpx",
    "vp9.webm": "libvpx-vp9",
    "hevc.mkv": "libx265",
    "av1.mp4": "libsvtav1",
}
WRITTEN = {name: codec for name, codec in CODECS.items() if codec in av.codecs_available}
TURNED = {90: "turned90.mp4", 180: "turned180.mp4", 270: "turned270.mp4"}
COUNTS = {
    **dict.fromkeys([*WRITTEN, *TURNED.values(), "turned.mkv", "uneven.mp4", "unevenly.mkv"], 30),
    "one.mp4": 1,
    "single.mkv": 1,
    "thousand.mp4": 1000,
}


def write_all(src: Path) -> None:
    """A video of each kind, and landmarks beside it that do not move."""
    frames = pattern(30, height=96, width=128)
    for name, codec in WRITTEN.items():
        write_video(src / name, frames, codec=codec)
    for degrees, name in TURNED.items():
        (src / name).write_bytes(rotated(encode_video(frames, 25), degrees))
    remux(src / TURNED[90], src / "turned.mkv")
    even = write_video(src.parent / "even.mp4", frames, bf="0")
    for name in ("uneven.mp4", "unevenly.mkv"):  # each frame stays a little longer than the one before
        remux(even, src / name, pts=lambda stamp: stamp + stamp**2 // 8000)
    write_video(src / "one.mp4", frames[:1])
    write_video(src / "single.mkv", frames[:1])
    write_video(src / "thousand.mp4", pattern(1000, height=96, width=96))
    for name, count in COUNTS.items():
        np.save((src / name).with_suffix(".npy"), np.tile(face_points((48, 46), 40), (count, 1, 1)))


def lines(out: Path) -> dict[str, dict]:
    return {row["source"]: row for row in map(json.loads, (out / "report.jsonl").read_text().splitlines())}


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("containers")
    (place / "src").mkdir()
    write_all(place / "src")
    prepare(place / "src", place / "out", landmarker="given", crop_size=32)
    return place / "out"


@pytest.mark.parametrize("name", COUNTS)
def test_every_frame_has_its_landmarks(out: Path, name: str):
    line = lines(out)[name]
    assert (line["status"], line.get("frames"), line.get("frames_left_out")) == ("prepared", COUNTS[name], []), line
    rows = load_dataset(str(out), split="train").with_format("numpy")
    (row,) = (row for row in rows if row["source"] == name)
    assert row["landmarks"].shape == (COUNTS[name], 68, 2)
    assert row["num_frames"] == COUNTS[name] == open_video(row["video"]["bytes"]).num_frames


@pytest.mark.skipif(not (SHARED / "weights").is_dir() or not (SHARED / "faces").is_dir(), reason="no ../shared")
def test_every_frame_of_a_real_face_in_every_container(tmp_path: Path):
    frames = open_video(SHARED / "faces/marlin_clips/cropped04.mp4").frames(range(12))
    (tmp_path / "src").mkdir()
    for name, codec in WRITTEN.items():
        write_video(tmp_path / "src" / name, frames, codec=codec, **({"b": "4M"} if codec != "libsvtav1" else {}))
    upright = np.ascontiguousarray(np.rot90(frames, 1, axes=(1, 2)))
    (tmp_path / "src/turned90.mp4").write_bytes(rotated(encode_video(upright, 25)))
    remux(tmp_path / "src/turned90.mp4", tmp_path / "src/turned.mkv")
    remux(tmp_path / "src/h264.mp4", tmp_path / "src/uneven.mkv", pts=lambda stamp: stamp * 3)
    prepare(tmp_path / "src", tmp_path / "out", weights=SHARED / "weights", detect_every=6)
    for name, line in lines(tmp_path / "out").items():
        assert (line.get("frames"), line.get("frames_left_out")) == (12, []), (name, line)
    points = load_dataset(str(tmp_path / "out"), split="train").with_format("numpy")["landmarks"]
    assert max(np.abs(row - points[0]).mean() for row in points) < 6, "all see the same face"
