"""Which weights learn how fast, and which decay."""

import pytest
import torch

from preface_hf import PrefAceConfig, PrefAceForPreTraining
from preface_hf.training.arguments import PretrainArguments
from preface_hf.training.optimizer import build_optimizer, set_schedules


@pytest.fixture(scope="module")
def model():
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    heads = {"projector_hidden_size": 16, "projector_output_size": 8, "num_prototypes": 8, "facefeat_size": 8}
    return PrefAceForPreTraining(PrefAceConfig(image_size=32, num_frames=4, **sizes, **heads))


def test_lower_layers_learn_more_slowly(model):
    names = {id(weight): name for name, weight in model.named_parameters()}
    groups = build_optimizer(model, 1.0, layer_decay=0.5).param_groups
    found = {names[id(weight)]: (group["factor"], group["decays"]) for group in groups for weight in group["params"]}
    assert found.keys() == set(names.values())
    assert found["preface.embeddings.projection.weight"] == (0.125, True)
    assert found["preface.layers.0.attention.q_proj.bias"] == (0.25, False)
    assert found["preface.layers.1.mlp.fc1.weight"] == (0.5, True)
    assert found["preface.layernorm.weight"] == (1.0, False)
    assert found["prototypes.weight"] == found["projector.layers.0.weight"] == (1.0, True)


def test_without_layer_decay_there_are_two_groups(model):
    groups = build_optimizer(model, 1.0).param_groups
    assert [(group["factor"], group["decays"]) for group in groups] == [(1.0, True), (1.0, False)]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_a_step_without_gradients_shrinks_matrices_only(model):
    before = {name: weight.detach().clone().add_(1) for name, weight in model.named_parameters()}
    model.load_state_dict(before, strict=False)
    optimizer = build_optimizer(model, 1.0, layer_decay=0.5)
    arguments = PretrainArguments(
        learning_rate=0.2, warmup_steps=2, max_steps=10, weight_decay=0.4, final_weight_decay=0.8
    )
    logged = set_schedules(optimizer, arguments, step=0, global_batch=128)
    assert logged == pytest.approx({"learning_rate": 0.05, "weight_decay": 0.4})  # half the peak of half the batch
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    factors = {id(weight): group["factor"] for group in optimizer.param_groups for weight in group["params"]}
    for name, weight in model.named_parameters():
        shrunk = 1 - 0.05 * factors[id(weight)] * 0.4 if weight.ndim > 1 else 1.0
        torch.testing.assert_close(weight.detach(), before[name] * shrunk, msg=name)
