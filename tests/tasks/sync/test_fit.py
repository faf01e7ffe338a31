"""`finetune --task sync`: an expert that learns, resumes to the same bits, and opens; what it refuses."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from preface_hf import PrefAceConfig, PrefAceModel, PrefAceSyncConfig, PrefAceSyncModel
from preface_hf.cli import show_scores
from preface_hf.tasks.evaluate import evaluate
from preface_hf.tasks.finetune import finetune
from preface_hf.tasks.sync.clips import SyncClips
from preface_hf.tasks.sync.tables import sync_table
from tests.modeling_common import TINY


SETTINGS = {"task": "sync", "max_steps": 6, "batch_size": 4, "samples": 20}


@pytest.fixture(scope="module")
def run(spoken, tmp_path_factory):
    """An expert of six steps."""
    return finetune("scratch", spoken, output_dir=str(tmp_path_factory.mktemp("run") / "expert"), **SETTINGS)


def test_the_run_opens_and_tells_its_scores(run):
    expert = AutoModel.from_pretrained(run)
    assert type(expert) is PrefAceSyncModel and expert.config.num_frames == 16
    scores = json.loads((run / "scores-test.json").read_text(encoding="utf-8"))
    assert list(scores) == ["expert", "random_weights", "loudness"]
    assert all(found["count"] == 2 and 0 <= found["auc"] <= 1 for found in scores.values())
    assert scores["loudness"]["clip_auc"] > 0.95 and scores["loudness"]["within_one"] == 1
    assert scores["expert"]["expert"] == str(run) and "lse_d_low" in scores["expert"]
    lines = [json.loads(line) for line in (run / "predictions-test.jsonl").read_text().splitlines()]
    assert {line["group"] for line in lines} == {"id_0004", "id_0005"}
    told = json.loads((run / "finetune.json").read_text(encoding="utf-8"))
    assert told["task"] == "sync" and told["splits"]["validation"]["rows"] >= 1
    table = sync_table(run)
    assert table.count("\n") == 4 and "| random weights |" in table and "AUC of windows" in table


def test_a_stopped_run_goes_on_to_the_same_bits(run, spoken, tmp_path, monkeypatch):
    folder, drawn, items = tmp_path / "resumed", SyncClips.drawn, []

    def stopping(self, room):
        items.append(room)
        if len(items) > 4 * SETTINGS["batch_size"]:  # in the fifth of six steps
            raise InterruptedError
        return drawn(self, room)

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(SyncClips, "drawn", stopping)
        finetune("scratch", spoken, output_dir=str(folder), **SETTINGS)
    assert not (folder / "model.safetensors").exists() and any((folder / "checkpoints").iterdir())
    finetune("scratch", spoken, output_dir=str(folder), resume=True, **SETTINGS)
    whole, resumed = (load_file(place / "model.safetensors") for place in (run, folder))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_another_run_goes_on_from_an_expert(run, spoken, tmp_path):
    folder = finetune(run, spoken, output_dir=str(tmp_path / "more"), **{**SETTINGS, "max_steps": 1})
    before, after = (load_file(place / "model.safetensors") for place in (run, folder))
    change = max((after[name].float() - before[name].float()).abs().max() for name in ("logit_scale", "logit_bias"))
    assert change < 0.01 and any(not torch.equal(before[name], after[name]) for name in before)


def test_videos_are_prepared_with_their_sound(talking, tmp_path, monkeypatch):
    from preface_hf.prepare import run as preparing

    asked = {}

    def prepare(src, out, **options):
        asked.update(options)
        raise ValueError("enough")

    monkeypatch.setattr(preparing, "prepare", prepare)
    with pytest.raises(ValueError, match="enough"):
        finetune("scratch", talking, output_dir=str(tmp_path / "run"), **{**SETTINGS, "task": "sync-lrs2"})
    assert asked["audio"] and asked["recipe"] == "lrs2" and asked["landmarker"] == "auto"


def test_an_expert_is_scored_on_another_split(run, spoken, tmp_path, capsys):
    folder = evaluate(run, spoken, split="train", output_dir=tmp_path / "scores", samples=0)
    scores = json.loads((folder / "scores-test.json").read_text(encoding="utf-8"))
    assert {found["count"] for found in scores.values()} == {4} and scores["expert"]["left_out"] == 1
    assert scores["expert"]["expert"] == str(run) and scores["loudness"]["within_one"] == 1
    show_scores(folder)
    assert "| mouth opening and loudness |" in capsys.readouterr().out


def test_what_makes_no_sense_is_refused(run, spoken, prepared, tmp_path):
    PrefAceModel(PrefAceConfig(**TINY)).save_pretrained(tmp_path / "face")
    folder = str(tmp_path / "run")
    with pytest.raises(ValueError, match="holds a 'preface' model and no sync expert"):
        finetune(tmp_path / "face", spoken, output_dir=folder, **SETTINGS)
    with pytest.raises(ValueError, match="there is no expert in"):
        finetune(tmp_path / "missing", spoken, output_dir=folder, **SETTINGS)
    with pytest.raises(ValueError, match="--protocol lora is of face encoders"):
        finetune("scratch", spoken, output_dir=folder, protocol="lora", **SETTINGS)
    with pytest.raises(ValueError, match="has no labels to take a share of"):
        finetune("scratch", spoken, output_dir=folder, labels="10%", **SETTINGS)
    with pytest.raises(ValueError, match="has no sound: prepare its videos again"):
        finetune("scratch", prepared, output_dir=folder, **SETTINGS)
    with pytest.raises(ValueError, match="holds a run already"):
        finetune("scratch", spoken, output_dir=str(run), **SETTINGS)


@pytest.mark.slow
def test_it_learns_to_tell_pairs_of_people_not_seen_apart(tmp_path):
    from preface_hf.prepare.run import prepare
    from preface_hf.synthetic import ClipSpec, write_synthetic

    clips = [ClipSpec(p, "neutral", p, "train" if p < 32 else "test", 60, 64, sound=True) for p in range(40)]
    write_synthetic(tmp_path / "videos", clips)
    prepare(tmp_path / "videos", tmp_path / "set", landmarker="given", crop_size=64, audio=True)
    folder = finetune("scratch", tmp_path / "set", task="sync", max_steps=200, output_dir=str(tmp_path / "run"))
    scores = json.loads((folder / "scores-test.json").read_text(encoding="utf-8"))
    assert scores["expert"]["auc"] > 0.85 and abs(scores["random_weights"]["auc"] - 0.5) < 0.2


def test_a_small_expert_overfits_one_batch(spoken):
    """What cannot learn eight pairs by heart cannot learn."""
    torch.manual_seed(0)
    clips = SyncClips(spoken, "train", size=48, windows=2)
    batch = {name: torch.stack([clips[place][name] for place in range(8)]) for name in clips[0]}
    model = PrefAceSyncModel(PrefAceSyncConfig(dropout=0.0))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(25):
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
    assert loss < 0.2
