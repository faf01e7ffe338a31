import pytest
import torch

from preface_hf.training.arguments import PretrainArguments
from preface_hf.training.build import build_accelerator, build_model


MODEL = {"image_size": 32, "num_frames": 4, "num_hidden_layers": 2, "num_prototypes": 64}


def loss_with(noise_step, name):
    arguments = PretrainArguments(size="vit-t", model=MODEL, batch_size=3, attn_implementation=name)
    objective, batch = noise_step(arguments, 5)
    assert objective.student.config._attn_implementation == name
    assert objective.teacher.model.config._attn_implementation == name
    loss = objective(batch, 0).loss
    loss.backward()
    return loss.detach(), [weight.grad for weight in objective.trainable_parameters()]


def test_eager_attention_trains_as_fused_attention_does(noise_step):
    (eager, eager_gradients), (fused, fused_gradients) = (loss_with(noise_step, name) for name in ("eager", "sdpa"))
    torch.testing.assert_close(eager, fused, atol=1e-5, rtol=1e-5)
    for one, other in zip(eager_gradients, fused_gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["fussed", "flash_attention_2"])
def test_attention_that_is_not_there_is_one_sentence(name):
    arguments = PretrainArguments(size="vit-t", model=MODEL, attn_implementation=name)
    sentence = f"attn_implementation='{name}' does not work here .*set it to sdpa"
    with pytest.raises(ValueError, match=sentence) as caught:
        build_model(arguments, arguments.parts())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "objective"),
    [("preface", {}), ("preface", {"instance_weight": 0.0}), ("dino", {}), ("marlin", {}), ("videomae", {})],
)
def test_ddp_is_told_of_weights_without_gradients(noise_step, method, objective):
    arguments = PretrainArguments(size="vit-t", method=method, model=MODEL, batch_size=3, objective=objective)
    trained, batch = noise_step(arguments, 5)
    trained(batch, 0).loss.backward()
    unused = any(weight.grad is None for weight in trained.trainable_parameters())
    assert unused == (objective != {})
    assert build_accelerator(arguments, arguments.parts()).ddp_handler.find_unused_parameters == unused
