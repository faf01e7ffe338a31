"""`preface-hf sync`: offsets and speakers of videos, and what it refuses in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from preface_hf.cli import main
from preface_hf.synthetic import SAMPLE_RATE, draw_clip
from preface_hf.synthetic.writing import add_sound
from preface_hf.tasks.sync import speakers
from preface_hf.tasks.sync.experts import open_expert
from preface_hf.tasks.sync.offsets import LOUDNESS
from preface_hf.tasks.sync.speakers import sync
from preface_hf.video.encoding import encode_video
from tests.media import pattern
from tests.test_cli import refused


@pytest.fixture(scope="module")
def people():
    """Two drawn people of 50 frames, and the points of both."""
    return [draw_clip(person, "neutral", 40 + person, 50, 96, sound=True) for person in (1, 3)]


class Known:
    """A landmarker that knows the faces of a video in which `clips` stand side by side."""

    batch_size = 8

    def __init__(self, clips):
        size = clips[0].frames.shape[1]
        self.points = np.stack(
            [clip.landmarks + [size * n, 0] for n, clip in enumerate(clips)], axis=1
        )  # (F, N, 68, 2)
        self.count, self.known = 0, {}

    def detect(self, frame):
        points = self.points[min(self.count, len(self.points) - 1)]
        boxes = np.concatenate([points.min(axis=1), points.max(axis=1), np.ones((len(points), 1))], axis=1)
        self.known |= {tuple(box[:4].astype(np.float32)): one for box, one in zip(boxes, points, strict=True)}
        self.count += 1
        return boxes

    def landmarks(self, frames, boxes):
        return np.stack([self.known[tuple(np.asarray(box, np.float32))] for box in boxes]).astype(np.float32)


@pytest.fixture
def seen(people, monkeypatch):
    """Videos whose faces are found where they were drawn."""
    monkeypatch.setattr(speakers, "load_landmarker", lambda *_: Known(people))


def write(file: Path, people, sound) -> Path:
    frames = np.concatenate([clip.frames for clip in people], axis=2)
    file.write_bytes(add_sound(encode_video(frames, 25.0), sound, SAMPLE_RATE))
    return file


@pytest.mark.parametrize("late", [0, 6, -4])
def test_who_speaks_and_how_late(people, seen, tmp_path, late):
    sound = np.roll(people[1].audio, late * SAMPLE_RATE // 25)
    rows = sync(write(tmp_path / "two.mp4", people, sound))
    assert [row.track for row in rows] == [0, 1] and {row.expert for row in rows} == {LOUDNESS}
    right = max(rows, key=lambda row: row.box[0])
    assert abs(right.offset - late) <= 1 and right.offset_seconds == right.offset / 25
    assert [row.speaks for row in rows] == [row is right for row in rows]
    assert 0 <= right.start_seconds < right.end_seconds == pytest.approx(2.0)


def test_other_frame_and_sample_rates(monkeypatch, tmp_path):
    """30 frames and 8000 samples a second, as of a telephone."""
    clip = draw_clip(1, "neutral", 41, 60, 96, fps=30.0, sound=True)
    monkeypatch.setattr(speakers, "load_landmarker", lambda *_: Known([clip]))
    sound = clip.audio.reshape(-1, 2).mean(axis=1)
    (tmp_path / "call.mp4").write_bytes(add_sound(encode_video(clip.frames, 30.0), sound, 8000))
    (row,) = sync(tmp_path / "call.mp4")
    assert abs(row.offset) <= 1 and row.speaks and row.end_seconds == pytest.approx(2.0)


def test_a_table_and_json(people, seen, tmp_path, capsys):
    file = write(tmp_path / "two.mp4", people, people[0].audio)
    for arguments in ([], ["--json"]):
        with pytest.raises(SystemExit) as stop:
            main(["sync", str(file), *arguments])
        assert stop.value.code == 0
    table, _, found = capsys.readouterr().out.partition("\n[")
    assert "confidence" in table and table.count("yes") == 1 and "sound is late" in table
    rows = json.loads(f"[{found}")
    assert [set(row) >= {"offset", "confidence", "speaks"} for row in rows] == [True, True]


def test_an_expert_says_whether_they_belong_together(spoken, tmp_path, people, seen):
    from preface_hf import PrefAceSyncConfig, PrefAceSyncModel

    PrefAceSyncModel(PrefAceSyncConfig()).save_pretrained(tmp_path / "expert")
    rows = sync(write(tmp_path / "two.mp4", people, people[0].audio), tmp_path / "expert")
    assert {row.expert for row in rows} == {str(tmp_path / "expert")} and all(row.offset is not None for row in rows)
    expert = open_expert(tmp_path / "expert")
    model = expert.fits.args[0]
    model.logit_bias.data.fill_(100.0)
    found = type("Found", (), {"mean": np.zeros(31), "distances": np.ones((2, 31))})
    assert expert.fits(found)
    model.logit_bias.data.fill_(-100.0)
    assert not expert.fits(found)


def test_what_cannot_be_told_is_one_sentence(people, tmp_path, capsys, monkeypatch):
    quiet = tmp_path / "quiet.mp4"
    quiet.write_bytes(encode_video(people[0].frames, 25.0))
    assert "quiet.mp4 has no sound" in refused(capsys, "sync", quiet)
    assert "missing.mp4 is not a file" in refused(capsys, "sync", tmp_path / "missing.mp4")
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(add_sound(encode_video(pattern(20), 25.0), people[0].audio, SAMPLE_RATE))
    assert "no face stays in sight" in refused(capsys, "sync", empty)
    assert "there is no expert in" in refused(capsys, "sync", empty, "--model", tmp_path / "no")
    monkeypatch.setattr(speakers, "load_landmarker", lambda *_: Known(people))
    silent = write(tmp_path / "silent.mp4", people, np.zeros(2 * SAMPLE_RATE, np.float32))
    assert "is silent while a face is in sight" in refused(capsys, "sync", silent)


def test_a_face_in_sight_too_short_is_listed(people, tmp_path, monkeypatch, spoken):
    from preface_hf import PrefAceSyncConfig, PrefAceSyncModel

    short = [draw_clip(1, "neutral", 41, 10, 96, sound=True)]
    monkeypatch.setattr(speakers, "load_landmarker", lambda *_: Known(short))
    PrefAceSyncModel(PrefAceSyncConfig()).save_pretrained(tmp_path / "expert")
    (row,) = sync(write(tmp_path / "short.mp4", short, short[0].audio), tmp_path / "expert")
    assert row.offset is None and not row.speaks and "in sight for 0.40 seconds, 0.64 are needed" in row.reason
    speakers.print_speakers([row])
