"""Checkpoints that are not whole, and configurations that cannot be: one sentence each."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from preface_hf import PrefAceConfig, PrefAceForVideoClassification, PrefAceModel
from preface_hf.features.encoders import load_encoder
from preface_hf.modeling import PrefAceVideoProcessor


TINY = {"image_size": 16, "patch_size": 8, "num_frames": 4, "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 32}  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    PrefAceModel(PrefAceConfig(**TINY)).save_pretrained(tmp_path)
    PrefAceVideoProcessor().save_pretrained(tmp_path)
    return tmp_path


def refusal(checkpoint: Path) -> str:
    """What every way to open a checkpoint says of it, in one line."""
    said = []
    for open_it in (PrefAceModel.from_pretrained, PrefAceForVideoClassification.from_pretrained, load_encoder):
        with pytest.raises(ValueError) as refused:
            open_it(checkpoint)
        said.append(str(refused.value))
    assert all("\n" not in line for line in said)
    return said[0]


@pytest.mark.parametrize("length", [0, 5, 1000, 20_000])
def test_weights_that_are_cut(checkpoint, length):
    file = checkpoint / "model.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    assert "no whole checkpoint" in refusal(checkpoint)


@pytest.mark.parametrize("header", [b"\0" * 8, b"\xff" * 8, b"\1" + b"\0" * 7])
def test_a_header_that_lies(checkpoint, header):
    file = checkpoint / "model.safetensors"
    file.write_bytes(header + file.read_bytes()[8:])
    assert "no whole checkpoint" in refusal(checkpoint)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers(checkpoint, value):
    weights = load_file(checkpoint / "model.safetensors")
    weights["layers.1.mlp.fc1.bias"][3] = value
    save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    assert "layers.1.mlp.fc1.bias holds NaN or infinity" in refusal(checkpoint)


def test_weights_that_are_missing(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    del weights["layers.0.mlp.fc1.weight"], weights["layers.1.attention.q_proj.bias"]
    save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    sentence = refusal(checkpoint)
    assert "holds no layers.0.mlp.fc1.weight, layers.1.attention.q_proj.bias, which would start at random" in sentence
    _, info = PrefAceModel.from_pretrained(checkpoint, output_loading_info=True)
    assert len(info["missing_keys"]) == 2


def test_the_head_of_another_class_may_be_new(checkpoint):
    model = PrefAceForVideoClassification.from_pretrained(checkpoint, num_labels=3)
    again = PrefAceModel.from_pretrained(checkpoint)
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, model.preface.state_dict()[name])


BAD = [
    ("layer_norm_eps", -1.0), ("layer_norm_eps", 0.0), ("layer_norm_eps", math.nan), ("num_hidden_layers", 0),
    ("num_hidden_layers", -1), ("num_hidden_layers", 2**40), ("num_prototypes", 0), ("facefeat_size", -1),
    ("projector_hidden_size", 2**40), ("hidden_dropout_prob", 1.5), ("initializer_range", math.inf),
    ("hidden_size", "many"), ("num_channels", [1, 2]), ("use_final_norm", {}), ("hidden_act", "nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_configuration_that_cannot_be(checkpoint, name, value):
    file = checkpoint / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), name: value}), encoding="utf-8")
    assert name in refusal(checkpoint)
    with pytest.raises(ValueError, match=name):
        PrefAceConfig.from_preset("vit-t", **{name: value})


@pytest.mark.parametrize("text", ["", "0", "[]", "null", "{", "\0", '"config"', "[" * 50_000])
def test_a_configuration_that_is_none(checkpoint, text):
    (checkpoint / "config.json").write_text(text, encoding="utf-8")
    for open_it in (PrefAceModel.from_pretrained, load_encoder, PrefAceConfig.from_pretrained):
        with pytest.raises((ValueError, OSError)):
            open_it(checkpoint)
