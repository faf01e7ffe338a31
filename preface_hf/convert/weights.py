"""Renaming weights, and loading them strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from transformers import PreTrainedModel


Model = TypeVar("Model", bound=PreTrainedModel)


def rename(key: str, names: Sequence[tuple[str, str]]) -> str:
    """The key after every (pattern, replacement) of `names`, in order."""
    for pattern, replacement in names:
        key = re.sub(pattern, replacement, key)
    return key


def listed(keys: Sequence[str], limit: int = 8) -> str:
    """The keys for a message; long lists are cut with their count."""
    text = ", ".join(sorted(keys)[:limit])
    return f"{text} and {len(keys) - limit} more" if len(keys) > limit else text or "none"


def load_strictly(model: Model, weights: Mapping[str, torch.Tensor], source: str) -> Model:
    """Fill `model`; a missing, unexpected or misshapen weight is a `ValueError` that lists it."""
    # one to one, by name and shape: `load_state_dict` alone would not say which shapes differ
    places = model.state_dict()
    missing, unexpected = list(places.keys() - weights.keys()), list(weights.keys() - places.keys())
    misshapen = [
        f"{key} {tuple(weights[key].shape)} instead of {tuple(places[key].shape)}"
        for key in places.keys() & weights.keys()
        if weights[key].shape != places[key].shape
    ]
    if missing or unexpected or misshapen:
        raise ValueError(
            f"{source} does not fit; missing: {listed(missing)}; unexpected: {listed(unexpected)}; "
            f"of another shape: {listed(misshapen)}; give an unchanged checkpoint."
        )
    if broken := [key for key, tensor in weights.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{source} holds NaN or infinity in {listed(broken)}; give a checkpoint that is whole.")
    # From here on nothing can be missing or of another shape.
    model.load_state_dict(weights)
    return model
