"""The tests that every model class shares. A class's own test file inherits `ModelTests` and names its class."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForKeypointDetection,
    AutoModelForPreTraining,
    AutoModelForVideoClassification,
)

from preface_hf import (
    PrefAceConfig,
    PrefAceForLandmarkDetection,
    PrefAceForPreTraining,
    PrefAceForVideoClassification,
    PrefAceModel,
)
from preface_hf.adapters import LORA_TARGETS, add_lora, head_modules, load_lora
from preface_hf.modeling.configuration_preface import AUTO_MAP
from preface_hf.modeling.modeling_preface import sinusoid_positions


TINY = {"image_size": 32, "patch_size": 8, "num_frames": 4, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 64, "projector_hidden_size": 32, "projector_output_size": 16,
        "num_prototypes": 32, "facefeat_size": 16, "num_labels": 5, "num_landmarks": 7,
        "initializer_range": 0.2}  # fmt: skip

AUTO_CLASSES = {
    PrefAceModel: AutoModel,
    PrefAceForPreTraining: AutoModelForPreTraining,
    PrefAceForVideoClassification: AutoModelForVideoClassification,
    PrefAceForLandmarkDetection: AutoModelForKeypointDetection,
}


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
            loaded, _ = self.model_class.from_pretrained(tmp_path, output_loading_info=True)
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

    # At another clip size than it was trained at

    def opened_for_eight_frames(self, folder: Path) -> dict[str, Any]:
        """The checkpoint for clips of 8 frames of 48² pixels, through every door that takes a configuration."""
        asked = {"num_frames": 8, "image_size": 48}
        config = self.model_class.config_class.from_pretrained(folder)
        config.update(asked)
        again = self.model_class.from_pretrained(folder, **asked)
        again.save_pretrained(folder.with_name("again"))
        by_hand = self.model_class(AutoConfig.from_pretrained(folder, **asked))
        by_hand.load_state_dict(self.model_class.from_pretrained(folder).state_dict())
        return {
            "keywords": again,
            "Auto class": AUTO_CLASSES[self.model_class].from_pretrained(folder, **asked),
            "read configuration": self.model_class.from_pretrained(folder, config=config),
            "new configuration": self.model_class.from_pretrained(folder, config=PrefAceConfig(**{**TINY, **asked})),
            "AutoConfig and load_state_dict": by_hand,
            "saved again": self.model_class.from_pretrained(folder.with_name("again")),
            "saved again, trained size": self.model_class.from_pretrained(
                folder.with_name("again"), num_frames=4, image_size=32
            ),
        }

    @pytest.mark.parametrize("release", ["this", "before"])
    def test_a_clip_size_in_the_configuration_keeps_the_positions(self, model, tmp_path, release):
        """A new table for the size asked for would put other positions into the weights than they know."""
        model.save_pretrained(tmp_path / "model")
        if release == "before":  # its checkpoints did not say for which grid the table was made
            file = tmp_path / "model/config.json"
            config = json.loads(file.read_text(encoding="utf-8"))
            del config["pretrained_grid"]
            file.write_text(json.dumps(config), encoding="utf-8")
        for size in ((8, 48, 48), (4, 32, 32), (2, 64, 16)):
            clips = self.clips(2, *size)
            for door, opened in self.opened_for_eight_frames(tmp_path / "model").items():
                found, expected = self.output(opened.eval(), clips), self.output(model, clips)
                assert torch.equal(found, expected), (door, size)

    def test_new_weights_have_a_table_of_their_own(self, model):
        size = {"num_frames": 8, "image_size": 48}
        new = AUTO_CLASSES[self.model_class].from_config(PrefAceConfig(**{**TINY, **size}))
        assert new.config.pretrained_grid == [4, 6, 6] and model.config.pretrained_grid == [2, 4, 4]
        table = getattr(new, "preface", new).embeddings.positions.table
        assert torch.equal(table, sinusoid_positions(4 * 6 * 6, 32))

    # Made without memory

    def materials(self, model) -> dict[str, Any]:
        """The model made on the meta device and filled, in every way that torch has."""
        weights = model.state_dict()
        with torch.device("meta"):
            emptied, assigned, copied = (self.model_class(PrefAceConfig(**TINY)) for _ in range(3))
        emptied.to_empty(device="cpu").load_state_dict(weights)
        assigned.load_state_dict(weights, assign=True)
        copied = deepcopy(copied)
        copied.to_empty(device="cpu").load_state_dict(weights)
        moved = deepcopy(model).to("meta")
        moved.load_state_dict(weights, assign=True)
        back = deepcopy(model).to("meta").to_empty(device="cpu")
        back.load_state_dict(weights)
        return {"to_empty": emptied, "assign": assigned, "deepcopy": copied, "moved": moved, "back": back}

    def test_made_on_the_meta_device(self, model):
        torch.use_deterministic_algorithms(True)  # new memory is filled with NaN
        try:
            materials = self.materials(model)
        finally:
            torch.use_deterministic_algorithms(False)
        for way, filled in materials.items():
            assert torch.equal(self.output(filled.eval(), self.clips()), self.output(model, self.clips())), way

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_cast_after_loading_equals_loaded_so(self, model, tmp_path, dtype):
        """Positions keep the digits that interpolation needs, also where they are cast and cast back."""
        model.save_pretrained(tmp_path)
        loaded, clips = self.model_class.from_pretrained(tmp_path, dtype=dtype), self.clips(2, 8, 48, 48)
        assert torch.equal(self.output(deepcopy(model).to(dtype), clips), self.output(loaded, clips))
        back = self.model_class.from_pretrained(tmp_path, dtype=dtype).float()
        assert torch.equal(self.output(deepcopy(model).to(dtype).float(), clips), self.output(back, clips))
        assert all(torch.equal(dict(back.named_buffers())[n], b) for n, b in model.named_buffers() if "position" in n)

    def test_initialized_after_to_empty(self, model):
        with torch.device("meta"):
            emptied = self.model_class(PrefAceConfig(**TINY))
        torch.use_deterministic_algorithms(True)
        try:
            emptied.to_empty(device="cpu").init_weights()
        finally:
            torch.use_deterministic_algorithms(False)
        assert self.output(emptied.eval(), self.clips()).isfinite().all()

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
