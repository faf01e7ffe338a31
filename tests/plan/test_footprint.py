"""Bytes by formula beside what torch keeps for a backward pass, and what a checkpoint takes on disk."""

import pytest
import torch

from preface_hf.modeling import PrefAceForPreTraining
from preface_hf.plan.footprint import (
    checkpoint_bytes,
    count_parameters,
    disk,
    encoder_bytes,
    head_bytes,
    layer_bytes,
    memory,
    pixel_bytes,
)
from preface_hf.training.arguments import PretrainArguments, load_arguments
from preface_hf.training.loop import pretrain


SMALL = {"image_size": 64, "num_frames": 4, "num_hidden_layers": 4, "num_prototypes": 2048}


def kept_bytes(objective, batch) -> int:
    """Bytes of what the forward pass keeps for the backward pass, each storage once, weights and cache left out."""
    own = [*objective.student.parameters()]
    for network in ("teacher", "critic"):
        own += getattr(objective, network).parameters() if hasattr(objective, network) else []
    own += [objective.cache.entries] if hasattr(objective, "cache") else []
    addresses = {tensor.untyped_storage().data_ptr() for tensor in own}
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in addresses:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = objective(batch, 0)
    assert output.loss.requires_grad
    return sum(storages.values())


@pytest.mark.parametrize(
    ("settings", "instances"),
    [
        ({"size": "vit-t", "batch_size": 4}, 600),
        ({"size": "vit-t", "batch_size": 3, "model": SMALL, "views": {"num_local": 0, "parts": []}}, 600),
        ({"size": "vit-s", "batch_size": 2, "model": SMALL}, 9000),
        ({"size": "vit-t", "batch_size": 4, "attn_implementation": "eager"}, 600),
        ({"method": "marlin", "size": "vit-t", "batch_size": 4}, 600),
        ({"method": "videomae", "size": "vit-t", "batch_size": 4, "attn_implementation": "eager"}, 600),
    ],
)
def test_what_a_step_keeps(settings, instances, noise_step):
    arguments = PretrainArguments(**settings)
    parts = arguments.parts()
    predicted = encoder_bytes(arguments, parts) + head_bytes(arguments, parts, instances)
    predicted += pixel_bytes(arguments, parts) * 4 // 5
    assert predicted == pytest.approx(kept_bytes(*noise_step(arguments, instances)), rel=0.03)


def test_what_a_step_keeps_with_gradient_checkpointing(noise_step):
    arguments = PretrainArguments(size="vit-t", batch_size=4, gradient_checkpointing=True)
    parts = arguments.parts()
    predicted = encoder_bytes(arguments, parts) + head_bytes(arguments, parts, 600)
    predicted += pixel_bytes(arguments, parts) * 4 // 5
    sizes = parts.model.hidden_size, parts.model.intermediate_size, parts.model.num_attention_heads
    one_layer = 4 * 2 * 256 * layer_bytes(*sizes, mixed=False)  # alive during the backward pass only
    assert predicted - one_layer == pytest.approx(kept_bytes(*noise_step(arguments, 600)), rel=0.03)


def test_parameters_are_those_of_the_model():
    config = PretrainArguments(size="vit-t").parts().model
    assert sum(count_parameters(config).values()) == PrefAceForPreTraining(config).num_parameters()


def test_a_checkpoint_on_disk(tiny_settings, tmp_path):
    settings = {**tiny_settings, "model": {**tiny_settings["model"], "projector_hidden_size": 512}, "max_steps": 1}
    arguments = load_arguments(None, {**settings, "output_dir": str(tmp_path / "run")})
    pretrain(arguments)
    predicted = checkpoint_bytes(arguments, arguments.parts(), 12)
    (folder,) = (tmp_path / "run/checkpoints").iterdir()
    code = sum(file.stat().st_size for file in folder.glob("*.py"))
    found = sum(file.stat().st_size for file in folder.iterdir()) - code
    assert found == pytest.approx(predicted, rel=0.02)
    assert disk(arguments, arguments.parts(), 12)["1 kept and one in the making"] == predicted


def test_several_processes_hold_gradients_twice():
    arguments = PretrainArguments(size="vit-t", model=SMALL)
    alone, several = (memory(arguments, arguments.parts(), 100, n) for n in (1, 8))
    assert several["gradients"] == 2 * alone["gradients"]
    assert {name for name in alone if alone[name] != several[name]} == {"gradients"}


def test_a_critic_is_counted_to_the_weight(noise_step):
    arguments = PretrainArguments(method="marlin", size="vit-t")
    parts = arguments.parts()
    objective, _ = noise_step(arguments, 50)
    weights = sum(weight.numel() for weight in objective.critic.parameters())
    costs = parts.method.costs(parts.model, parts.views, parts.objective, False, 50)
    assert costs.memory == {"critic": 16 * weights}  # itself, its gradients, two moments
    assert costs.checkpoint_bytes == 12 * weights
    plain = PretrainArguments(method="videomae", size="vit-t").parts()
    costs = plain.method.costs(plain.model, plain.views, plain.objective, False, 50)
    assert costs.memory == {} and costs.checkpoint_bytes == 0
