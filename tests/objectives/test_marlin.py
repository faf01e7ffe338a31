"""MARLIN and VideoMAE: losses beside a slow reference, a step written out by hand, the critic, one batch learned."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import leaky_relu

from preface_hf.data.masked_clips import MaskedBatch
from preface_hf.data.opening import open_prepared
from preface_hf.objectives.masked.cubes import cubes, mean_color_error, reconstruct, to_clip
from preface_hf.training.arguments import PretrainArguments


TINY = {
    "image_size": 32, "num_frames": 4, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "decoder_hidden_size": 16, "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2, "decoder_intermediate_size": 32,
}  # fmt: skip


def settings(method, **more):
    return PretrainArguments(method=method, size="vit-t", model=TINY, batch_size=3, **more)


def slow_cube(clip, token, grid, tubelet, patch):
    """The values of one token of a clip `(T, C, S, S)`, one by one."""
    time, rest = divmod(token, grid[1] * grid[2])
    row, column = divmod(rest, grid[2])
    return [
        float(clip[time * tubelet + t, c, row * patch + y, column * patch + x])
        for t in range(tubelet) for y in range(patch) for x in range(patch) for c in range(3)
    ]  # fmt: skip


def slow_loss(objective, batch, normalize):
    """The mean squared error, cube by cube."""
    model = objective.model_config
    predicted = objective.student(
        (batch.clips.float() / 255 - objective.pixel_mean) / objective.pixel_std, batch.masks
    ).reconstruction
    grid, errors = (model.num_frames // model.tubelet_size, 4, 4), []
    for clip, mask, guess in zip(batch.clips, batch.masks, predicted.detach().double(), strict=True):
        for place, token in enumerate(np.flatnonzero(mask.numpy())):
            cube = np.array(slow_cube(clip.double() / 255, token, grid, model.tubelet_size, model.patch_size))
            if normalize:
                for c in range(3):
                    cube[c::3] = (cube[c::3] - cube[c::3].mean()) / (cube[c::3].std(ddof=1) + 1e-6)
            errors += ((guess[place].numpy() - cube) ** 2).tolist()
    return sum(errors) / len(errors)


@pytest.mark.parametrize(
    ("method", "targets"),
    [("marlin", "raw"), ("marlin", "normalized"), ("videomae", "normalized"), ("videomae", "raw")],
)
def test_the_loss_is_that_of_a_slow_reference(noise_step, method, targets):
    objective, batch = noise_step(settings(method, objective={"targets": targets}), 50)
    output = objective(batch, 0)
    expected = slow_loss(objective, batch, targets == "normalized")
    assert output.logs["loss_reconstruction"].item() == pytest.approx(expected, rel=1e-5)
    assert set(output.logs) >= {"mean_color_error", "feature_std", "effective_rank"}
    if method == "videomae":
        assert output.loss.item() == pytest.approx(expected, rel=1e-5)
        assert not hasattr(objective, "critic")


def score(weights, cube):
    return (
        leaky_relu(cube @ weights["hidden.weight"].T + weights["hidden.bias"]) @ weights["score.weight"].T
        + weights["score.bias"]
    )


def adam(weight, gradient, rate):
    """AdamW's first step, without decay."""
    return weight - rate * gradient / (gradient.abs() + 1e-8)


def test_both_adversarial_terms_and_one_step_by_hand(noise_step):
    objective, batch = noise_step(settings("marlin"), 50)
    output = objective(batch, 0)
    before = {name: weight.clone() for name, weight in objective.critic.state_dict().items()}
    student = {name: weight.detach().clone() for name, weight in objective.student.named_parameters()}
    # By hand: the reconstruction again, the critic as two products.
    pixels = batch.clips.float() / 255
    predicted = objective.student((pixels - objective.pixel_mean) / objective.pixel_std, batch.masks).reconstruction
    real = cubes(pixels, objective.model_config)[batch.masks].unflatten(0, (3, -1))
    fooled = -score(before, predicted).mean()
    loss = (predicted - real).square().mean() + 0.01 * fooled
    assert output.loss.item() == pytest.approx(loss.item(), rel=1e-6)
    assert output.logs["loss_adversarial"].item() == pytest.approx(fooled.item(), rel=1e-5, abs=1e-7)
    leaves = {name: weight.clone().requires_grad_(True) for name, weight in before.items()}
    told_apart = score(leaves, predicted.detach()).mean() - score(leaves, real).mean()
    assert output.logs["loss_critic"].item() == pytest.approx(told_apart.item(), rel=1e-4, abs=1e-7)
    critic_gradients = torch.autograd.grad(told_apart, list(leaves.values()))
    by_hand = torch.autograd.grad(loss, list(objective.student.parameters()))

    optimizer = torch.optim.AdamW(objective.student.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0)
    output.loss.backward()
    assert all(weight.grad is None for weight in objective.critic.parameters())
    optimizer.step()
    objective.after_step(0, 2e-3)
    for (name, weight), gradient in zip(objective.student.named_parameters(), by_hand, strict=True):
        # Where the gradient is as small as AdamW's epsilon its sign is noise.
        sure = gradient.abs() > 1e-6
        torch.testing.assert_close(weight.detach()[sure], adam(student[name], gradient, 1e-3)[sure], atol=2e-6, rtol=0)
    for (name, weight), gradient in zip(leaves.items(), critic_gradients, strict=True):
        sure, ours = gradient.abs() > 1e-6, objective.critic.state_dict()[name]
        torch.testing.assert_close(ours[sure], adam(weight.detach(), gradient, 2e-3)[sure], atol=2e-6, rtol=0)


def test_a_gradient_penalty_pulls_the_critics_slope_to_one(noise_step):
    steep, _ = noise_step(settings("marlin", objective={"gradient_penalty_weight": 10.0}), 50)
    for _ in range(150):
        steep.pending = [(torch.rand(1, 40, steep.critic.hidden.in_features),) * 2]
        steep.after_step(0, 1e-3)
    between = torch.rand(40, steep.critic.hidden.in_features, requires_grad=True)
    slope = torch.autograd.grad(steep.critic(between).sum(), between)[0].norm(dim=-1)
    assert slope.mean().item() == pytest.approx(1, abs=0.1)


def test_without_weight_there_is_no_critic_in_the_loss(noise_step):
    objective, batch = noise_step(settings("marlin", objective={"adversarial_weight": 0.0}), 50)
    output = objective(batch, 0)
    assert output.loss.item() == output.logs["loss_reconstruction"].item() and "loss_critic" not in output.logs
    before = objective.critic.hidden.weight.clone()
    objective.after_step(0, 1e-2)
    assert torch.equal(before, objective.critic.hidden.weight)


def test_accumulated_batches_are_one_step_of_the_critic(noise_step):
    (whole, batch), (parts, _) = (noise_step(settings("marlin"), 50) for _ in range(2))
    whole(batch, 0)
    for clips in range(3):
        parts(MaskedBatch(*(tensor[clips : clips + 1] for tensor in vars(batch).values())), 0)
    for objective in (whole, parts):
        objective.after_step(0, 1e-3)
    for one, other in zip(whole.critic.parameters(), parts.critic.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_a_step_that_was_not_made_leaves_the_critic(noise_step):
    objective, batch = noise_step(settings("marlin"), 50)
    before = objective.critic.hidden.weight.clone()
    objective(batch, 0)
    objective.skip_step()
    objective.after_step(0, 1e-2)
    assert torch.equal(before, objective.critic.hidden.weight)


def test_cubes_and_back(noise_step):
    objective, batch = noise_step(settings("marlin"), 50)
    cut = cubes(batch.clips.float() / 255, objective.model_config)
    assert all(
        torch.equal(to_clip(c, clip.shape, objective.model_config), clip)
        for c, clip in zip(cut, batch.clips, strict=True)
    )


@pytest.mark.parametrize("method", ["marlin", "videomae"])
def test_one_batch_is_learned(prepared, method):
    """Below the error of who predicts each cube's mean color, on drawn faces."""
    torch.manual_seed(0)
    from preface_hf.training.build import build_model

    arguments = settings(method, views={"mask_ratio": 0.75})
    parts = arguments.parts()
    student = build_model(arguments, parts)
    objective = parts.method.objective(
        student,
        parts.objective,
        views=parts.views,
        num_instances=12,
        max_steps=9,
        seed=0,
        pixels=([0.5] * 3, [0.25] * 3),
    )
    batch = next(iter(parts.method.stream(open_prepared(prepared), parts.views, 3, 0)))
    optimizer = torch.optim.AdamW(student.parameters(), lr=6e-3, betas=(0.9, 0.95), weight_decay=0.0)
    for step in range(400):
        output = objective(batch, step)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        objective.after_step(step, 1e-4)
    logs = {name: float(value) for name, value in output.logs.items()}
    assert logs["loss_reconstruction"] < 0.5 * logs["mean_color_error"], logs
    assert objective.warning(logs) is None
    assert "no lower than that of each cube's mean color" in objective.warning({**logs, "loss_reconstruction": 9.0})
    panels = reconstruct(student.eval(), objective.config, batch.clips[0], batch.masks[0], ([0.5] * 3, [0.25] * 3))
    original, made, seen = (panels[name].float() for name in ("original", "reconstructed", "seen"))
    assert torch.equal(panels["original"], batch.clips[0])
    visible = (seen == original) & (seen != 128)  # hidden cubes are shown gray
    assert torch.equal(made[visible], original[visible]) and visible.float().mean() > 0.2
    assert (made - original).abs().mean() < 0.5 * (seen - original).abs().mean()


def test_the_mean_color_is_what_it_is_compared_with():
    cube = torch.rand(2, 5, 12)
    by_channel = cube.unflatten(-1, (4, 3))
    expected = (by_channel - by_channel.mean(dim=2, keepdim=True)).square().mean()
    assert mean_color_error(cube, 3).item() == pytest.approx(expected.item(), rel=1e-5)
    assert math.isclose(mean_color_error(torch.ones(1, 1, 12), 3), 0.0)
