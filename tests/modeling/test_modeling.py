"""The backbone: shapes, positions, attention back ends, and what it refuses."""

import pytest
import torch

from preface_hf import PrefAceConfig, PrefAceForPreTraining, PrefAceModel


TINY = {"image_size": 32, "patch_size": 8, "num_frames": 4, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 64, "projector_hidden_size": 32, "projector_output_size": 16,
        "num_prototypes": 32, "facefeat_size": 16}  # fmt: skip


@pytest.fixture
def model():
    torch.manual_seed(0)
    return PrefAceModel(PrefAceConfig(**TINY)).eval()


def test_promised_shapes(model):
    output = model(torch.randn(3, 4, 3, 32, 32), output_hidden_states=True)
    assert output.last_hidden_state.shape == (3, 2 * 4 * 4, 32)
    assert output.pooler_output.shape == (3, 32)
    assert [tuple(state.shape) for state in output.hidden_states] == [(3, 32, 32)] * 3
    torch.testing.assert_close(output.pooler_output, output.last_hidden_state.mean(1))


@pytest.mark.parametrize(("frames", "size"), [(2, 32), (8, 32), (4, 16), (4, 48), (6, 40)])
def test_any_size_that_divides(model, frames, size):
    assert model(torch.randn(1, frames, 3, size, size)).last_hidden_state.shape[1] == frames // 2 * (size // 8) ** 2


def test_interpolation_keeps_place_and_the_trained_table(model):
    embeddings = model.embeddings
    assert embeddings.interpolate_positions((2, 4, 4)) is embeddings.positions
    larger = embeddings.interpolate_positions((4, 8, 8))
    shrunk = torch.nn.functional.interpolate(
        larger.reshape(1, 4, 8, 8, 32).permute(0, 4, 1, 2, 3), size=(2, 4, 4), mode="area"
    )
    # the border is held, not extrapolated: compare the middle of time and space loosely
    table = embeddings.positions.reshape(2, 4, 4, 32)[:, 1:3, 1:3]
    assert (shrunk[0].permute(1, 2, 3, 0)[:, 1:3, 1:3] - table).abs().mean() < 0.25 * table.abs().mean()


def test_images_are_clips_of_identical_frames(model):
    image = torch.randn(1, 1, 3, 32, 32)
    assert model(image.expand(1, 2, -1, -1, -1)).last_hidden_state.shape == (1, 16, 32)


def test_sdpa_equals_eager(model):
    clip = torch.randn(2, 4, 3, 32, 32)
    sdpa = model(clip).last_hidden_state
    model.set_attn_implementation("eager")
    output = model(clip, output_attentions=True)
    torch.testing.assert_close(output.last_hidden_state, sdpa, atol=1e-5, rtol=1e-4)
    assert [tuple(weights.shape) for weights in output.attentions] == [(2, 2, 32, 32)] * 2
    torch.testing.assert_close(output.attentions[0].sum(-1), torch.ones(2, 2, 32))


def test_gradient_checkpointing_gives_the_same_gradients(model):
    clip, gradients = torch.randn(2, 4, 3, 32, 32), []
    for checkpointing in (False, True):
        model.train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        model.zero_grad()
        model(clip).pooler_output.square().sum().backward()
        gradients.append([weight.grad.clone() for weight in model.parameters()])
    torch.testing.assert_close(*gradients)


def test_a_clip_does_not_see_its_neighbours(model):
    clips = torch.randn(3, 4, 3, 32, 32)
    torch.testing.assert_close(model(clips).pooler_output[1:2], model(clips[1:2]).pooler_output, atol=1e-5, rtol=1e-4)


def test_masked_tokens_are_left_out(model):
    clips, mask = torch.randn(2, 4, 3, 32, 32), torch.zeros(2, 32, dtype=torch.bool)
    mask[0, :8] = mask[1, 24:] = True
    assert model(clips, bool_masked_pos=mask).last_hidden_state.shape == (2, 24, 32)
    changed = clips.clone()
    changed[0, :2, :, :16] = 0  # time 0, upper half: tokens 0 to 7
    torch.testing.assert_close(
        model(changed, bool_masked_pos=mask).pooler_output, model(clips, bool_masked_pos=mask).pooler_output
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_saved_and_loaded_equal(model, tmp_path, dtype):
    model.save_pretrained(tmp_path)
    loaded = PrefAceModel.from_pretrained(tmp_path, dtype=dtype).eval()
    clip = torch.randn(1, 4, 3, 32, 32)
    tolerance = {torch.float32: 0, torch.bfloat16: 0.1, torch.float16: 0.02}[dtype]
    assert loaded.dtype == dtype
    torch.testing.assert_close(loaded.embeddings.positions.float(), model.embeddings.positions, atol=0.01, rtol=0)
    torch.testing.assert_close(
        loaded(clip).last_hidden_state.float(), model(clip).last_hidden_state, atol=tolerance, rtol=tolerance
    )


def test_pretraining_heads():
    torch.manual_seed(0)
    student = PrefAceForPreTraining(PrefAceConfig(**TINY))
    output = student(torch.randn(3, 4, 3, 32, 32))
    assert output.prototype_logits.shape == (3, 32) and output.prototype_logits.abs().max() <= 1 + 1e-5
    torch.testing.assert_close(output.facefeat.norm(dim=-1), torch.ones(3))


def test_the_encoder_opens_from_a_pretraining_checkpoint(tmp_path, caplog):
    student = PrefAceForPreTraining(PrefAceConfig(**TINY)).eval()
    student.save_pretrained(tmp_path)
    clip = torch.randn(1, 4, 3, 32, 32)
    encoder = PrefAceModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(encoder(clip).pooler_output, student(clip).pooler_output)
    assert "UNEXPECTED" not in caplog.text and "MISSING" not in caplog.text


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 3, 32, 32), "frame count 3 .* tubelet_size=2"),
        ((1, 4, 3, 30, 32), "height 30 .* patch_size=8"),
        ((1, 4, 3, 32, 12), "width 12 .* patch_size=8"),
        ((1, 4, 1, 32, 32), r"\(1, 4, 1, 32, 32\).* 3 channels"),
        ((4, 3, 32, 32), r"shape \(4, 3, 32, 32\)"),
    ],
)
def test_clips_that_do_not_fit_are_named(model, shape, message):
    with pytest.raises(ValueError, match=message):
        model(torch.zeros(shape))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_frames": 15}, "num_frames=15 .* tubelet_size=2"),
        ({"image_size": 30}, "image_size=30 .* patch_size=8"),
        ({"num_attention_heads": 3}, "hidden_size=32 .* num_attention_heads=3"),
        ({"patch_size": 0}, "patch_size=0"),
    ],
)
def test_configs_that_do_not_divide_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        PrefAceConfig(**{**TINY, **wrong})
