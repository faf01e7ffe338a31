"""Which weights learn how fast, and which decay."""

import pytest

from preface_hf import PrefAceConfig, PrefAceForPreTraining
from preface_hf.training.optimizer import build_optimizer


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
