"""The examples run as they are."""

import importlib.util
from pathlib import Path

import pytest
import torch
from transformers import pipeline

from preface_hf import PrefAceConfig, PrefAceForPreTraining, PrefAceModel, PrefAceVideoProcessor
from preface_hf.objectives.base import part
from tests.modeling_common import TINY


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
    assert "0 loss" in model and "1 loss" in model and "pretrained encoder" in model and "128 wide" in model
    folder = Path(model.strip().split()[-1]).parent
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    published = PrefAceForPreTraining.from_pretrained(folder / "model").state_dict()
    taught = {name.removeprefix("model."): value for name, value in part(checkpoint["objective"], "teacher").items()}
    assert checkpoint["step"] == 2 and all(torch.equal(published[name], taught[name]) for name in taught)


def test_pretrain_on_drawn_faces(tmp_path, capsys):
    load("pretrain_on_drawn_faces").main(str(tmp_path / "drawn"), people=30, max_steps=1)
    assert "pretrained encoder" in capsys.readouterr().out
    published = PrefAceForPreTraining.from_pretrained(tmp_path / "drawn/run/final")
    assert published.config.pretraining_method == "pros" and published.config.num_frames == 2


def test_video_features(model, drawn_videos, capsys):
    folder = model.strip().split()[-1]
    load("video_features").main(folder, str(next(drawn_videos.glob("*.mp4"))))
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 3 and "0.00 s to   0.32 s: (128,)" in lines[0]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    config = PrefAceConfig(**TINY)
    PrefAceModel(config).save_pretrained(folder)
    PrefAceVideoProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, num_frames=4
    ).save_pretrained(folder)
    return folder


def test_finetune_lora(checkpoint, drawn_videos, tmp_path, capsys):
    for number, file in enumerate(sorted(drawn_videos.glob("*.mp4"))[:6]):
        folder = tmp_path / "videos" / ("first", "second")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).write_bytes(file.read_bytes())
    load("finetune_lora").main(str(checkpoint), str(tmp_path / "videos"), str(tmp_path / "out"), steps=3, batch_size=3)
    assert "trainable params" in capsys.readouterr().out
    assert (tmp_path / "out/adapter_model.safetensors").exists()
    classify = pipeline("video-classification", model=str(tmp_path / "out/merged"))
    assert {row["label"] for row in classify(str(next(drawn_videos.glob("*.mp4"))))} == {"first", "second"}


def test_export_onnx(checkpoint, tmp_path, capsys):
    pytest.importorskip("onnxscript")
    load("export_onnx").main(str(checkpoint), str(tmp_path / "model.onnx"))
    differences = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines() if "difference" in line]
    assert len(differences) == 2 and max(differences) < 1e-4
