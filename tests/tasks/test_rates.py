"""Which part of a model learns how fast."""

import pytest

from preface_hf import PrefAceConfig
from preface_hf.modeling import PrefAceForLandmarkDetection, PrefAceForVideoClassification
from preface_hf.tasks.arguments import FinetuneArguments
from preface_hf.tasks.fit.trainer import build_optimizer
from tests.modeling_common import TINY


@pytest.mark.parametrize(
    ("model", "head", "factor"),
    [(PrefAceForLandmarkDetection, "landmark_head.", 10), (PrefAceForVideoClassification, "classifier.", 1)],
)
def test_rates_fall_with_depth_and_points_have_ten_times_the_rate(model, head, factor):
    built = model(PrefAceConfig(**TINY))
    settings = FinetuneArguments(output_dir="run", learning_rate=1e-3, layer_decay=0.5)
    groups = build_optimizer(built, settings).param_groups
    rates = {id(weight): group["lr"] for group in groups for weight in group["params"]}
    named = dict(built.named_parameters())
    assert {rates[id(weight)] for name, weight in named.items() if name.startswith(head)} == {factor * 1e-3}
    layers = [rates[id(named[f"preface.layers.{layer}.mlp.fc1.weight"])] for layer in range(TINY["num_hidden_layers"])]
    assert all(later == pytest.approx(2 * earlier) for earlier, later in zip(layers, layers[1:], strict=False))
    assert layers[-1] == pytest.approx(0.5e-3)
