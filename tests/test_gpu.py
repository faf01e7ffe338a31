"""What only a CUDA device shows: `make gpu`."""

import json
import time

import pytest
import torch

from preface_hf import (
    FaceFeatCache,
    PrefAceConfig,
    PrefAceForLandmarkDetection,
    PrefAceForVideoClassification,
    PrefAceModel,
)
from preface_hf.objectives.methods import METHODS
from preface_hf.training.arguments import PretrainArguments, build
from preface_hf.training.loop import pretrain
from tests.objectives.test_facefeat_cache import work


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


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_trains_there(method, method_settings, tmp_path):
    settings = {**method_settings, "mixed_precision": "bf16", "output_dir": str(tmp_path / "run")}
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    pretrain(build(PretrainArguments, settings, "test"))
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert torch.cuda.max_memory_allocated() > before and len(rows) == 6 and all(row["loss"] > 0 for row in rows)


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("model_class", [PrefAceForVideoClassification, PrefAceForLandmarkDetection])
def test_heads_load_in_every_dtype(model_class, dtype, tmp_path):
    torch.manual_seed(0)
    model = model_class(PrefAceConfig.from_preset("vit-t", num_labels=5)).eval()
    model.save_pretrained(tmp_path)
    clip = torch.randn(2, 8, 3, 64, 64)
    loaded = model_class.from_pretrained(tmp_path, dtype=dtype).cuda()
    with torch.no_grad():
        expected, found = model(clip)[0], loaded(clip.cuda())[0].float().cpu()
    tolerance = {torch.float32: 5e-3, torch.bfloat16: 0.06, torch.float16: 0.02}[dtype]
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("attention", ["eager", "flex_attention", "flash_attention_2"])
def test_attention_back_ends_agree(attention):
    if attention == "flash_attention_2":
        pytest.importorskip("flash_attn")
    torch.manual_seed(0)
    model = PrefAceModel(PrefAceConfig.from_preset("vit-t")).eval().to("cuda", torch.bfloat16)
    clip = torch.randn(2, 8, 3, 64, 64, device="cuda")
    with torch.no_grad():
        sdpa = model(clip).pooler_output
        model.set_attn_implementation(attention)
        assert (model(clip).pooler_output - sdpa).abs().max() <= 0.05 * sdpa.abs().max()


def test_the_place_of_the_cache_changes_no_bit(tmp_path):
    """Vectors on the device, entries there, on the host and in a file."""
    caches = [FaceFeatCache(50, 8, num_negatives=16, folder=folder) for folder in (None, None, tmp_path)]
    caches[0].cuda()
    found = [work(cache, "cuda") for cache in caches]
    for tensors in zip(*found, strict=True):
        assert all(torch.equal(tensor.cpu(), tensors[0].cpu()) for tensor in tensors)


def test_nan_pixels_are_named_in_evaluation():
    model = PrefAceModel(PrefAceConfig.from_preset("vit-t")).eval().cuda()
    with pytest.raises(ValueError, match="NaN or infinity, first in clip 0, frame 0"):
        model(torch.full((1, 8, 3, 64, 64), torch.nan, device="cuda"))
