"""Sync experts and lip-sync generators on the Hub: they open by name, and their cards say what they are not for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from preface_hf import PrefAceConfig, PrefAceModel, PrefAceVideoProcessor
from preface_hf.hub import push
from preface_hf.hub.card import model_card
from preface_hf.hub.content import model_files, read_facts
from preface_hf.tasks.finetune import finetune
from tests.modeling_common import TINY
from tests.tasks.conftest import spoken, talking  # noqa: F401 (fixtures)


@pytest.fixture(scope="module")
def runs(spoken, tmp_path_factory) -> Path:  # noqa: F811
    """An expert and a generator of two steps."""
    folder = tmp_path_factory.mktemp("speech")
    settings = {"max_steps": 2, "batch_size": 2}
    finetune("scratch", spoken, task="sync", output_dir=str(folder / "expert"), samples=10, **settings)
    torch.manual_seed(0)
    PrefAceModel(PrefAceConfig(**TINY)).save_pretrained(folder / "face")
    PrefAceVideoProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
        folder / "face"
    )
    settings["expert"] = str(folder / "expert")
    finetune(folder / "face", spoken, task="lipsync", output_dir=str(folder / "lips"), **settings)
    return folder


def card_of(run: Path) -> str:
    folder, weights, facts = read_facts(run)
    assert "predictions-test.jsonl" not in model_files(weights, facts, "")
    return str(model_card(facts, "org/speech"))


def test_the_card_of_a_generator_says_what_it_is_not_for(runs):
    card = card_of(runs / "lips")
    head = yaml.safe_load(card.split("---")[1])
    assert head["pipeline_tag"] == "video-to-video" and "base_model" not in head
    assert "draws the mouth of a face anew" in card and "Putting words into a person's mouth without" in card
    assert "--task lipsync" in card and "--expert expert" in card and str(runs) not in card
    scores = json.loads((runs / "lips/scores-test.json").read_text(encoding="utf-8"))["generator"]
    assert f"| psnr | {scores['psnr']:.3f} | 4 |" in card
    assert "`preface-hf lipsync org/speech video.mp4 speech.wav out.mp4`" in card


def test_the_card_of_an_expert_has_its_scores_and_intervals(runs):
    card = card_of(runs / "expert")
    assert "tells whether a voice and a mouth belong together" in card and "words into" not in card
    scores = json.loads((runs / "expert/scores-test.json").read_text(encoding="utf-8"))["expert"]
    assert f"| lse_d | {scores['lse_d']:.3f} [{scores['lse_d_low']:.3f}, {scores['lse_d_high']:.3f}] | 2 |" in card
    assert "finetune scratch --data set --task sync" in card and "It started from" not in card


def test_both_open_by_name_without_the_package(hub, clean, runs):
    for name in ("expert", "lips"):
        push(runs / name, f"org/{name}")
    told = clean("""
from transformers import AutoModel
for name in ("expert", "lips"):
    model = AutoModel.from_pretrained(f"org/{name}", trust_remote_code=True)
    print(type(model).__name__, type(model).__module__.startswith("transformers_modules"))
""")
    assert told.split() == ["PrefAceSyncModel", "True", "PrefAceForLipSync", "True"]


def test_a_model_without_its_code_is_refused(runs, tmp_path):
    for file in (runs / "expert").iterdir():
        if file.is_file() and not file.name.endswith(".py"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match=r"lacks sync_preface\.py"):
        read_facts(tmp_path)
