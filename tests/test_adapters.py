"""LoRA through transformers' Trainer on real clips, and what the helper refuses; for each class: modeling_common."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Trainer, TrainingArguments

from preface_hf import PrefAceConfig, PrefAceForVideoClassification, PrefAceModel, PrefAceVideoProcessor
from preface_hf.adapters import add_lora, load_lora
from tests.modeling_common import TINY


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """An encoder checkpoint of the laptop size, untrained."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base")
    PrefAceModel(PrefAceConfig.from_preset("vit-t")).save_pretrained(folder)
    PrefAceVideoProcessor(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, num_frames=8
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def real_clips(shared, base):
    """Ten real clips; the label tells those of a cropped face from those in the wild."""
    processor = PrefAceVideoProcessor.from_pretrained(base)
    files = sorted((shared / "faces/marlin_clips").glob("*.mp4"))
    clips = [processor(str(file), return_tensors="pt")["pixel_values_videos"][0] for file in files]
    return [
        {"pixel_values_videos": clip, "labels": int("cropped" in file.name)}
        for clip, file in zip(clips, files, strict=True)
    ]


def test_lora_through_the_trainer(base, real_clips, tmp_path):
    torch.manual_seed(0)
    model = PrefAceForVideoClassification.from_pretrained(base, num_labels=2)
    adapted = add_lora(model, rank=8)
    trained = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
    assert trained < 0.2 * sum(weight.numel() for weight in adapted.parameters())
    arguments = TrainingArguments(
        tmp_path / "run", max_steps=30, per_device_train_batch_size=5, learning_rate=3e-3, logging_steps=1, seed=0,
        label_names=["labels"], save_steps=30, use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    processor = PrefAceVideoProcessor.from_pretrained(base)
    trainer = Trainer(adapted, arguments, train_dataset=real_clips, processing_class=processor)
    before = trainer.evaluate(real_clips)["eval_loss"]
    trainer.train()
    assert trainer.evaluate(real_clips)["eval_loss"] < 0.5 * before

    checkpoint = tmp_path / "run/checkpoint-30"
    assert (checkpoint / "adapter_model.safetensors").stat().st_size < 0.25 * (
        base / "model.safetensors"
    ).stat().st_size
    assert not (checkpoint / "model.safetensors").exists(), "the adapter alone"
    assert PrefAceVideoProcessor.from_pretrained(checkpoint).num_frames == 8
    clips = torch.stack([row["pixel_values_videos"] for row in real_clips])
    with torch.no_grad():
        logits = adapted.eval()(pixel_values_videos=clips).logits
        loaded = load_lora(checkpoint, num_labels=2)
        assert torch.equal(loaded(pixel_values_videos=clips).logits, logits), "identical after loading"
        merged = loaded.merge_and_unload()
        torch.testing.assert_close(merged(clips).logits, logits, atol=1e-5, rtol=1e-5)
    assert type(merged) is PrefAceForVideoClassification


def test_transformers_own_door_loads_the_adapter(base, real_clips, tmp_path):
    torch.manual_seed(0)
    adapted = add_lora(PrefAceModel.from_pretrained(base), rank=2)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    adapted.save_pretrained(tmp_path)
    model = PrefAceModel.from_pretrained(base)
    clip = real_clips[0]["pixel_values_videos"][None]
    plain = model(clip).pooler_output
    model.load_adapter(str(tmp_path))
    with torch.no_grad():
        assert not torch.allclose(model(clip).pooler_output, plain, atol=1e-3)
        torch.testing.assert_close(model(clip).pooler_output, adapted(clip).pooler_output)


def test_unknown_layers_are_named():
    with pytest.raises(ValueError, match=r"cannot adapt the layers \['query'\]: choose among q_proj"):
        add_lora(PrefAceModel(PrefAceConfig(**TINY)), targets=["query", "v_proj"])


def test_adapters_that_do_not_fit_are_named(base, tmp_path):
    add_lora(PrefAceForVideoClassification.from_pretrained(base, num_labels=3)).save_pretrained(tmp_path / "three")
    with pytest.raises(ValueError, match="does not fit .*num_labels"):
        load_lora(tmp_path / "three", num_labels=2)
    weights = load_file(tmp_path / "three/adapter_model.safetensors")
    save_file(weights | {next(iter(weights)): next(iter(weights.values())) * float("nan")},
              tmp_path / "three/adapter_model.safetensors")  # fmt: skip
    with pytest.raises(ValueError, match="classifier.* holds NaN or infinity in the checkpoint"):
        load_lora(tmp_path / "three", num_labels=3)
    add_lora(PrefAceModel(PrefAceConfig(**TINY))).save_pretrained(tmp_path / "homeless")
    with pytest.raises(ValueError, match="does not name its base"):
        load_lora(tmp_path / "homeless")
