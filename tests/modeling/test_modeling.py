"""The encoder: what every class shares, its shapes, its positions in space and time, masked tokens, sizes."""

from __future__ import annotations

import pytest
import torch

from preface_hf import PrefAceConfig, PrefAceModel
from preface_hf.modeling import PRESETS
from tests.modeling_common import TINY, ModelTests


class TestPrefAceModel(ModelTests):
    model_class = PrefAceModel
    main_output = "pooler_output"

    def test_promised_shapes(self, model):
        output = model(self.clips())
        assert output.last_hidden_state.shape == (3, 2 * 4 * 4, 32)
        assert output.pooler_output.shape == (3, 32)
        torch.testing.assert_close(output.pooler_output, output.last_hidden_state.mean(1))

    @pytest.mark.parametrize(("frames", "size"), [(2, 32), (8, 32), (4, 16), (4, 48), (6, 40)])
    def test_a_token_for_every_tubelet(self, model, frames, size):
        tokens = model(self.clips(1, frames, size, size)).last_hidden_state
        assert tokens.shape[1] == frames // 2 * (size // 8) ** 2

    def test_the_norm_after_the_pool(self):
        torch.manual_seed(0)
        model = PrefAceModel(PrefAceConfig(**TINY, norm_after_pooling=True)).eval()
        torch.nn.init.normal_(model.layernorm.weight)
        output = model(self.clips(), output_hidden_states=True)
        torch.testing.assert_close(output.pooler_output, model.layernorm(output.hidden_states[-1].mean(1)))
        torch.testing.assert_close(output.last_hidden_state, model.layernorm(output.hidden_states[-1]))

    def test_images_are_clips_of_identical_frames(self, model):
        assert model(self.clips(1, 1).expand(1, 2, -1, -1, -1)).last_hidden_state.shape == (1, 16, 32)

    def test_masked_tokens_are_left_out(self, model):
        clips, mask = self.clips(2), torch.zeros(2, 32, dtype=torch.bool)
        mask[0, :8] = mask[1, 24:] = True
        assert model(clips, bool_masked_pos=mask).last_hidden_state.shape == (2, 24, 32)
        changed = clips.clone()
        changed[0, :2, :, :16] = 0  # time 0, upper half: tokens 0 to 7
        torch.testing.assert_close(
            model(changed, bool_masked_pos=mask).pooler_output, model(clips, bool_masked_pos=mask).pooler_output
        )

    @pytest.mark.parametrize(
        ("mask", "message"),
        [
            (torch.zeros(2, 31, dtype=torch.bool), r"shape \(2, 31\), but \(2 clips, 32 tokens\)"),
            (torch.eye(2, 32, dtype=torch.bool).cumsum(0) > 0, "keeps from 30 to 31 tokens"),
        ],
    )
    def test_masks_that_do_not_fit_are_named(self, model, mask, message):
        with pytest.raises(ValueError, match=message):
            model(self.clips(2), bool_masked_pos=mask)

    @pytest.mark.slow  # it compiles
    def test_flex_attention_equals_sdpa(self, model):
        sdpa = self.output(model, self.clips())
        model.set_attn_implementation("flex_attention")
        torch.testing.assert_close(self.output(model, self.clips()), sdpa, atol=1e-5, rtol=1e-4)


class TestPositions:
    @pytest.fixture
    def positions(self):
        return PrefAceModel(PrefAceConfig(**TINY)).embeddings.positions

    def test_the_trained_size_has_the_table_itself(self, positions):
        assert positions((2, 4, 4)) is positions.table

    def test_the_same_picture_at_twice_the_size(self, positions):
        larger = positions((4, 8, 8))
        shrunk = torch.nn.functional.interpolate(
            larger.reshape(1, 4, 8, 8, 32).permute(0, 4, 1, 2, 3), size=(2, 4, 4), mode="area"
        )
        # the border is held, not extrapolated: compare the middle of time and space loosely
        table = positions.table.reshape(2, 4, 4, 32)[:, 1:3, 1:3]
        assert (shrunk[0].permute(1, 2, 3, 0)[:, 1:3, 1:3] - table).abs().mean() < 0.25 * table.abs().mean()


@pytest.mark.parametrize("size", [112, 160, 224, 256])
@pytest.mark.parametrize("frames", [8, 16, 32])
def test_the_sizes_of_the_field(frames, size):
    """16 frames of 224² is the trained size; the other sizes go through interpolated positions."""
    torch.manual_seed(0)
    config = PrefAceConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    model = PrefAceModel(config).eval()
    with torch.no_grad():
        output = model(torch.randn(1, frames, 3, size, size))
    assert output.last_hidden_state.shape == (1, frames // 2 * (size // 16) ** 2, 32)
    assert output.pooler_output.isfinite().all()


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name):
    config = PrefAceConfig.from_preset(name, num_frames=4)
    with torch.device("meta"):
        weights = sum(weight.numel() for weight in PrefAceModel(config).parameters())
    assert config.num_frames == 4
    assert weights / 1e6 == pytest.approx(
        {"vit-t": 0.84, "vit-s": 21.9, "vit-b": 86.2, "vit-l": 303.9}[name], rel=0.01
    )


def test_unknown_presets_are_named():
    with pytest.raises(ValueError, match="unknown size 'vit-x': choose one of vit-t"):
        PrefAceConfig.from_preset("vit-x")


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
