"""What only a CUDA device shows: `make gpu`."""

import json
import time

import pytest
import torch

from preface_hf import PrefAceConfig, PrefAceModel
from preface_hf.training.arguments import PretrainArguments, build
from preface_hf.training.loop import pretrain


pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_the_gpu_computes_what_the_cpu_does():
    torch.manual_seed(0)
    model = PrefAceModel(PrefAceConfig.from_preset("vit-t")).eval()
    clip = torch.randn(2, 8, 3, 64, 64)
    on_cpu = model(clip).last_hidden_state
    on_gpu = model.cuda()(clip.cuda()).last_hidden_state.cpu()
    torch.testing.assert_close(on_gpu, on_cpu, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("mixed_precision", ["no", "bf16", "fp16"])
def test_pretraining_runs_and_its_loss_falls(tiny_settings, tmp_path, mixed_precision):
    settings = {**tiny_settings, "max_steps": 60, "save_steps": 30, "mixed_precision": mixed_precision}
    pretrain(build(PretrainArguments, {**settings, "output_dir": str(tmp_path / "run")}, "test"))
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert sum(row["loss_id"] for row in rows[-5:]) < sum(row["loss_id"] for row in rows[:5])


def test_a_step_at_vit_s(prepared, tmp_path):
    """vit-s on 16 frames of 112²: prints milliseconds a step and peak memory, for the record."""
    settings = {
        "data": str(prepared), "output_dir": str(tmp_path / "run"), "size": "vit-s", "model": {"image_size": 112},
        "batch_size": 16, "max_steps": 8, "logging_steps": 1, "mixed_precision": "bf16", "num_workers": 8,
    }  # fmt: skip
    started = time.perf_counter()
    pretrain(build(PretrainArguments, settings, "test"))
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    median = sorted(row["seconds"] for row in rows[2:])[3]
    print(f"vit-s 16x112², batch 16, bf16: {median * 1e3:.0f} ms a step, {time.perf_counter() - started:.0f} s in all")
    print(f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB peak")
