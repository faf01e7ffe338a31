"""The demo from end to end, small: every step runs, and its table is complete."""

import numpy as np
import pytest

from preface_hf.demo import run
from preface_hf.demo.run import HELD_OUT, SEEN, drawn_clips, run_demo
from preface_hf.synthetic import draw_clip
from preface_hf.training.arguments import load_arguments
from preface_hf.video.encoding import encode_video


def test_test_people_and_expressions_are_held_out():
    clips = drawn_clips(people=10, test_people=4)
    train, test = ([clip for clip in clips if clip.split == split] for split in ("train", "test"))
    assert {clip.identity for clip in train}.isdisjoint(clip.identity for clip in test)
    assert {clip.expression for clip in train} == set(SEEN) and {clip.expression for clip in test} == set(HELD_OUT)
    assert (len(train), len(test)) == (20, 48)


@pytest.fixture
def one_process(monkeypatch):
    """Preparing and loading in this process, for starting others takes longer than what is tested."""
    monkeypatch.setattr(run, "WORKERS", 1)
    monkeypatch.setattr(run, "load_arguments", lambda file, flags: load_arguments(file, {**flags, "num_workers": 0}))


def test_the_demo_runs(reports, one_process, tmp_path, capsys):
    run_demo(tmp_path / "demo", people=4, test_people=2, max_steps=2)
    out = capsys.readouterr().out
    assert "drawing 32 videos of 6 people" in out and f"demo --page --output-dir {tmp_path / 'demo'}\n" in out
    for word in ("pixels", "random encoder", "pretrained encoder", "chance", "identity", "expression"):
        assert word in out
    assert (tmp_path / "demo/drawn/features.parquet").exists()
    assert (tmp_path / "demo/drawn/prepared/preview.png").exists()
    assert (tmp_path / "demo/drawn/run/report.html").exists()
    with pytest.raises(ValueError, match="holds a demo already"):
        run_demo(tmp_path / "demo")


@pytest.mark.slow
def test_the_demo_finds_faces_in_a_few_videos_without_weights(reports, tmp_path, capsys):
    """Drawn faces in wider pictures, without landmarks beside them; too few videos for a probe."""
    (tmp_path / "videos").mkdir()
    for person in range(8):
        clip = draw_clip(person, "neutral", seed=person, num_frames=8, size=96)
        frames = np.pad(clip.frames, ((0, 0), (12, 12), (20, 60), (0, 0)), constant_values=90)
        (tmp_path / "videos" / f"{person}.mp4").write_bytes(encode_video(frames, 25))
    run_demo(tmp_path / "demo", tmp_path / "videos", max_steps=2)
    out = capsys.readouterr().out
    assert "No probe: " in out and "report.html" in out
    assert "by the landmarker `builtin`" in (tmp_path / "demo/faces/prepared/README.md").read_text()
