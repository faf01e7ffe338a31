"""The sync expert as a model of transformers: shapes, what it does not see, saving, opening without the package."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from preface_hf import PrefAceSyncConfig, PrefAceSyncModel
from preface_hf.modeling.sync_preface import SYNC_AUTO_MAP, log_mels


SMALL = {"num_frames": 8, "image_size": 16, "vision_channels": [8, 8], "audio_hidden_size": 16, "hidden_size": 16,
         "projection_dim": 4}  # fmt: skip


@pytest.fixture
def model() -> PrefAceSyncModel:
    torch.manual_seed(0)
    return PrefAceSyncModel(PrefAceSyncConfig(**SMALL)).eval()


def batch(windows: int = 3) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {
        "pixel_values_videos": torch.rand(windows, 8, 1, 16, 16, generator=draw),
        "input_features": torch.randn(windows, 2, 32, 80, generator=draw),
    }


def test_similarity_is_the_cosine_of_the_embeddings(model):
    output = model(**batch(), labels=torch.tensor([[1.0, 0.0]] * 3))
    assert output.similarity.shape == output.logits.shape == (3, 2) and output.loss.ndim == 0
    assert output.video_embeds.shape == (3, 32) and output.audio_embeds.shape == (3, 2, 32)
    torch.testing.assert_close(output.video_embeds.norm(dim=-1), torch.ones(3))
    cosine = torch.nn.functional.cosine_similarity(output.video_embeds[:, None], output.audio_embeds, dim=-1)
    torch.testing.assert_close(output.similarity, cosine)
    one = batch()["input_features"][:, 0]
    torch.testing.assert_close(model(batch()["pixel_values_videos"], one).logits, output.logits[:, 0])


def test_neither_light_nor_loudness_is_seen(model):
    given = batch()
    darker = model(given["pixel_values_videos"] * 0.5 + 0.2, given["input_features"] + 3.0)
    torch.testing.assert_close(darker.similarity, model(**given).similarity, atol=0.02, rtol=0)


def test_a_shift_of_both_is_a_shift_of_the_embeddings(model):
    """A step compares with a step: it is the reason why a few clips are enough to learn from."""
    frames = torch.rand(1, 24, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    steps = model.vision(frames.flatten(0, 1)).flatten(1).T[None]  # (1, C, 24)
    early, late = (model.vision_tower(steps[..., start : start + 16]).unflatten(1, (16, 4)) for start in (0, 4))
    inner = torch.nn.functional.normalize(early[:, 8:12], dim=-1), torch.nn.functional.normalize(late[:, 4:8], dim=-1)
    torch.testing.assert_close(*inner, atol=1e-4, rtol=1e-3)


def test_every_weight_gets_a_gradient(model):
    model.train()(**batch(), labels=torch.tensor([[1.0, 0.0]] * 3)).loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_saved_and_opened_with_and_without_the_package(model, tmp_path):
    expected = model(**batch()).logits
    model.save_pretrained(tmp_path / "expert")
    opened = AutoModel.from_pretrained(tmp_path / "expert")
    assert type(opened) is PrefAceSyncModel and torch.equal(opened(**batch()).logits, expected)
    assert type(AutoConfig.from_pretrained(tmp_path / "expert")) is PrefAceSyncConfig
    written = json.loads((tmp_path / "expert/config.json").read_text(encoding="utf-8"))
    assert written["auto_map"] == SYNC_AUTO_MAP
    torch.save((batch(), expected), tmp_path / "expected.pt")
    code = f"""
import sys
sys.modules["preface_hf"] = None  # importing it raises
import torch
from transformers import AutoModel
model = AutoModel.from_pretrained({str(tmp_path / "expert")!r}, trust_remote_code=True)
given, expected = torch.load({str(tmp_path / "expected.pt")!r})
torch.testing.assert_close(model(**given).logits, expected)
"""
    environment = {"PATH": "/usr/bin", "HF_HOME": str(tmp_path / "hf"), "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"image_size": 18}, "image_size=18 must be a multiple"), ({"projection_dim": 0}, "projection_dim=0 must be"),
     ({"vision_channels": []}, "vision_channels=0 must be")],
)  # fmt: skip
def test_sizes_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        PrefAceSyncConfig(**{**SMALL, **wrong})


def test_mel_frames_lie_where_the_sound_is():
    samples = np.zeros(16_000, np.int16)
    samples[8000:8160] = 20_000  # second 0.5
    mels = log_mels(samples)
    assert mels.shape == (101, 80) and mels.dtype == np.float32
    assert abs(int(mels.mean(axis=1).argmax()) - 50) <= 1 and mels.min() == pytest.approx(-8)
    np.testing.assert_allclose(log_mels((samples / 32768).astype(np.float32)), mels, atol=1e-4)


def test_mel_filters_are_those_of_whisper():
    torchaudio_like = log_mels((3000 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)).astype(np.int16))
    # Slaney's scale is straight up to 1000 Hz and has 15 mels there, of 52.2 up to 8000 Hz.
    assert torchaudio_like[50].argmax() == pytest.approx(81 * 15 / 45.245 - 1, abs=1)
