"""Opening a generator."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoConfig

from preface_hf.features.encoders import best_device
from preface_hf.files import is_missing
from preface_hf.modeling import PrefAceForLipSync, PrefAceLipSyncConfig


def load_generator(model: str | Path) -> PrefAceForLipSync:
    """The generator in a folder or on the Hub; `ValueError` where there is none, or another model."""
    how = "train one by `preface-hf finetune MODEL --task lipsync`"
    if is_missing(model):
        raise ValueError(f"there is no generator in {str(model)!r}: {how}.")
    kind = AutoConfig.from_pretrained(model).model_type
    if kind != PrefAceLipSyncConfig.model_type:
        raise ValueError(f"{str(model)!r} holds a {kind!r} model and no lip-sync generator: {how}.")
    generator: PrefAceForLipSync = PrefAceForLipSync.from_pretrained(model)
    return generator.eval().to(best_device())  # type: ignore[arg-type]
