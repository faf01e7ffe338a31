"""Models run where they are fastest: opened on the GPU where there is one (`make gpu` trains and scores there)."""

from __future__ import annotations

import json

import pytest
import torch

from preface_hf import PrefAceForLipSync, PrefAceLipSyncConfig, PrefAceSyncConfig, PrefAceSyncModel
from preface_hf.tasks import finetune as finetuning
from preface_hf.tasks.evaluate import evaluate
from preface_hf.tasks.finetune import finetune
from preface_hf.tasks.lipsync import models as generators
from preface_hf.tasks.sync import experts
from tests.modeling_common import TINY
from tests.tasks.test_finetune import QUICK, encoder, read  # noqa: F401


on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_models_that_score_are_opened_where_they_run(encoder, prepared, tmp_path, monkeypatch):  # noqa: F811
    PrefAceSyncModel(PrefAceSyncConfig()).save_pretrained(tmp_path / "expert")
    PrefAceForLipSync(PrefAceLipSyncConfig(**{**TINY, "num_frames": 16})).save_pretrained(tmp_path / "generator")
    places = []

    def features(run, model):
        places.append(model.device.type)
        raise InterruptedError

    # A device that every machine has, and no model is on by itself.
    for module in (experts, generators, finetuning):
        monkeypatch.setattr(module, "best_device", lambda: "meta")
    monkeypatch.setattr(finetuning.Run, "features", features)
    with pytest.raises(InterruptedError):
        finetune(encoder, prepared, "expression", protocol="linear", output_dir=str(tmp_path / "run"), **QUICK)
    places.append(experts.load_expert(tmp_path / "expert").device.type)
    places.append(generators.load_generator(tmp_path / "generator").device.type)
    assert places == ["meta"] * 3


@pytest.mark.gpu
@on_gpu
@pytest.mark.parametrize("protocol", ["full", "lora", "linear", "knn"])
def test_fine_tuning_and_its_scores_run_on_the_gpu(protocol, encoder, prepared, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("PREFACE_HF_CACHE", str(tmp_path / "cache"))
    places = []
    score = finetuning.run_model
    monkeypatch.setattr(
        finetuning, "run_model", lambda model, *rest: places.append(model.device.type) or score(model, *rest)
    )
    run = finetune(encoder, prepared, "expression", protocol=protocol, output_dir=str(tmp_path / "run"), **QUICK)
    assert 0 <= read(run, "scores-test.json")["war"] <= 1
    if protocol != "knn":
        assert set(places) == {"cuda"}
        again = evaluate(run, prepared, samples=0)
        assert read(again, "scores-test.json")["war"] == pytest.approx(read(run, "scores-test.json")["war"])


@pytest.mark.gpu
@on_gpu
def test_sync_and_lip_sync_run_on_the_gpu(spoken, encoder, tmp_path):  # noqa: F811
    settings = {"max_steps": 4, "batch_size": 2, "samples": 20}
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    expert = finetune("scratch", spoken, task="sync", output_dir=str(tmp_path / "expert"), **settings)
    lips = finetune(encoder, spoken, task="lipsync", expert=str(expert), output_dir=str(tmp_path / "lips"), **settings)
    assert torch.cuda.max_memory_allocated() > before
    for run, name in ((expert, "expert"), (lips, "generator")):
        again = evaluate(run, spoken, samples=0)
        assert name in json.loads((again / "scores-test.json").read_text(encoding="utf-8"))
