"""The losses against loops that a reader can follow, also after one backward and step."""

import math
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from preface_hf.objectives.losses import (
    distillation_loss,
    instance_loss,
    koleo_loss,
    sinkhorn_distribution,
    teacher_distribution,
)


def slow_teacher_distribution(logits, center, temperature):
    result = torch.zeros_like(logits)
    for g in range(logits.shape[0]):
        for b in range(logits.shape[1]):
            powers = [math.exp((float(logits[g, b, k]) - float(center[k])) / temperature) for k in range(len(center))]
            for k in range(len(center)):
                result[g, b, k] = powers[k] / sum(powers)
    return result


def slow_distillation_loss(student, targets, temperature):
    views, batch, prototypes = student.shape
    losses = []
    for v in range(views):
        total, pairs = torch.zeros(()), 0
        for g in range(len(targets)):
            if g == v:
                continue
            pairs += 1
            for b in range(batch):
                exponentials = torch.exp(student[v, b] / temperature)
                probability = exponentials / exponentials.sum()
                for k in range(prototypes):
                    total = total - targets[g, b, k] * torch.log(probability[k]) / batch
        losses.append(total / max(pairs, 1))
    return torch.stack(losses)


def slow_instance_loss(features, ids, cache, negative_ids, temperature):
    losses = []
    for view in features:
        total = torch.zeros(())
        for b in range(len(ids)):
            own = torch.exp(view[b] @ cache[ids[b]] / temperature)
            others = torch.zeros(())
            for j in negative_ids:
                if j != ids[b]:
                    others = others + torch.exp(view[b] @ cache[j] / temperature)
            total = total - torch.log(own / (own + others)) / len(ids)
        losses.append(total)
    return torch.stack(losses)


def slow_sinkhorn_distribution(logits, temperature):
    rows = torch.exp(logits / temperature).double().flatten(0, 1)
    for _ in range(3):
        for k in range(rows.shape[1]):
            rows[:, k] = rows[:, k] / sum(float(row[k]) for row in rows) / rows.shape[1]
        for row in rows:
            row /= float(row.sum()) * len(rows)
    return (rows * len(rows)).float().reshape(logits.shape)


def slow_koleo_loss(features):
    losses = []
    for view in features:
        unit = [row / row.norm() for row in view]
        total = torch.zeros(())
        for i in range(len(unit)):
            distances = [(unit[i] - unit[j]).norm() for j in range(len(unit)) if j != i]
            total = total - torch.log(min(distances)) / len(unit)
        losses.append(total)
    return torch.stack(losses)


SIZES = [(1, 1, 2, 3), (2, 2, 3, 5), (2, 9, 4, 7), (3, 4, 1, 2)]  # global views, views, batch, prototypes


@pytest.mark.parametrize(("num_global", "views", "batch", "prototypes"), SIZES)
def test_teacher_distribution(num_global, views, batch, prototypes):
    torch.manual_seed(0)
    logits, center = torch.randn(num_global, batch, prototypes), torch.randn(prototypes)
    expected = slow_teacher_distribution(logits, center, 0.3)
    torch.testing.assert_close(teacher_distribution(logits, center, 0.3), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("num_global", "views", "batch", "prototypes"), SIZES)
def test_sinkhorn_distribution(num_global, views, batch, prototypes):
    torch.manual_seed(0)
    logits = torch.rand(num_global, batch, prototypes) * 2 - 1
    targets = sinkhorn_distribution(logits, 0.1)
    torch.testing.assert_close(targets, slow_sinkhorn_distribution(logits, 0.1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(targets.sum(-1), torch.ones(num_global, batch))


def test_sinkhorn_uses_all_prototypes_where_centering_would_use_one():
    torch.manual_seed(0)
    logits = 0.1 * torch.randn(2, 32, 4) + torch.tensor([0.9, 0.0, 0.0, 0.0])  # all clips prefer the first
    used = sinkhorn_distribution(logits, 0.1).mean(dim=(0, 1))
    torch.testing.assert_close(used, torch.full((4,), 0.25), atol=0.02, rtol=0)


def on_processes(world, function):
    """`function(rank, gather)` on so many threads that gather from each other."""
    parts, meet = [None] * world, Barrier(world)

    def process(rank):
        def gather(rows):
            parts[rank] = rows
            meet.wait()
            joined = torch.cat(parts)
            meet.wait()
            return joined

        return function(rank, gather)

    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(process, range(world)))


@pytest.mark.parametrize("world", [2, 3])
def test_sinkhorn_is_the_same_on_every_number_of_processes(world):
    torch.manual_seed(0)
    logits = torch.rand(2, 6, 5)
    parts = logits.chunk(world, dim=1)
    shares = on_processes(world, lambda rank, gather: sinkhorn_distribution(parts[rank], 0.07, gather))
    torch.testing.assert_close(torch.cat(shares, dim=1), sinkhorn_distribution(logits, 0.07))


@pytest.mark.parametrize(("views", "batch"), [(1, 2), (2, 5), (3, 9)])
def test_koleo_loss_and_one_step(views, batch):
    torch.manual_seed(0)
    start, after = torch.randn(views, batch, 6), []
    for loss_function in (koleo_loss, slow_koleo_loss):
        features = start.clone().requires_grad_(True)
        losses = loss_function(features)
        losses.sum().backward()
        after.append((losses.detach(), features.detach() - features.grad))
    torch.testing.assert_close(after[0], after[1], atol=1e-5, rtol=1e-4)


def test_koleo_is_finite_for_one_clip_and_for_twins():
    assert koleo_loss(torch.randn(2, 1, 4)).tolist() == [0, 0]
    twins = torch.ones(1, 2, 4, requires_grad=True)
    koleo_loss(twins).sum().backward()
    assert torch.isfinite(twins.grad).all()


@pytest.mark.parametrize(("num_global", "views", "batch", "prototypes"), SIZES)
def test_distillation_loss_and_one_step(num_global, views, batch, prototypes):
    torch.manual_seed(0)
    targets = torch.randn(num_global, batch, prototypes).softmax(-1)
    start = torch.randn(views, batch, prototypes)
    after = []
    for loss_function in (distillation_loss, slow_distillation_loss):
        student = start.clone().requires_grad_(True)
        optimizer = torch.optim.SGD([student], lr=1.0)
        losses = loss_function(student, targets, 0.2)
        losses.mean().backward() if losses.requires_grad else None
        optimizer.step()
        after.append((losses.detach(), student.detach()))
    torch.testing.assert_close(after[0], after[1], atol=1e-5, rtol=1e-4)


def test_a_single_global_view_has_no_pair_with_itself():
    losses = distillation_loss(torch.randn(2, 3, 5), torch.randn(1, 3, 5).softmax(-1), 0.1)
    assert losses[0] == 0 and losses[1] > 0


@pytest.mark.parametrize(("views", "batch", "instances", "negatives"), [(1, 2, 2, 2), (3, 4, 9, 9), (2, 3, 30, 7)])
def test_instance_loss_and_one_step(views, batch, instances, negatives):
    torch.manual_seed(0)
    normal = torch.nn.functional.normalize
    cache, start = normal(torch.randn(instances, 6), dim=-1), normal(torch.randn(views, batch, 6), dim=-1)
    ids = torch.randperm(instances)[:batch] if instances >= batch else torch.randint(instances, (batch,))
    negative_ids = torch.randint(instances, (negatives,))
    after = []
    for slow in (False, True):
        features = start.clone().requires_grad_(True)
        optimizer = torch.optim.SGD([features], lr=1.0)
        if slow:
            losses = slow_instance_loss(features, ids, cache, negative_ids, 0.5)
        else:
            losses = instance_loss(features, ids, cache[ids], cache[negative_ids], negative_ids, 0.5)
        losses.sum().backward()
        optimizer.step()
        after.append((losses.detach(), features.detach()))
    torch.testing.assert_close(after[0], after[1], atol=1e-5, rtol=1e-4)


def test_one_instance_alone_has_nothing_to_be_told_from():
    z = torch.nn.functional.normalize(torch.randn(1, 1, 4), dim=-1)
    ids = torch.tensor([0])
    assert float(instance_loss(z, ids, z[0], z[0], ids, 0.07)) == pytest.approx(0, abs=1e-6)
