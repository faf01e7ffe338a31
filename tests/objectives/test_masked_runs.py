"""Whole runs of MARLIN and VideoMAE: resumed, shown, started from, and trained on from weights of others."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import VideoMAEConfig, VideoMAEForPreTraining

from preface_hf import PrefAceForPreTraining, PrefAceModel
from preface_hf.convert import convert
from preface_hf.convert.marlin import CRITIC_FILE
from preface_hf.features.extract import extract
from preface_hf.objectives.base import saved_state
from preface_hf.plan.table import show_plan
from preface_hf.training.arguments import PretrainArguments, build
from tests.conftest import tiny
from tests.marlin_weights import full_marlin
from tests.training.test_loop import assert_same, rows, run


@pytest.fixture
def masked(prepared):
    """Settings of a run of seconds of one method, which may be set to the other."""
    return {**tiny(prepared, "marlin"), "learning_rate": 0.005}


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize("method", ["marlin", "videomae"])
def test_it_trains_and_is_shown(method_settings, tmp_path, method, capsys):
    settings = {**method_settings, "max_steps": 2}
    final = run(settings, tmp_path / "run")
    saved = saved_state(tmp_path / "run/checkpoints/step-00000002")
    assert any(name.startswith("moments.hidden.weight") for name in saved) == (method == "marlin")
    logged = rows(tmp_path / "run")[0].keys()
    assert {"loss_reconstruction", "mean_color_error"} <= logged
    assert ("loss_critic" in logged) == (method == "marlin")
    text = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "Reconstructions" in text and "clip: reconstructed" in text and "tube: global" not in text
    assert extract(final, Path(settings["data"]), tmp_path / "features.parquet")["rows"] > 0
    opened = PrefAceForPreTraining.from_pretrained(final)
    assert opened.config.pretraining_method == method and opened.projector is None
    show_plan(build(PretrainArguments, {**settings, "output_dir": "x"}, "test"), "cpu-2", 100)
    printed = capsys.readouterr().out
    assert "decoder" in printed and "masked clips" in printed and "teacher" not in printed


def test_methods_start_from_each_others_checkpoints(masked, tiny_settings, tmp_path, capsys):
    run({**masked, "method": "marlin", "max_steps": 1}, tmp_path / "marlin")
    source = tmp_path / "marlin/checkpoints/step-00000001"
    capsys.readouterr()
    run({**masked, "method": "videomae", "max_steps": 1}, tmp_path / "videomae", init_from=str(source))
    assert f"the student starts from {source}." in capsys.readouterr().out
    run({**tiny_settings, "max_steps": 1}, tmp_path / "preface", init_from=str(source))
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "kept are the encoder; new are projector, prototypes, facefeat_projector; left behind are decoder." in printed
    )
    source = tmp_path / "preface/checkpoints/step-00000001"
    settings = {**masked, "method": "marlin", "max_steps": 1, "learning_rate": 0.0, "final_learning_rate": 0.0}
    final = run({**settings, "warmup_steps": 0}, tmp_path / "again", init_from=str(source))
    printed = " ".join(capsys.readouterr().out.split())
    assert "the critic starts anew" in printed and "kept are the encoder; new are decoder;" in printed
    ours, theirs = (PrefAceModel.from_pretrained(folder).state_dict() for folder in (final, source))
    assert_same(ours, theirs)


def test_videomae_of_transformers_trains_on(masked, tmp_path):
    model = masked["model"]
    config = VideoMAEConfig(**model, patch_size=8, tubelet_size=2)
    torch.manual_seed(0)
    VideoMAEForPreTraining(config).save_pretrained(tmp_path / "videomae")
    convert("videomae", tmp_path / "videomae", tmp_path / "converted")
    converted = PrefAceForPreTraining.from_pretrained(tmp_path / "converted")
    assert converted.config.pretraining_method == "videomae" and converted.decoder is not None
    more = {"layer_norm_eps": config.layer_norm_eps, "use_final_norm": False}
    settings = {**masked, "method": "videomae", "max_steps": 1, "model": {**model, **more}}
    run(settings, tmp_path / "run", init_from=str(tmp_path / "converted"))
    trained = load_file(tmp_path / "run/final/model.safetensors")
    before = load_file(tmp_path / "converted/model.safetensors")
    assert trained.keys() == before.keys()
    changed = max((trained[name] - before[name]).abs().max() for name in trained)
    assert 0 < changed < 0.01


def test_a_full_marlin_converts_with_nothing_left_out_and_trains_on(masked, tmp_path, capsys):
    weights = full_marlin()
    torch.save({"state_dict": weights}, tmp_path / "full.ckpt")
    convert("marlin", tmp_path / "full.ckpt", tmp_path / "converted")
    model = load_file(tmp_path / "converted/model.safetensors")
    critic = load_file(tmp_path / "converted" / CRITIC_FILE)
    positions = sum(tensor.numel() for name, tensor in weights.items() if "pos_embedding" in name)
    ours = sum(tensor.numel() for tensor in (*model.values(), *critic.values()))
    assert ours == sum(tensor.numel() for tensor in weights.values()) - positions
    sizes = {
        "image_size": 32, "patch_size": 16, "num_frames": 16, "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 1, "intermediate_size": 256, "decoder_hidden_size": 64, "decoder_num_hidden_layers": 1,
        "decoder_num_attention_heads": 1, "decoder_intermediate_size": 256, "layer_norm_eps": 1e-5,
        "norm_after_pooling": True,
    }  # fmt: skip
    settings = {**masked, "method": "marlin", "model": sizes, "max_steps": 1, "batch_size": 2}
    run(settings, tmp_path / "run", init_from=str(tmp_path / "converted"))
    assert "student and critic start from" in " ".join(capsys.readouterr().out.split())
    state = saved_state(tmp_path / "run/checkpoints/step-00000001")
    assert 0 < (state["critic.hidden.weight"] - critic["hidden.weight"]).abs().max() < 0.01


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("decoder.head.bias", "missing: decoder.head.bias;"),
        ("enc_dec_proj.weight", "its decoder lacks 'enc_dec_proj.weight'"),
        ("discriminator.layers.1.linear.bias", "missing: discriminator.layers.1.linear.bias;"),
        ("encoder.blocks.1.norm1.weight", "missing: preface.layers.1.layernorm_before.weight;"),
    ],
)
def test_a_full_marlin_with_missing_keys_is_refused_with_the_list(tmp_path, lost, message):
    weights = full_marlin()
    del weights[lost]
    torch.save(weights, tmp_path / "full.pt")
    with pytest.raises(ValueError, match=message):
        convert("marlin", tmp_path / "full.pt", tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


def test_a_ratio_that_hides_nothing_is_refused_before_anything_is_written(masked, tmp_path):
    with pytest.raises(ValueError, match="mask_ratio=0.0 hides all or nothing"):
        run({**masked, "method": "marlin", "views": {"mask_ratio": 0.0}}, tmp_path / "run")
    with pytest.raises(ValueError, match="publish='teacher' is unknown: choose one of student"):
        run({**masked, "method": "videomae", "publish": "teacher"}, tmp_path / "run")
    assert not (tmp_path / "run").exists()
