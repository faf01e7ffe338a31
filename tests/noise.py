"""A small objective with a batch that needs no video: for what only depends on shapes."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from preface_hf.data.masked_clips import MaskConfig, MaskedBatch
from preface_hf.data.masking import draw_mask
from preface_hf.data.streams import Batch
from preface_hf.training.build import build_model


def objective_and_batch(arguments, instances):
    """The objective of `arguments` on a new student, and a batch of noise in the shapes of its views."""
    torch.manual_seed(0)
    parts = arguments.parts()
    student, views, clips = build_model(arguments, parts), parts.views, arguments.batch_size
    objective = parts.method.objective(
        student, parts.objective, views=views, num_instances=instances, max_steps=9, seed=0,
        pixels=([0.5] * 3, [0.5] * 3),
    )  # fmt: skip
    if isinstance(views, MaskConfig):
        return objective, masked_noise(views, clips)
    small = views.num_small
    tubes = [
        torch.randint(0, 255, (clips, count, views.num_frames, 3, size, size), dtype=torch.uint8)
        for count, size in ((views.num_global, views.global_size), (small, views.local_size))
    ]
    colors = torch.eye(3, 4).expand(clips, views.num_global + small, 3, 4).contiguous()
    return objective, Batch(torch.arange(clips), *tubes, colors)


def masked_noise(views, clips):
    """Clips of noise with random masks."""
    rng, size = np.random.default_rng(0), views.global_size
    masks = [draw_mask("random", views.grid, views.mask_ratio, rng, None) for _ in range(clips)]
    pixels = torch.randint(0, 255, (clips, views.num_frames, 3, size, size), dtype=torch.uint8)
    return MaskedBatch(torch.arange(clips), pixels, torch.from_numpy(np.stack(masks)))


def count_encoder_flops(objective, run):
    """FLOPs by torch's count of what `run()` asks of the encoders of student and teacher: asked of them again, alone.
    Attention must be eager, for torch does not count fused attention on CPUs."""
    calls = []
    teacher = getattr(objective, "teacher", None)
    hooks = [
        encoder.register_forward_pre_hook(
            lambda *call: calls.append((*call, torch.is_grad_enabled())), with_kwargs=True
        )
        for encoder in (objective.student.preface, *([teacher.model.preface] if teacher else []))
    ]
    run()
    for hook in hooks:
        hook.remove()
    with FlopCounterMode(display=False) as counter:
        for encoder, values, named, learns in calls:
            with torch.set_grad_enabled(learns):
                output = encoder(*values, **named).last_hidden_state
            if learns:
                output.sum().backward()
    return counter.get_total_flops()


@pytest.fixture
def noise_step():
    """[`objective_and_batch`], as a fixture."""
    return objective_and_batch
