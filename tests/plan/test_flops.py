"""FLOPs by formula beside torch's own count of a real step."""

import pytest
from torch.utils.flop_counter import FlopCounterMode

from preface_hf.plan.flops import clip_flops
from preface_hf.training.arguments import PretrainArguments


SMALL = {"image_size": 32, "num_frames": 4, "num_hidden_layers": 3, "num_prototypes": 512}


@pytest.mark.parametrize(
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
