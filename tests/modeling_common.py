"""The tests that every model class shares. A class's own test file inherits `ModelTests` and names its class."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel

from preface_hf import PrefAceConfig
from preface_hf.adapters import LORA_TARGETS, add_lora, head_modules, load_lora
from preface_hf.modeling.configuration_preface import AUTO_MAP


TINY = {"image_size": 32, "patch_size": 8, "num_frames": 4, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 64, "projector_hidden_size": 32, "projector_output_size": 16,
        "num_prototypes": 32, "facefeat_size": 16, "num_labels": 5, "num_landmarks": 7,
        "initializer_range": 0.2}  # fmt: skip


class ModelTests:
    """Give `model_class`, the name of its `main_output`, and `labels` if it has a loss."""

    model_class: ClassVar[Any]
    main_output: ClassVar[str]

    def labels(self, batch: int) -> dict[str, torch.Tensor]:
        return {}

    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        return self.model_class(PrefAceConfig(**TINY)).eval()

    def clips(self, batch: int = 3, frames: int = 4, height: int = 32, width: int = 32) -> torch.Tensor:
        return torch.randn(batch, frames, 3, height, width, generator=torch.Generator().manual_seed(1))

    def output(self, model, clips: torch.Tensor, **kwargs) -> torch.Tensor:
        with torch.no_grad():
            return model(clips, **kwargs)[self.main_output]

    def scalar(self, model, clips: torch.Tensor) -> torch.Tensor:
        """Something to differentiate: the loss, or a sum that every output takes part in."""
        labels = self.labels(len(clips))
        output = model(clips, **labels)
        parts = [output.loss] if labels else [part for name, part in output.items() if name != "last_hidden_state"]
        return sum((part * torch.linspace(-1, 1, part.shape[-1] if part.ndim else 1)).sum() for part in parts)

    # What it computes

    def test_the_same_clip_gives_the_same_output(self, model):
        torch.manual_seed(0)
        again = self.model_class(PrefAceConfig(**TINY)).eval()
        first = self.output(model, self.clips())
        assert first.std() > 0.01
        assert torch.equal(first, self.output(model, self.clips())), "in one model"
        assert torch.equal(first, self.output(again, self.clips())), "in two of one seed"

    def test_a_clip_does_not_see_its_neighbors(self, model):
        together, alone = self.output(model, self.clips()), self.output(model, self.clips()[1:2])
        torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(together[:1], together[1:2], atol=1e-3), "but clips differ"

    def test_sdpa_equals_eager(self, model):
        sdpa = self.output(model, self.clips())
        model.set_attn_implementation("eager")
        torch.testing.assert_close(self.output(model, self.clips()), sdpa, atol=1e-5, rtol=1e-4)

    @pytest.mark.parametrize(("frames", "height", "width"), [(2, 32, 32), (8, 16, 16), (6, 48, 40), (16, 32, 32)])
    def test_other_sizes(self, model, frames, height, width):
        output = self.output(model, self.clips(2, frames, height, width))
        assert output.isfinite().all() and len(output) == 2

    def test_hidden_states_and_attentions(self, model):
        model.set_attn_implementation("eager")
        output = model(self.clips(), output_hidden_states=True, output_attentions=True)
        assert [tuple(state.shape) for state in output.hidden_states] == [(3, 32, 32)] * 3
        assert [tuple(weights.shape) for weights in output.attentions] == [(3, 2, 32, 32)] * 2
        torch.testing.assert_close(output.attentions[1].sum(-1), torch.ones(3, 2, 32))
        assert model(self.clips()).hidden_states is None

    def test_a_tuple_on_request(self, model):
        labels = self.labels(3)
        output = model(self.clips(), **labels)
        as_tuple = model(self.clips(), **labels, return_dict=False)
        assert isinstance(as_tuple, tuple) and torch.equal(as_tuple[0], output[0])
        assert not labels or as_tuple[0].ndim == 0, "the loss comes first"

    # How it trains

    def test_gradient_checkpointing_gives_the_same_gradients(self, model):
        gradients = []
        for checkpointing in (False, True):
            model.train()
            if checkpointing:
                (getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable)()
            model.zero_grad()
            self.scalar(model, self.clips()).backward()
            gradients.append({name: weight.grad.clone() for name, weight in model.named_parameters()})
        torch.testing.assert_close(*gradients)

    def test_every_weight_gets_a_gradient(self, model):
        self.scalar(model.train(), self.clips()).backward()
        idle = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
        assert idle == []

    # How it is saved and loaded

    def test_saved_and_loaded_equal(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        loaded, info = self.model_class.from_pretrained(tmp_path, output_loading_info=True)
        assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))
        assert torch.equal(self.output(loaded, self.clips()), self.output(model, self.clips()))
        assert not loaded.training

    def test_buffers_after_loading(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        buffers = dict(self.model_class.from_pretrained(tmp_path).named_buffers())
        assert list(buffers) == [name for name, _ in model.named_buffers()] != []
        assert all(torch.equal(buffers[name], buffer) for name, buffer in model.named_buffers())

    def test_no_weight_is_left_uninitialized(self, model, tmp_path):
        """All weights are missing from the checkpoint, and new memory is filled with NaN."""
        model.save_pretrained(tmp_path)
        save_file({"nothing": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
        torch.use_deterministic_algorithms(True)
        try:
            loaded = self.model_class.from_pretrained(tmp_path)
        finally:
            torch.use_deterministic_algorithms(False)
        assert all(value.isfinite().all() for value in loaded.state_dict().values())
        assert all(buffer.isfinite().all() for buffer in loaded.buffers())
        deviations = {name: weight.std() for name, weight in loaded.named_parameters() if weight.ndim > 1}
        assert all(0.1 < deviation < 0.3 for deviation in deviations.values()), deviations

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_dtypes(self, model, tmp_path, dtype):
        model.save_pretrained(tmp_path)
        loaded = self.model_class.from_pretrained(tmp_path, dtype=dtype)
        expected, found = self.output(model, self.clips()), self.output(loaded, self.clips()).float()
        assert loaded.dtype == dtype
        assert (found - expected).abs().max() <= {4: 0, 2: 0.06}[dtype.itemsize] * expected.abs().max()

    def test_every_door_opens_it(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        written = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
        assert written["auto_map"] == AUTO_MAP and written["architectures"] == [self.model_class.__name__]
        encoder, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"]
        pooled = getattr(model, "preface", model)(self.clips()).pooler_output
        torch.testing.assert_close(encoder(self.clips()).pooler_output, pooled)

    # How it is adapted and exported

    def test_lora_wraps_trains_saves_loads_and_merges(self, model, tmp_path):
        model.save_pretrained(tmp_path / "base")
        base = self.model_class.from_pretrained(tmp_path / "base").train()
        frozen = {name: weight.clone() for name, weight in base.named_parameters()}
        adapted = add_lora(base, rank=4)
        optimizer = torch.optim.SGD([weight for weight in adapted.parameters() if weight.requires_grad], lr=0.1)
        for _ in range(2):  # the second step moves A, which waits for B to leave zero
            optimizer.zero_grad()
            self.scalar(adapted, self.clips()).backward()
            optimizer.step()
        trained = self.output(adapted.eval(), self.clips())
        assert (trained - self.output(model, self.clips())).abs().max() > 1e-4
        adapted.save_pretrained(tmp_path / "adapter")
        assert sorted(file.suffix for file in (tmp_path / "adapter").iterdir()) == [".json", ".md", ".safetensors"]
        assert torch.equal(self.output(load_lora(tmp_path / "adapter"), self.clips()), trained)
        merged = load_lora(tmp_path / "adapter").merge_and_unload()
        assert type(merged) is self.model_class
        torch.testing.assert_close(self.output(merged, self.clips()), trained, atol=1e-5, rtol=1e-5)
        merged.save_pretrained(tmp_path / "merged")
        again = self.model_class.from_pretrained(tmp_path / "merged")
        assert torch.equal(self.output(again, self.clips()), self.output(merged, self.clips()))
        weights = dict(merged.named_parameters())
        changed = {name.split(".")[-2] for name in frozen if not torch.equal(weights[name], frozen[name])}
        inside_heads = {name.split(".")[-2] for name in frozen if name.startswith(tuple(head_modules(model)))}
        assert set(LORA_TARGETS) <= changed <= {*LORA_TARGETS, *inside_heads}

    def test_export_with_a_dynamic_batch(self, model):
        batch = torch.export.Dim("batch", min=1, max=64)
        program = torch.export.export(model, (self.clips(2),), dynamic_shapes={"pixel_values_videos": {0: batch}})
        for count in (1, 5):
            found = program.module()(self.clips(count))[self.main_output]
            torch.testing.assert_close(found, self.output(model, self.clips(count)), atol=1e-5, rtol=1e-4)

    # What it refuses

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
    def test_clips_that_do_not_fit_are_named(self, model, shape, message):
        with pytest.raises(ValueError, match=message):
            model(torch.zeros(shape))

    def test_nan_pixels_are_named(self, model):
        clips = self.clips()
        clips[2, 1, 0, 5, 5] = torch.nan
        with pytest.raises(ValueError, match="NaN or infinity, first in clip 2, frame 1"):
            model(clips)

    def test_another_architecture_is_refused(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
        (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "videomae"}), encoding="utf-8")
        with pytest.raises(ValueError, match="a 'videomae' model, not a 'preface' one.*preface-hf convert"):
            self.model_class.from_pretrained(tmp_path)

    def test_weights_of_another_size_are_refused(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=r"has shape .*64.*asks for .*48.*ignore_mismatched_sizes"):
            self.model_class.from_pretrained(tmp_path, intermediate_size=48)
