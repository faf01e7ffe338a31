"""The examples run as they are."""

import importlib.util
from pathlib import Path

import pytest


EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        load("pretrain_preface").main(steps=2, batch_size=8)
    return out.getvalue()


def test_pretrain_preface(model):
    assert "0 loss" in model and "1 loss" in model and "128 wide" in model


def test_video_features(model, drawn_videos, capsys):
    folder = model.strip().split()[-1]
    load("video_features").main(folder, str(next(drawn_videos.glob("*.mp4"))))
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 3 and "0.00 s to   0.32 s: (128,)" in lines[0]
