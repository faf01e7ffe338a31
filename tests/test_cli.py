"""The command line as users run it: real processes, exit codes, one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from preface_hf.cli import main


ROOT = Path(__file__).parents[1]


def run(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "preface_hf", *map(str, arguments)], capture_output=True, text=True, cwd=cwd
    )


def refused(capsys, *arguments):
    """Exit code 2 and one line on stderr, which is returned."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    errors = capsys.readouterr().err
    assert stop.value.code == 2, errors
    assert "Traceback" not in errors
    line = errors.strip().splitlines()[-1]
    assert line.startswith("preface-hf: ")
    return line


@pytest.mark.parametrize("command", ["prepare", "curate", "pretrain", "extract", "predict", "probe", "report", "demo"])
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"preface-hf {command}" in " ".join(capsys.readouterr().out.split())


def test_the_whole_path_from_the_command_line(drawn_videos, tiny_settings, tmp_path, capsys):
    """The first and the third step are processes of their own; a run of `pretrain` is one in tests/training."""
    (tmp_path / "videos").mkdir()
    video = sorted(drawn_videos.glob("*.mp4"))[0]
    (tmp_path / "videos" / video.name).write_bytes(video.read_bytes())
    settings = tmp_path / "run.yaml"
    settings.write_text(yaml.safe_dump({k: v for k, v in tiny_settings.items() if k != "data"}))
    steps = [
        ("prepare", drawn_videos, tmp_path / "set", "--landmarker", "given", "--crop-size", 64, "--preview"),
        ("pretrain", "--data", tmp_path / "set", "--output-dir", tmp_path / "run", "--config", settings,
         "--max-steps", 3),
        ("extract", tmp_path / "run/final", tmp_path / "videos", tmp_path / "features.parquet"),
        ("probe", tmp_path / "run/final", "--data", tmp_path / "set", "--label", "expression", "--group", "identity",
         "--folds", 2),
    ]  # fmt: skip
    for number, step in enumerate(steps):
        if number % 2 == 0:
            result = run(*step)
            assert result.returncode == 0, result.stderr
            continue
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in step])
        assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "pretrained encoder" in said and "chance" in said
    assert (tmp_path / "set/preview.png").exists() and (tmp_path / "features.parquet").exists()


def test_prepare_refuses(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "no_video.mp4").write_text("hello")
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/notes.txt").write_text("mine")
    given = ("--landmarker", "given")
    assert "nowhere" in refused(capsys, "prepare", tmp_path / "nowhere", tmp_path / "out", *given)
    assert "empty" in refused(capsys, "prepare", tmp_path / "empty", tmp_path / "out", *given)
    for name in ("no_video.mp4", "zero.mp4"):
        assert name in refused(capsys, "prepare", tmp_path / name, tmp_path / f"out {name}", *given)
    assert "taken" in refused(capsys, "prepare", tmp_path / "zero.mp4", tmp_path / "taken", *given)
    assert (tmp_path / "taken/notes.txt").read_text() == "mine"
    prepare = ("prepare", tmp_path / "zero.mp4", tmp_path / "out2")
    assert "--weights" in refused(capsys, *prepare, "--landmarker", "onnx")
    assert "--weights" in refused(capsys, *prepare, "--weights", tmp_path / "nowhere")
    line = refused(capsys, *prepare, "--weights", tmp_path / "empty")
    assert "no YuNet detector" in line and str(tmp_path / "empty") in line
    assert not (tmp_path / "out2").exists()
    assert "sideways" in refused(capsys, "prepare", tmp_path, tmp_path / "out3", "--landmarker", "sideways")


def test_a_video_without_a_face(capsys, tmp_path, shared):
    import numpy as np

    from preface_hf.video.encoding import encode_video

    noise = np.random.default_rng(0).integers(0, 255, (10, 64, 64, 3), dtype=np.uint8)
    (tmp_path / "noise.mp4").write_bytes(encode_video(noise, 25))
    line = refused(capsys, "prepare", tmp_path / "noise.mp4", tmp_path / "out", "--weights", shared / "weights")
    assert "noise.mp4" in line and "report.jsonl" in line


def test_pretrain_refuses(capsys, prepared, tmp_path):
    def pretrain(text, *flags, output="run"):
        (tmp_path / "run.yaml").write_text(text)
        options = ("--data", prepared, "--output-dir", tmp_path / output, "--config", tmp_path / "run.yaml")
        return refused(capsys, "pretrain", *options, *flags)

    assert "did you mean 'batch_size'" in pretrain("batch_sise: 4")
    assert "num_frames=7" in pretrain("size: vit-t\nmodel: {num_frames: 7}")
    assert "weight -2.0 of 'more'" in pretrain("", "--data", "more=-2")
    assert "vit-xs" in pretrain("", "--size", "vit-xs")
    assert "cannot start from" in pretrain("size: vit-t", "--init-from", tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()
    assert "--data" in refused(capsys, "pretrain", "--output-dir", tmp_path / "run")
    assert "prepare" in refused(capsys, "pretrain", "--data", tmp_path / "no", "--output-dir", tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/keep.txt").write_text("mine")
    assert "not empty" in pretrain("size: vit-t", output="other")
    assert (tmp_path / "other/keep.txt").read_text() == "mine"


def test_an_unknown_flag_is_a_usage_error():
    result = run("prepare", "a", "b", "--crop_sise", 3)
    assert result.returncode == 2 and "--crop_sise" in result.stderr
