"""`finetune --task lipsync`: a generator that learns, resumes to the same bits, and opens; what it refuses."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from preface_hf import (
    PrefAceConfig,
    PrefAceForLipSync,
    PrefAceLipSyncConfig,
    PrefAceModel,
    PrefAceSyncConfig,
    PrefAceSyncModel,
    PrefAceVideoProcessor,
)
from preface_hf.cli import show_scores
from preface_hf.tasks.evaluate import evaluate
from preface_hf.tasks.finetune import finetune
from preface_hf.tasks.lipsync import losses
from preface_hf.tasks.lipsync.adversary import Adversary
from preface_hf.tasks.lipsync.clips import LipSyncClips
from tests.modeling_common import TINY


SETTINGS = {"task": "lipsync", "max_steps": 6, "batch_size": 2}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A face encoder of 4 frames, and an expert."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    small = {"decoder_hidden_size": 32, "decoder_num_attention_heads": 2, "decoder_intermediate_size": 64}
    PrefAceModel(PrefAceConfig(**TINY, **small)).save_pretrained(folder / "face")
    PrefAceVideoProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_mean=[0.5] * 3, num_frames=4
    ).save_pretrained(folder / "face")
    PrefAceSyncModel(PrefAceSyncConfig()).save_pretrained(folder / "expert")
    return folder


@pytest.fixture(scope="module")
def settings(models):
    return {**SETTINGS, "expert": str(models / "expert")}


@pytest.fixture(scope="module")
def run(spoken, models, settings, tmp_path_factory):
    """A generator of six steps, three of them with the expert."""
    folder = tmp_path_factory.mktemp("run") / "lips"
    return finetune(models / "face", spoken, output_dir=str(folder), **settings)


def test_the_run_opens_and_tells_its_scores(run, models, capsys):
    generator = AutoModel.from_pretrained(run)
    assert type(generator) is PrefAceForLipSync and generator.config.num_frames == 16
    assert generator.config.image_mean == [0.5] * 3 and generator.config.pretrained_grid == [2, 4, 4]
    before = PrefAceModel.from_pretrained(models / "face").state_dict()
    moved = {name: (weight - before[name]).abs().max() for name, weight in generator.preface.state_dict().items()}
    assert 0 < max(moved.values()) < 0.02, "it began with the weights of the encoder"
    scores = json.loads((run / "scores-test.json").read_text(encoding="utf-8"))
    assert list(scores) == ["generator", "frozen"]
    assert all(found["count"] == 4 and 5 < found["psnr"] < 60 and found["ssim"] <= 1 for found in scores.values())
    told = json.loads((run / "finetune.json").read_text(encoding="utf-8"))
    assert told["task"] == "lipsync" and told["settings"]["expert"] == str(models / "expert")
    assert show_scores(run) == "scores-test.json"
    assert "| a frozen mouth |" in capsys.readouterr().out


def test_the_expert_is_heard_from_half_of_the_steps_on(spoken, models, settings, tmp_path, monkeypatch):
    heard, judged = [], losses.out_of_sync

    def listening(*given):
        heard.append(given)
        return judged(*given)

    monkeypatch.setattr(losses, "out_of_sync", listening)
    finetune(models / "face", spoken, output_dir=str(tmp_path / "a"), **settings)
    assert len(heard) == 2 * 3 and not any(weight.requires_grad for weight in heard[0][0].parameters())
    finetune(models / "face", spoken, output_dir=str(tmp_path / "b"), **{**settings, "expert": None})
    assert len(heard) == 2 * 3


@pytest.mark.parametrize("weight", [0.0, 0.1], ids=["plain", "with an adversary"])
def test_a_stopped_run_goes_on_to_the_same_bits(weight, run, models, spoken, settings, tmp_path, monkeypatch):
    folder, drawn, items = tmp_path / "resumed", LipSyncClips.drawn, []
    if weight:
        settings = {**settings, "adversarial_weight": weight}
        run, plain = finetune(models / "face", spoken, output_dir=str(tmp_path / "whole"), **settings), run
        pairs = zip(*(load_file(place / "model.safetensors").values() for place in (run, plain)), strict=True)
        assert not all(torch.equal(*pair) for pair in pairs), "the adversary is heard"

    def stopping(self, room):
        items.append(room)
        if len(items) > 4 * SETTINGS["batch_size"]:  # in the fifth of six steps
            raise InterruptedError
        return drawn(self, room)

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(LipSyncClips, "drawn", stopping)
        finetune(models / "face", spoken, output_dir=str(folder), **settings)
    assert not (folder / "model.safetensors").exists() and any((folder / "checkpoints").iterdir())
    finetune(models / "face", spoken, output_dir=str(folder), resume=True, **settings)
    whole, resumed = (load_file(place / "model.safetensors") for place in (run, folder))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_adversary_learns_to_tell_and_leaves_the_draws_of_others_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    adversary = Adversary(seed=0)
    assert torch.equal(torch.rand(3), expected)
    true = torch.rand(2, 4, 3, 32, 32)
    blurred = torch.nn.functional.avg_pool3d(true, (1, 3, 3), 1, (0, 1, 1)).requires_grad_()
    for _ in range(40):
        adversary.learn(blurred, true)
    assert adversary(true).mean() - adversary(blurred).mean() > 1
    before = [weight.clone() for weight in adversary.parameters()]
    for weight in adversary.parameters():
        weight.grad = None
    adversary.loss(blurred).backward()
    assert blurred.grad[..., 16:, :].abs().sum() > 0 and blurred.grad[..., :16, :].abs().sum() == 0
    assert all(weight.grad is None for weight in adversary.parameters())
    assert all(torch.equal(*pair) for pair in zip(before, adversary.parameters(), strict=True))


def test_another_run_goes_on_from_a_generator_and_a_frozen_encoder_stays(run, spoken, settings, tmp_path):
    more = {**settings, "max_steps": 1, "protocol": "linear"}
    folder = finetune(run, spoken, output_dir=str(tmp_path / "more"), **more)
    before, after = (load_file(place / "model.safetensors") for place in (run, folder))
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed and not any(name.startswith("preface.") for name in changed)
    more |= {"protocol": "full", "random_weights": True, "seed": 1}
    anew = finetune(run, spoken, output_dir=str(tmp_path / "anew"), **more)
    assert not torch.allclose(
        load_file(anew / "model.safetensors")["preface.layers.0.mlp.fc1.weight"],
        before["preface.layers.0.mlp.fc1.weight"],
        atol=0.02,
    )


def test_a_generator_is_scored_on_another_split(run, spoken, tmp_path):
    folder = evaluate(run, spoken, split="train", output_dir=tmp_path / "scores")
    scores = json.loads((folder / "scores-test.json").read_text(encoding="utf-8"))
    assert scores["generator"]["count"] == 8 and scores["generator"]["left_out"] == 1


def test_what_makes_no_sense_is_refused(run, models, spoken, prepared, settings, tmp_path):
    folder, face = str(tmp_path / "run"), models / "face"
    with pytest.raises(ValueError, match="cannot open"):
        finetune(tmp_path / "missing", spoken, output_dir=folder, **settings)
    with pytest.raises(ValueError, match="holds a 'preface' model and no sync expert"):
        finetune(face, spoken, output_dir=folder, **{**settings, "expert": str(face)})
    PrefAceSyncModel(PrefAceSyncConfig(num_frames=8)).save_pretrained(tmp_path / "short")
    with pytest.raises(ValueError, match="sees 8 frames and the generator makes 16"):
        finetune(face, spoken, output_dir=folder, **{**settings, "expert": str(tmp_path / "short")})
    with pytest.raises(ValueError, match="--protocol lora is of classifiers"):
        finetune(face, spoken, output_dir=folder, protocol="lora", **settings)
    with pytest.raises(ValueError, match="has no labels to take a share of"):
        finetune(face, spoken, output_dir=folder, shots=2, **settings)
    with pytest.raises(ValueError, match="has no sound: prepare its videos again"):
        finetune(face, prepared, output_dir=folder, **settings)
    with pytest.raises(ValueError, match=r"--expert .* is of the task lipsync alone"):
        finetune("scratch", spoken, output_dir=folder, **{**settings, "task": "sync"})
    with pytest.raises(ValueError, match=r"--adversarial-weight 0.1 is of the task lipsync alone"):
        finetune("scratch", spoken, output_dir=folder, task="sync", adversarial_weight=0.1)


def test_a_small_generator_overfits_one_batch(spoken):
    """What cannot learn the mouths of two windows by heart cannot learn."""
    torch.manual_seed(0)
    size = {"image_size": 32, "patch_size": 8, "num_frames": 16}
    config = PrefAceLipSyncConfig.from_preset("vit-t", num_hidden_layers=1, **size)
    clips = LipSyncClips(spoken, "train", config, windows=1)
    batch = {name: torch.stack([clips[place][name] for place in range(2)]) for name in clips[0]}
    generator = PrefAceForLipSync(config).train()
    optimizer = torch.optim.AdamW(generator.parameters(), 2e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        losses.append(generator(**batch).loss)
        losses[-1].backward()
        optimizer.step()
    still = batch["reference_values_videos"][:, 8:9].expand_as(batch["labels"])
    frozen = (still - batch["labels"])[..., 16:, :].abs().mean()
    assert losses[-1] < 0.3 * losses[0] and losses[-1] < frozen


def test_no_mouth_is_to_please_the_expert_more_than_the_true_one(models, spoken, settings, tmp_path, monkeypatch):
    """The loss is the same whatever the expert says of frames that it takes for better than the true ones."""
    found = []

    def pleased(expert, frames, sounds, margin):
        return frames.mean(dim=(1, 2, 3, 4)) * 0 + (0.1 if frames.requires_grad else 0.5)

    monkeypatch.setattr(losses, "out_of_sync", pleased)
    for expert in (settings["expert"], None):
        folder = finetune(models / "face", spoken, output_dir=str(tmp_path / f"{bool(expert)}"),
                          **{**settings, "expert": expert})  # fmt: skip
        found.append(load_file(folder / "model.safetensors"))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
