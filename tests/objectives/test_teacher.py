"""What moves after a step: how far, and by whose features."""

from dataclasses import replace

import pytest
import torch

from preface_hf.objectives.losses import teacher_distribution
from tests.objectives.test_preface import batch, fill, make  # noqa: F401


@pytest.fixture
def started(batch):  # noqa: F811
    """An objective whose student and teacher differ in every weight, as they do after some steps."""
    objective = make(teacher_momentum=0.5, center_momentum=0.9)
    fill(objective, batch)
    with torch.no_grad():
        for weight in objective.student.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return objective


def darker(batch):  # noqa: F811
    """The same clips in another light."""
    return replace(batch, global_tubes=batch.global_tubes // 3)


@torch.no_grad()
def test_each_network_is_standardized_by_its_own_features(started, batch):  # noqa: F811
    large, _ = started.view_pixels(batch)
    models = {"student": started.student, "teacher": started.teacher.model}
    seen = {name: model(large).pooler_output for name, model in models.items()}
    before = {name: (model.feature_mean.clone(), model.feature_std.clone()) for name, model in models.items()}
    started(batch, step=0)
    started.after_step(0)
    assert (seen["student"] - seen["teacher"]).abs().max() > 0.01
    for name, model in models.items():
        mean, deviation = before[name]
        moved = 0.9 * mean + 0.1 * seen[name].mean(0), 0.9 * deviation + 0.1 * seen[name].std(0)
        torch.testing.assert_close((model.feature_mean, model.feature_std), moved, atol=1e-5, rtol=1e-4, msg=name)


@torch.no_grad()
def test_the_temperature_of_the_targets_rises_in_the_warmup(started, batch):  # noqa: F811
    large, _ = started.view_pixels(batch)
    started.center.copy_(torch.randn(64))
    logits = started.teacher(large).prototype_logits.unflatten(0, (6, 2)).transpose(0, 1)
    for step, temperature in ((0, 0.04), (15, 0.055), (30, 0.07), (80, 0.07)):  # of 100, in 30 of which it rises
        targets, _ = started.teach(large, 6, step)
        torch.testing.assert_close(targets, teacher_distribution(logits, started.center, temperature))


@pytest.mark.parametrize(("step", "momentum"), [(0, 0.5), (50, 0.75), (100, 1.0)])
def test_the_momentum_of_the_teacher_rises_to_1(started, batch, step, momentum):  # noqa: F811
    before = [weight.clone() for weight in started.teacher.model.parameters()]
    started(batch, step)
    started.after_step(step)
    for old, ours, theirs in zip(
        before, started.teacher.model.parameters(), started.student.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, momentum * old + (1 - momentum) * theirs.detach())


@torch.no_grad()
def test_all_batches_of_a_step_move_the_center(started, batch):  # noqa: F811
    batches = [batch, darker(batch)]
    means = [started.teacher(started.view_pixels(each)[0]).prototype_logits.mean(0) for each in batches]
    for each in batches:
        started(each, step=0)
    started.after_step(0)
    assert (means[0] - means[1]).abs().max() > 0.01
    torch.testing.assert_close(started.center, 0.1 * (means[0] + means[1]) / 2, atol=1e-5, rtol=1e-4)


def test_the_teacher_is_published_where_it_is_asked_for(started):
    assert started.published_model("teacher") is started.teacher.model
    assert started.published_model("student") is None  # it is the run's own
