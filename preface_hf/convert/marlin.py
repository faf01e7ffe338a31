"""MARLIN (marlin-pytorch) as PrefAce: the same encoder, but q, k and v in one weight, and the norm after the pool."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from preface_hf.convert.weights import load_strictly, rename
from preface_hf.modeling import PrefAceConfig, PrefAceModel, PrefAceVideoProcessor


# Names of MARLIN's weights, and where they stand here.
NAMES = [
    (r"^patch_embedding\.projection\.", "embeddings.projection."),
    (r"^blocks\.(\d+)\.norm1\.", r"layers.\1.layernorm_before."),
    (r"^blocks\.(\d+)\.norm2\.", r"layers.\1.layernorm_after."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"layers.\1.attention.o_proj."),
    (r"^blocks\.(\d+)\.attn\.([qv])_bias$", r"layers.\1.attention.\2_proj.bias"),
    (r"^blocks\.(\d+)\.mlp\.layers\.0\.linear\.", r"layers.\1.mlp.fc1."),
    (r"^blocks\.(\d+)\.mlp\.layers\.1\.linear\.", r"layers.\1.mlp.fc2."),
    (r"^norm\.", "layernorm."),
]
HEADS = ("decoder.", "enc_dec_proj.", "discriminator")  # of the full model and of the training checkpoint
HEAD_SIZE = 64  # of S, B and L: the one size that the shapes do not tell
NUM_FRAMES = 16
LAYER_NORM_EPS = 1e-5


def from_marlin(source: str | Path | Mapping[str, torch.Tensor]) -> PrefAceModel:
    """A `PrefAceModel` with the weights of MARLIN's encoder, its size (S, B, L) read off the shapes, in float32.

    source: a `.pt` or `.ckpt` file of marlin-pytorch (encoder or full model), or its state dict. The model's
    `last_hidden_state` is `extract_features(x, keep_seq=True)`, its `pooler_output` `keep_seq=False`. Clips are
    `(batch, frames, channels, height, width)` here, frames and channels the other way round there; pixels in [0, 1].
    Raises `ValueError` where it is no MARLIN, or listing every weight that is missing or has no place here.
    """
    name = "this state dict" if isinstance(source, Mapping) else repr(str(source))
    weights = source if isinstance(source, Mapping) else read_weights(Path(source))
    if "encoder.patch_embedding.projection.weight" not in weights:
        raise ValueError(f"{name} holds no MARLIN encoder: give a .pt or .ckpt of marlin-pytorch, or its state dict")
    encoder = {
        key.removeprefix("encoder."): tensor.float() for key, tensor in weights.items() if not key.startswith(HEADS)
    }
    config = read_config(encoder, name)
    model = PrefAceModel(config)
    check_positions(encoder.pop("pos_embedding.emb"), model.embeddings.positions, name)
    return load_strictly(model, split_projections(encoder), name).eval()


def marlin_processor(config: PrefAceConfig) -> PrefAceVideoProcessor:
    """MARLIN's pixels: in [0, 1], not normalized; every second frame."""
    side = config.image_size
    return PrefAceVideoProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, do_normalize=False,
        num_frames=config.num_frames, sampling_rate=2,
    )  # fmt: skip


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """The state dict in a `.pt` or Lightning `.ckpt` file; no code in the file is run."""
    if not file.is_file():
        raise ValueError(f"{str(file)!r} is not a file: give a .pt or .ckpt of marlin-pytorch")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"{str(file)!r} cannot be read as weights alone ({reason}): export its state dict") from error
    # Lightning keeps the weights of a .ckpt under `state_dict`, beside its own state.
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ValueError(f"{str(file)!r} holds a {type(content).__name__}, not weights by name: export its state dict")
    return content


def read_config(weights: Mapping[str, torch.Tensor], name: str) -> PrefAceConfig:
    """Sizes off the shapes; the clip is taken for one of 16 frames (all published models)."""
    try:
        hidden_size, channels, tubelet_size, patch_size, _ = weights["patch_embedding.projection.weight"].shape
        tokens = weights["pos_embedding.emb"].shape[1]
        intermediate_size = len(weights["blocks.0.mlp.layers.0.linear.weight"])
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f"{name} is not a whole MARLIN encoder: {error} is missing or misshapen") from error
    # Positions are frames / tubelet times side x side patches: the side follows from their number.
    side = math.isqrt(tokens * tubelet_size // NUM_FRAMES)
    if side * side * NUM_FRAMES != tokens * tubelet_size or hidden_size % HEAD_SIZE:
        raise ValueError(
            f"{name} has {tokens} positions of width {hidden_size}: MARLIN has {NUM_FRAMES} square frames and heads "
            f"of {HEAD_SIZE}, which does not fit."
        )
    return PrefAceConfig(
        image_size=side * patch_size, patch_size=patch_size, num_channels=channels, num_frames=NUM_FRAMES,
        tubelet_size=tubelet_size, hidden_size=hidden_size, num_attention_heads=hidden_size // HEAD_SIZE,
        num_hidden_layers=1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks.")),
        intermediate_size=intermediate_size, layer_norm_eps=LAYER_NORM_EPS,
        qv_bias="blocks.0.attn.q_bias" in weights, norm_after_pooling=True,
    )  # fmt: skip


def check_positions(stored: torch.Tensor, positions: torch.Tensor, name: str) -> None:
    """MARLIN stores its sin-cos table; a table that was trained or changed has no place here."""
    if stored.shape != positions.shape or (stored - positions).abs().max() > 1e-3:
        raise ValueError(f"the positions of {name} (pos_embedding.emb) are not MARLIN's sin-cos table: it was changed")


def split_projections(weights: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """MARLIN's weights under our names, `qkv` split in three."""
    split: dict[str, torch.Tensor] = {}
    for key, tensor in weights.items():
        if key.endswith(".attn.qkv.weight"):
            # one matrix (3 * hidden, hidden): queries, keys, values
            block = key.split(".")[1]
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                split[f"layers.{block}.attention.{part}_proj.weight"] = rows
        else:
            split[rename(key, NAMES)] = tensor
    return split
