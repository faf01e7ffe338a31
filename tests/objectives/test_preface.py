"""The objective: what changes when, what each term sees, and that one batch can be learnt by heart."""

import numpy as np
import pytest
import torch

from preface_hf import PrefAceConfig, PrefAceForPreTraining
from preface_hf.data.opening import as_mixture, open_prepared
from preface_hf.data.order import rows_in_order
from preface_hf.data.streams import ViewStream
from preface_hf.data.views import ViewConfig
from preface_hf.objectives.losses import distillation_loss, instance_loss
from preface_hf.objectives.preface import PrefAceObjective, PrefAceObjectiveConfig
from preface_hf.objectives.schedules import cosine


VIEWS = ViewConfig(num_frames=4, global_size=32, num_local=2, local_size=16)


@pytest.fixture(scope="module")
def batch(prepared):
    """Six clips of five people, always the same: how fast they are learnt by heart depends on which they are."""
    data = as_mixture(open_prepared(prepared))
    rows = data.reader().rows(rows_in_order(data.counts, np.array([9, 2, 7, 4, 5, 11])))
    return ViewStream(data, VIEWS, batch_size=6, seed=0).collate([(0, row) for row in rows])


def make(num_instances=12, max_steps=100, scratch=".", **config) -> PrefAceObjective:
    torch.manual_seed(0)
    student = PrefAceForPreTraining(
        PrefAceConfig(
            image_size=32, patch_size=8, num_frames=4, hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=128, projector_hidden_size=64, projector_output_size=32, num_prototypes=64,
            facefeat_size=32,
        )
    )  # fmt: skip
    return PrefAceObjective(
        student, PrefAceObjectiveConfig(**config), views=VIEWS, num_instances=num_instances, max_steps=max_steps,
        seed=0, pixels=([0.5] * 3, [0.25] * 3), scratch=scratch,
    )  # fmt: skip


def fill(objective, batch):
    clips = batch.global_tubes[:, 0]
    objective.start([(batch.instance_ids, clips)])


def test_loss_is_the_sum_of_its_terms_view_by_view(batch):
    objective = make(local_weight=2.0, instance_weight=0.5)
    fill(objective, batch)
    output = objective(batch, step=0)
    # the same from single views, each through the network on its own
    tubes = [batch.global_tubes[:, v] for v in range(2)] + [batch.small_tubes[:, v] for v in range(7)]
    views = [objective.student(objective.pixel_values(tube, batch.colors[:, v])) for v, tube in enumerate(tubes)]
    targets = torch.stack([(view.prototype_logits / 0.04).softmax(-1) for view in views[:2]]).detach()
    per_view = distillation_loss(torch.stack([view.prototype_logits for view in views]), targets, 0.1)
    pairs = torch.tensor([1, 1, 4, 4, 2, 2, 2, 2, 2])  # teacher views of each student view, local ones twice
    distill = (per_view * pairs).sum() / pairs.sum()
    positives, everything = objective.cache.lookup(batch.instance_ids), objective.cache.entries
    facefeat = torch.stack([view.facefeat for view in views])
    per_view_id = instance_loss(facefeat, batch.instance_ids, positives, everything, torch.arange(12), 0.07)
    identity = (per_view_id * torch.tensor([1, 1, 2, 2, 1, 1, 1, 1, 1])).sum() / 11
    torch.testing.assert_close(output.loss, distill + 0.5 * identity, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(output.logs["loss_landmark"], per_view[4:].mean().detach(), atol=1e-4, rtol=1e-4)


def loss_and_logs(batch, **config):
    objective = make(**config)
    fill(objective, batch)
    output = objective(batch, step=3)
    return float(output.loss.detach()), {name: float(value) for name, value in output.logs.items()}


DISTILLED = {"loss_distill", "kl", "loss_global", "loss_local", "loss_landmark"}
TARGETS = DISTILLED | {"teacher_entropy", "teacher_information"}


@pytest.mark.parametrize(
    ("setting", "value", "changed"),
    [
        ("global_weight", 0.5, {"loss_distill", "kl", "loss_id"}),
        ("local_weight", 0.5, {"loss_distill", "kl", "loss_id"}),
        ("landmark_weight", 0.0, {"loss_distill", "kl", "loss_id"}),
        ("student_temperature", 0.2, DISTILLED),
        ("teacher_temperature_start", 0.05, TARGETS),
        ("targets", "sinkhorn", TARGETS),
        ("instance_weight", 0.5, set()),
        ("instance_temperature", 0.2, {"loss_id"}),
        ("cache_negatives", 6, {"loss_id"}),
        ("koleo_weight", 0.1, {"loss_koleo"}),
        ("teacher_momentum", 0.5, None),
        ("center_momentum", 0.5, None),
        ("cache_momentum", 0.9, None),
    ],
)
def test_a_switch_changes_its_own_terms_only(batch, plain, setting, value, changed):
    (loss, logs), (new_loss, new_logs) = plain, loss_and_logs(batch, **{setting: value})
    assert (new_loss != loss) == (changed is not None)
    different = {name for name in new_logs if new_logs[name] != logs.get(name)}
    assert different - {"used_prototypes"} == (changed or set())


@pytest.fixture(scope="module")
def plain(batch):
    return loss_and_logs(batch)


def test_terms_add_up_with_their_weights(batch):
    loss, logs = loss_and_logs(batch, instance_weight=0.5, koleo_weight=0.1)
    assert loss == pytest.approx(logs["loss_distill"] + 0.5 * logs["loss_id"] + 0.1 * logs["loss_koleo"], rel=1e-5)


def test_kl_is_what_the_student_adds_to_the_entropy_of_its_targets(batch):
    _, logs = loss_and_logs(batch, local_weight=0.0, landmark_weight=0.0)
    assert logs["kl"] == pytest.approx(logs["loss_global"] - logs["teacher_entropy"], rel=1e-5)
    assert logs["kl"] > 0


def test_watching_takes_one_row_a_clip_from_every_process(batch):
    objective, gathered = make(), []
    fill(objective, batch)
    objective.gather = lambda rows: gathered.append(rows) or torch.cat([rows, rows])
    objective(batch, step=0)
    assert [tuple(rows.shape) for rows in gathered] == [(6, 64), (12,)]
    first = objective.student(objective.pixel_values(batch.global_tubes[:, 0], batch.colors[:, 0])).pooler_output
    torch.testing.assert_close(gathered[0], first.detach(), atol=1e-4, rtol=1e-4)


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="cache_device='gpu' is unknown: choose one of accelerator, host, disk"):
        PrefAceObjectiveConfig(cache_device="gpu")
    with pytest.raises(ValueError, match="targets='softmax' is unknown: choose one of centering, sinkhorn"):
        PrefAceObjectiveConfig(targets="softmax")


def test_losses_stay_in_float32_where_the_networks_do_not(batch):
    objective = make()
    fill(objective, batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = objective(batch, step=0)
    assert output.loss.dtype == torch.float32
    assert {value.dtype for value in output.logs.values()} == {torch.float32}


def test_nothing_but_gradients_changes_before_the_step(batch):
    objective = make()
    fill(objective, batch)
    before = {k: v.clone() for k, v in flat(objective.state_dict()).items()}
    objective(batch, step=0).loss.backward()
    after = flat(objective.state_dict())
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(weight.grad is not None for weight in objective.trainable_parameters())
    assert all(weight.grad is None for weight in objective.teacher.parameters())


def test_after_step_moves_teacher_center_and_cache(batch):
    objective = make(teacher_momentum=0.75, cache_momentum=0.5, center_momentum=0.9)
    fill(objective, batch)
    facefeat_center = objective.facefeat_center.clone()
    entries, teacher = objective.cache.entries.clone(), objective.teacher.model.projector.layers[0].weight.clone()
    objective(batch, step=0)
    features = objective.teacher.model.feature_mean.clone()
    with torch.no_grad():
        seen = objective.teacher(objective.view_pixels(batch)[0])
        student = objective.student.projector.layers[0].weight
        student.add_(1.0)
    objective.after_step(0)
    torch.testing.assert_close(objective.teacher.model.projector.layers[0].weight, 0.75 * teacher + 0.25 * student)
    torch.testing.assert_close(objective.center, 0.1 * seen.prototype_logits.mean(0), atol=1e-5, rtol=1e-4)
    z = torch.nn.functional.normalize(seen.facefeat.reshape(6, 2, -1).mean(1) - facefeat_center, dim=-1)
    expected = torch.nn.functional.normalize(0.5 * entries[batch.instance_ids].float() + 0.5 * z, dim=-1)
    torch.testing.assert_close(objective.cache.entries[batch.instance_ids].float(), expected, atol=1e-2, rtol=1e-2)
    moved = objective.teacher.model.feature_mean
    torch.testing.assert_close(moved, 0.9 * features + 0.1 * seen.pooler_output.mean(0), atol=1e-5, rtol=1e-4)
    unseen = [i for i in range(12) if i not in batch.instance_ids.tolist()]
    assert torch.equal(objective.cache.entries[unseen], entries[unseen])


def test_the_teacher_stays_frozen_and_in_evaluation_mode():
    objective = make()
    objective.teacher.train()
    assert not objective.teacher.model.training
    assert not any(weight.requires_grad for weight in objective.teacher.parameters())


def test_without_the_instance_term_the_cache_rests(batch):
    objective = make(instance_weight=0.0)
    output = objective(batch, step=0)
    objective.after_step(0)
    assert "loss_id" not in output.logs
    assert not objective.cache.entries.any()


def test_starting_standardizes_what_the_heads_see(batch):
    objective = make()
    fill(objective, batch)
    for model in (objective.student, objective.teacher.model):
        pooled = model(objective.pixel_values(batch.global_tubes[:, 0])).pooler_output
        seen = model.standardize(pooled)
        torch.testing.assert_close(seen.mean(0), torch.zeros(64), atol=1e-3, rtol=0)
        torch.testing.assert_close(seen.std(0), torch.ones(64), atol=2e-2, rtol=0)
    assert objective.cache.entries[batch.instance_ids].float().mean(0).norm() < 0.5  # they point all ways


@pytest.mark.slow  # test_methods overfits a batch by each method
def test_one_batch_can_be_overfitted(batch):
    steps = 300
    objective = make(max_steps=steps, teacher_momentum=0.9, teacher_temperature=0.04)
    fill(objective, batch)
    optimizer = torch.optim.AdamW(objective.trainable_parameters(), lr=1e-3)
    logs = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = cosine(step, steps, 1e-3, 1e-5)
        output = objective(batch, step)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        objective.after_step(step)
        logs.append(output.logs)
    last = {name: float(torch.stack([row[name] for row in logs[-20:]]).median()) for name in logs[0]}
    assert last["loss_id"] < 0.2 * logs[0]["loss_id"]
    assert last["loss_distill"] < 0.5 * logs[0]["loss_distill"]
    # no collapse: the targets tell the six clips apart (the log of 6 is 1.79)
    assert last["teacher_information"] > 0.5


def flat(state, prefix=""):
    items = {}
    for key, value in state.items():
        items.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return items


def test_starting_in_parts_takes_statistics_from_the_first(batch, monkeypatch):
    monkeypatch.setattr("preface_hf.objectives.plain_features.ROWS_AT_ONCE", 4)
    objective, clips = make(), batch.global_tubes[:, 0]
    features = objective.teacher(objective.pixel_values(clips)).pooler_output
    parts = [(batch.instance_ids[rows], clips[rows]) for rows in ([0, 1], [2, 3], [4, 5])]
    objective.start(parts)
    torch.testing.assert_close(objective.student.feature_mean, features[:4].mean(0), atol=1e-5, rtol=1e-4)
    before = {key: value.clone() for key, value in flat(objective.state_dict()).items()}
    teacher = objective.teacher.model
    with torch.no_grad():
        z = teacher.facefeat_projector(teacher.standardize(features))
    expected = torch.nn.functional.normalize(z - z[:4].mean(0), dim=-1)
    found = objective.cache.lookup(batch.instance_ids).float()
    torch.testing.assert_close(found, expected, atol=2e-2, rtol=0)
    objective.start(parts[::-1])
    assert all(torch.equal(before[key], value) for key, value in flat(objective.state_dict()).items())


@pytest.mark.parametrize("place", ["host", "disk"])
def test_the_place_of_the_cache_changes_no_bit(batch, tmp_path, place):
    found = []
    for device in ("accelerator", place):
        objective = make(cache_device=device, scratch=tmp_path)
        fill(objective, batch)
        losses = []
        for step in range(2):
            losses.append(objective(batch, step).loss.detach())
            objective.after_step(step)
        found.append([*losses, objective.cache.entries])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    assert (objective.cache.mapped is not None) == (place == "disk")


def test_a_row_that_two_processes_sent_counts_once(batch):
    once, twice = make(), make()
    fill(once, batch)
    clips = batch.global_tubes[:, 0]
    repeated = torch.tensor([0, 1, 2, 3, 4, 5, 5, 5])
    twice.start([(batch.instance_ids[repeated], clips[repeated])])
    torch.testing.assert_close(once.student.feature_mean, twice.student.feature_mean)
    torch.testing.assert_close(once.facefeat_center, twice.facefeat_center)


@pytest.mark.parametrize(("weight", "passed"), [(0.0, 1), (1.0, 4)])
def test_without_l_id_only_the_first_clips_are_decoded_before_the_first_step(batch, monkeypatch, weight, passed):
    monkeypatch.setattr("preface_hf.objectives.plain_features.ROWS_AT_ONCE", 1)
    asked = []

    def clips():
        for instance in range(4):
            asked.append(instance)
            yield torch.tensor([instance]), batch.global_tubes[:1, 0]

    make(instance_weight=weight).start(clips())
    assert len(asked) == passed
