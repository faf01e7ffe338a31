"""FLOPs by formula beside torch's own count of a real step."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from preface_hf.objectives import costs, plain_features
from preface_hf.objectives.methods import METHODS
from preface_hf.plan.flops import clip_flops, run_encoder_flops
from preface_hf.training.arguments import PretrainArguments
from tests.noise import count_encoder_flops


SMALL = {"image_size": 32, "num_frames": 4, "num_hidden_layers": 3, "num_prototypes": 512}


EVERY_KIND = pytest.mark.parametrize(
    "settings",
    [
        {"size": "vit-t", "model": SMALL},
        {"size": "vit-t", "model": SMALL, "gradient_checkpointing": True},
        {"size": "vit-t", "model": SMALL, "objective": {"instance_weight": 0.0}},
        {"size": "vit-t", "model": SMALL, "views": {"num_local": 0, "parts": []}},
        {"size": "vit-s", "model": {**SMALL, "facefeat_size": 64}, "views": {"num_global": 1, "local_size": 16}},
        {"method": "marlin", "size": "vit-t"},
        {"method": "videomae", "size": "vit-t", "gradient_checkpointing": True},
    ],
)


@EVERY_KIND
def test_a_step_costs_what_torch_counts(settings, noise_step):
    # Written out, for torch does not count fused attention on CPUs.
    arguments = PretrainArguments(batch_size=2, attn_implementation="eager", **settings)
    objective, batch = noise_step(arguments, 5000)
    objective.watching = False
    with FlopCounterMode(display=False) as counter:
        objective(batch, 0).loss.backward()
        objective.after_step(0, 1e-3)
    flops = clip_flops(arguments, arguments.parts(), 5000)
    assert sum(flops.values()) * 2 == pytest.approx(counter.get_total_flops(), rel=1e-3)


@EVERY_KIND
def test_the_encoder_costs_what_torch_counts(settings, noise_step):
    arguments = PretrainArguments(batch_size=2, attn_implementation="eager", **settings)
    objective, batch = noise_step(arguments, 5000)
    assert run_encoder_flops(arguments, 5000)[1] == count_encoder_flops(objective, lambda: objective(batch, 0))


@pytest.mark.parametrize("instances", [3, 12])
@pytest.mark.parametrize(
    ("method", "objective"), [*((name, {}) for name in METHODS), ("preface", {"instance_weight": 0.0})]
)
def test_what_passes_the_encoder_before_the_first_step(method, objective, instances, noise_step, monkeypatch):
    """Of a set of few clips all pass, of a large one all only where a cache is to be filled."""
    for file in (plain_features, costs):
        monkeypatch.setattr(file, "ROWS_AT_ONCE", 4)
    arguments = PretrainArguments(method=method, size="vit-t", attn_implementation="eager", objective=objective)
    started, _ = noise_step(arguments, instances)
    views = arguments.parts().views
    clip = torch.zeros(1, views.num_frames, 3, views.global_size, views.global_size, dtype=torch.uint8)
    clips = ((torch.tensor([number]), clip) for number in range(instances))
    counted = count_encoder_flops(started, lambda: started.start(clips))
    assert run_encoder_flops(arguments, instances)[0] == counted
