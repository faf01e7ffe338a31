"""What a classifier sees of a clip, and stochastic depth."""

import pytest
import torch
from transformers import AutoModelForVideoClassification

from preface_hf import PrefAceConfig, PrefAceForVideoClassification
from preface_hf.adapters import add_lora, load_lora
from preface_hf.modeling.configuration_preface import CLASSIFIER_POOLINGS
from preface_hf.modeling.pooling_preface import PrefAceDropPath
from tests.modeling_common import TINY


def model_with(pooling, **fields):
    torch.manual_seed(0)
    return PrefAceForVideoClassification(PrefAceConfig(**{**TINY, "classifier_pooling": pooling, **fields})).eval()


def features(model, clips):
    seen = []
    hook = model.classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(clips)
    hook.remove()
    return seen[0].detach()


@pytest.fixture
def clips():
    return torch.rand(3, 4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_mean_is_the_pooled_clip(clips):
    model = model_with("mean")
    assert torch.equal(features(model, clips), model.preface(clips).pooler_output)


def test_layers_are_the_means_of_the_last_four_each_normed(clips):
    model = model_with("layers", num_hidden_layers=5)
    states = model.preface(clips, output_hidden_states=True).hidden_states
    found = features(model, clips)
    assert found.shape == (3, 4 * 32)
    torch.testing.assert_close(found[:, 96:], model.preface(clips).pooler_output)
    torch.testing.assert_close(found[:, :32], model.preface.layernorm(states[2]).mean(1))
    assert features(model_with("layers"), clips).shape == (3, 64)  # a model of two layers


def test_grid_is_the_mean_of_each_part_of_the_frame(clips):
    model = model_with("grid", image_size=48, patch_size=8)  # 6x6 patches: parts of 2x2
    clips = torch.rand(2, 4, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    tokens = model.preface(clips).last_hidden_state.reshape(2, 2, 6, 6, 32)
    found = features(model, clips).reshape(2, 3, 3, 32)
    for row in range(3):
        for column in range(3):
            part = tokens[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean((1, 2, 3))
            torch.testing.assert_close(found[:, row, column], part)
    mask = torch.zeros(2, 72, dtype=torch.bool)
    mask[:, 0] = True
    with pytest.raises(ValueError, match="needs all 72, not 71: leave bool_masked_pos out"):
        model(clips, mask)


def test_attention_is_a_weighted_mean_of_values(clips):
    model = model_with("attentive")
    tokens, pooling = model.preface(clips).last_hidden_state, model.pooling
    key, value = pooling.key(tokens), pooling.value(tokens)
    for head in (slice(0, 16), slice(16, 32)):
        weights = (key[..., head] @ pooling.query[head] / 4).softmax(-1)  # (3, tokens)
        torch.testing.assert_close(features(model, clips)[:, head], (weights[..., None] * value[..., head]).sum(1))


@pytest.mark.parametrize("pooling", CLASSIFIER_POOLINGS)
def test_each_pooling_is_saved_and_takes_lora(pooling, clips, tmp_path):
    model = model_with(pooling)
    model.save_pretrained(tmp_path / "whole")
    again = AutoModelForVideoClassification.from_pretrained(tmp_path / "whole")
    assert torch.equal(again(clips).logits, model(clips).logits)
    adapted = add_lora(model_with(pooling)).eval()
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if weight.requires_grad:
                weight.add_(torch.full_like(weight, 0.01 if "lora" in name else 0.1))
    adapted.save_pretrained(tmp_path / "adapter")
    loaded = load_lora(tmp_path / "adapter", tmp_path / "whole")
    torch.testing.assert_close(loaded(pixel_values_videos=clips).logits, adapted(pixel_values_videos=clips).logits)


def test_a_missing_query_of_attention_is_drawn_anew(clips, tmp_path):
    model_with("mean").save_pretrained(tmp_path)
    model = PrefAceForVideoClassification.from_pretrained(tmp_path, classifier_pooling="attentive")
    assert 0.05 < float(model.pooling.query.detach().std()) < 0.5 and model(clips).logits.isfinite().all()


def test_drop_path_leaves_clips_out_and_keeps_the_mean():
    drop, states = PrefAceDropPath(0.25), torch.ones(40_000, 1, 1)
    torch.manual_seed(0)
    found = drop.train()(states).flatten()
    assert len(set(found.tolist())) == 2 and float(found.min()) == 0 and abs(found.mean() - 1) < 0.01
    assert found.max().item() == pytest.approx(4 / 3)
    assert torch.equal(drop.eval()(states), states)
    rates = [
        layer.drop_path.rate for layer in model_with("mean", num_hidden_layers=3, drop_path_rate=0.2).preface.layers
    ]
    assert rates == [0.0, 0.1, 0.2]


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="classifier_pooling='max' is unknown: choose one of mean, layers, grid"):
        PrefAceConfig(classifier_pooling="max")
