"""The lip-sync generator as a model of transformers: what it sees, what it leaves as it is, saving and opening."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from preface_hf import PrefAceForLipSync, PrefAceLipSyncConfig
from preface_hf.modeling.lipsync_preface import LIPSYNC_AUTO_MAP, blend_mask, level_of, move


SMALL = {"num_frames": 4, "image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 2,
         "num_attention_heads": 2, "intermediate_size": 64, "decoder_hidden_size": 32, "decoder_num_hidden_layers": 1,
         "decoder_num_attention_heads": 2, "decoder_intermediate_size": 64, "audio_hidden_size": 16,
         "audio_margin": 2, "generator_channels": 8, "initializer_range": 0.2}  # fmt: skip


@pytest.fixture
def model() -> PrefAceForLipSync:
    torch.manual_seed(0)
    return PrefAceForLipSync(PrefAceLipSyncConfig(**SMALL)).eval()


def batch(windows: int = 2) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {
        "pixel_values_videos": torch.rand(windows, 4, 3, 32, 32, generator=draw),
        "reference_values_videos": torch.rand(windows, 4, 3, 32, 32, generator=draw),
        "input_features": torch.randn(windows, 4 * 8, 80, generator=draw) - 1,
    }


def test_frames_have_the_size_of_the_crop_and_values_of_pixels(model):
    given = batch()
    output = model(**given, labels=given["pixel_values_videos"])
    assert output.frames.shape == (2, 4, 3, 32, 32) and output.frames.min() >= 0 and output.frames.max() <= 1
    assert output.loss.ndim == 0 and output.loss > 0 and model(**given).loss is None
    # No error where nothing is drawn: all of it lies in the lower half.
    wrong = (output.frames - given["pixel_values_videos"]).abs()
    assert wrong[..., :16, :].max() < 1e-6 and wrong[..., 20:28, 8:24].mean() > 0.05


def test_the_true_mouth_is_not_looked_at(model):
    given = batch()
    other = {**given, "pixel_values_videos": given["pixel_values_videos"].clone()}
    other["pixel_values_videos"][..., 16:, :] = 0
    shown = blend_mask(32) == 1
    assert shown.sum() > 100
    assert torch.equal(model(**given).frames[..., shown], model(**other).frames[..., shown])
    other["pixel_values_videos"] = given["pixel_values_videos"].clone()
    other["pixel_values_videos"][..., :16, :] = 0
    assert not torch.allclose(model(**given).frames[..., shown], model(**other).frames[..., shown], atol=1e-3)


@pytest.mark.parametrize("name", ["reference_values_videos", "input_features"])
def test_person_and_sound_are(model, name):
    given = batch()
    other = model(**{**given, name: given[name].flip(0)}).frames
    assert not torch.allclose(model(**given).frames[..., 20:28, 8:24], other[..., 20:28, 8:24], atol=1e-3)


def test_a_sound_changes_the_frames_of_its_time(model):
    given = batch(1)
    later = {**given, "input_features": given["input_features"].clone()}
    later["input_features"][:, -4:] += 2.0  # the last frame of the margin: two frames after the window
    change = (model.audio(given["input_features"]) - model.audio(later["input_features"])).abs().amax(dim=(0, 2))
    assert change[-1] > 1e-3 and change[0] == 0


def test_the_mask_is_soft_and_whole_about_the_mouth():
    mask = blend_mask(64)
    assert mask[:32].max() == 0 and mask[:, [0, -1]].max() < 0.1 and mask[-1].max() < 0.2
    assert mask[42:58, 12:52].min() == 1 and mask.diff(dim=0).abs().max() <= 0.26


def test_pixels_are_moved_from_where_the_flow_says():
    picture = torch.arange(8.0)[None, None, None].expand(1, 1, 8, 8) / 8
    still = move(picture, torch.zeros(2, 2, 4, 8), 2)
    torch.testing.assert_close(still, picture[:, :, 4:].expand(2, -1, -1, -1))
    flow = torch.zeros(2, 2, 4, 8)
    flow[:, 0] = 2 / 8  # in half sides: a pixel is 2 / 8
    torch.testing.assert_close(move(picture, flow, 2)[..., :7], still[..., 1:])


def test_the_level_is_that_of_loud_parts():
    mels = np.full((100, 80), -6.0)
    mels[40:60] = -2.0
    assert level_of(mels) == -2.0


def test_every_weight_gets_a_gradient(model):
    given = batch()
    model.train()(**given, labels=given["reference_values_videos"]).loss.backward()
    idle = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert idle == []


def test_a_frozen_encoder_stays(tmp_path):
    model = PrefAceForLipSync(PrefAceLipSyncConfig(**SMALL, freeze_encoder=True)).train()
    assert not model.preface.training and not any(w.requires_grad for w in model.preface.parameters())
    model.save_pretrained(tmp_path)
    again = PrefAceForLipSync.from_pretrained(tmp_path)
    assert not any(w.requires_grad for w in again.preface.parameters()) and again.drawing.pixels.weight.requires_grad


def test_saved_and_opened_with_and_without_the_package(model, tmp_path):
    expected = model(**batch()).frames
    model.save_pretrained(tmp_path / "lips")
    opened = AutoModel.from_pretrained(tmp_path / "lips")
    assert type(opened) is PrefAceForLipSync and torch.equal(opened(**batch()).frames, expected)
    assert type(AutoConfig.from_pretrained(tmp_path / "lips")) is PrefAceLipSyncConfig
    written = json.loads((tmp_path / "lips/config.json").read_text(encoding="utf-8"))
    assert written["auto_map"] == LIPSYNC_AUTO_MAP and written["model_type"] == "preface_lipsync"
    torch.save((batch(), expected), tmp_path / "expected.pt")
    code = f"""
import sys
sys.modules["preface_hf"] = None  # importing it raises
import torch
from transformers import AutoModel
model = AutoModel.from_pretrained({str(tmp_path / "lips")!r}, trust_remote_code=True)
given, expected = torch.load({str(tmp_path / "expected.pt")!r})
torch.testing.assert_close(model(**given).frames, expected)
model.save_pretrained({str(tmp_path / "again")!r})
again = AutoModel.from_pretrained({str(tmp_path / "again")!r}, trust_remote_code=True)
torch.testing.assert_close(again(**given).frames, expected)
"""
    environment = {"PATH": "/usr/bin", "HF_HOME": str(tmp_path / "hf"), "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"image_size": 40}, "image_size=40 must have an even number of patches"),
     ({"patch_size": 16, "image_size": 48}, "must have an even number of patches"),
     ({"patch_size": 6, "image_size": 36}, "patch_size=6 must be a power of 2"),
     ({"audio_margin": -1}, "audio_margin=-1 must be from 0"),
     ({"generator_channels": 0}, "generator_channels=0 must be from 1")],
)  # fmt: skip
def test_sizes_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        PrefAceLipSyncConfig(**{**SMALL, **wrong})


def test_inputs_that_do_not_fit_are_refused(model):
    given = batch()
    with pytest.raises(ValueError, match="31 mel frames: .* and 32 are needed"):
        model(**{**given, "input_features": given["input_features"][:, 1:]})
    with pytest.raises(ValueError, match="the reference has shape"):
        model(**{**given, "reference_values_videos": given["reference_values_videos"][:, :2]})
