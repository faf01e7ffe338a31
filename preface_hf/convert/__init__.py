"""Weights of other video transformers as PrefAce models, with the processor that their pixels need.

Decoders come along, and MARLIN's critic, so that training can go on; classifiers are left out, by name. Any other
weight without a place, or a place without its weight, is a `ValueError` that lists it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from preface_hf.convert.marlin import CRITIC_FILE, from_marlin, full_from_marlin, marlin_processor
from preface_hf.convert.videomae import from_videomae, full_from_videomae, load_videomae, videomae_processor


__all__ = ["SOURCES", "convert", "from_marlin", "from_videomae", "full_from_marlin", "full_from_videomae"]

SOURCES = ("videomae", "marlin")


def convert(source: str, src: str | Path, out: str | Path) -> Any:
    """Write the checkpoint at `src` as a PrefAce checkpoint to the folder `out`, and return the model: a
    `PrefAceForPreTraining` where `src` has a decoder, else a `PrefAceModel`.

    source: `videomae` (src is a transformers folder or Hub name) or `marlin` (a `.pt` or `.ckpt` of marlin-pytorch).
    Raises `ValueError` for a checkpoint of another architecture, for weights that do not fit one to one, and for an
    `out` that is not empty; nothing is written then.
    """
    if source not in SOURCES:
        raise ValueError(f"unknown source {source!r}: choose {' or '.join(SOURCES)}")
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists and is not an empty folder: choose another place for the checkpoint")
    # both are read as a whole before the folder is made, so that a checkpoint that does not fit leaves nothing
    critic: dict[str, Any] = {}
    model: Any
    if source == "videomae":
        theirs = load_videomae(src)
        model = full_from_videomae(theirs) if hasattr(theirs, "decoder") else from_videomae(theirs)
        processor = videomae_processor(src, model.config)
    else:
        full = full_from_marlin(src)
        model, critic = full if full else (from_marlin(src), {})
        processor = marlin_processor(model.config)
    model.save_pretrained(out)
    processor.save_pretrained(out)
    if critic:
        save_file(critic, out / CRITIC_FILE)
    return model
