"""`mixed_precision: auto` takes what trains faster, says so, and keeps to it."""

from __future__ import annotations

import pytest
import torch
import yaml

from preface_hf import precision
from preface_hf.modeling import PrefAceConfig
from preface_hf.precision import fastest_precision
from preface_hf.training import build as training_build
from tests.training.test_loop import losses, run


CONFIG = PrefAceConfig(
    image_size=32, patch_size=8, num_frames=4, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=64,
)  # fmt: skip


@pytest.mark.parametrize(("seconds", "expected"), [(0.5, "bf16"), (0.95, "no"), (2.0, "no")])
def test_bf16_has_to_be_faster_by_a_tenth(monkeypatch, seconds, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(precision, "step_seconds", lambda layer, clips, most: seconds if most is not None else 1.0)
    assert fastest_precision(CONFIG) == expected


def test_a_hopeless_precision_is_tried_once(monkeypatch):
    """On a processor that imitates bf16 a step can take a minute."""
    times = iter([0.0, 50.0])
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(times))
    layer = precision.PrefAceModel(CONFIG)
    assert precision.step_seconds(layer, torch.zeros(1, 4, 3, 32, 32), 1.0) == 50


@pytest.mark.skipif(torch.accelerator.is_available(), reason="measures processors")
def test_it_measures_what_it_says():
    layer, clips = precision.PrefAceModel(CONFIG).train(), torch.zeros(4, 4, 3, 32, 32)
    plain, lower = (precision.step_seconds(layer, clips, most) for most in (None, 60.0))
    assert 0 < plain < 60 and 0 < lower < 60
    assert all(weight.grad is not None for name, weight in layer.named_parameters() if name.startswith("layers"))
    assert fastest_precision(CONFIG, "eager") in ("no", "bf16")


def test_a_run_that_is_resumed_keeps_what_was_measured(tiny_settings, tmp_path, monkeypatch, capfd):
    settings = {**tiny_settings, "mixed_precision": "auto", "max_steps": 4, "save_steps": 2}
    monkeypatch.setattr(training_build, "fastest_precision", lambda *of: "bf16")
    run(settings, tmp_path / "run")
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["mixed_precision"] == "bf16"
    assert "mixed_precision: bf16 is what this run trains with." in capfd.readouterr().out
    run({**settings, "mixed_precision": "bf16"}, tmp_path / "same")
    assert losses(tmp_path / "run") == losses(tmp_path / "same")

    monkeypatch.setattr(training_build, "fastest_precision", lambda *of: "no")
    run(settings, tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match="mixed_precision: bf16 -> no"):
        run({**settings, "mixed_precision": "no"}, tmp_path / "run", resume=True)
