"""MARLIN (marlin-pytorch) as PrefAce: the same encoder and decoder, but q, k and v in one weight, the norm after the
pool, and the values of a cube in another order."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from preface_hf.convert.weights import listed, load_strictly, rename
from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining, PrefAceModel, PrefAceVideoProcessor


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
CRITIC = {
    f"discriminator.layers.{layer}.linear.{part}": f"{name}.{part}"
    for layer, name in enumerate(("hidden", "score"))
    for part in ("weight", "bias")
}
CRITIC_FILE = "critic.safetensors"  # beside the model, for who trains on
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
    weights, name = open_source(source)
    encoder = encoder_of(weights)
    model = PrefAceModel(read_config(encoder, name))
    check_positions(encoder.pop("pos_embedding.emb"), model.embeddings.positions.table, name)
    return load_strictly(model, split_projections(encoder), name).eval()


def full_from_marlin(
    source: str | Path | Mapping[str, torch.Tensor],
) -> tuple[PrefAceForPreTraining, dict[str, torch.Tensor]] | None:
    """MARLIN's encoder and decoder as a `PrefAceForPreTraining`, and the weights of the critic (empty where `source`
    has none); `None` where there is no decoder. For the rest see [`from_marlin`]."""
    weights, name = open_source(source)
    if not any(key.startswith(HEADS[:2]) for key in weights):
        return None
    encoder = encoder_of(weights)
    decoder = {key: tensor.float() for key, tensor in weights.items() if key.startswith("decoder.")}
    decoder = {key.removeprefix("decoder."): tensor for key, tensor in decoder.items()}
    config = read_config(encoder, name)
    config.update(decoder_sizes(weights, name))
    model = PrefAceForPreTraining(config)
    for part, table in ((encoder, model.preface.embeddings.positions), (decoder, model.decoder.positions)):
        check_positions(part.pop("pos_embedding.emb", table.table[:, :0]), table.table, name)
    ours = {f"preface.{key}": tensor for key, tensor in split_projections(encoder).items()}
    ours |= {f"decoder.{key}": tensor for key, tensor in split_projections(decoder).items()}
    if "enc_dec_proj.weight" in weights:
        ours["decoder.projection.weight"] = weights["enc_dec_proj.weight"].float()
    for key in ("decoder.head.weight", "decoder.head.bias"):
        if key in ours:
            ours[key] = channels_last(ours[key], config)
    return load_strictly(model, ours, name).eval(), critic_of(weights, config, name)


def critic_of(weights: Mapping[str, torch.Tensor], config: PrefAceConfig, name: str) -> dict[str, torch.Tensor]:
    """The critic's weights under our names; empty where there are none. `ValueError` for part of a critic."""
    theirs = {key: tensor.float() for key, tensor in weights.items() if key.startswith("discriminator")}
    if theirs and theirs.keys() != CRITIC.keys():
        raise ValueError(
            f"the critic of {name} does not fit; missing: {listed(list(CRITIC.keys() - theirs.keys()))}; unexpected: "
            f"{listed(list(theirs.keys() - CRITIC.keys()))}; give an unchanged checkpoint."
        )
    critic = {CRITIC[key]: tensor for key, tensor in theirs.items()}
    if critic:
        critic["hidden.weight"] = channels_last(critic["hidden.weight"].T, config).T.contiguous()
    return critic


def channels_last(rows: torch.Tensor, config: PrefAceConfig) -> torch.Tensor:
    """Rows that belong to the values of a cube, of which MARLIN has the channels first, in our order."""
    size = config.num_channels, config.tubelet_size, config.patch_size, config.patch_size
    return rows.unflatten(0, size).movedim(0, 3).flatten(0, 3).contiguous()


def open_source(source: str | Path | Mapping[str, torch.Tensor]) -> tuple[Mapping[str, torch.Tensor], str]:
    """The weights of `source`, and its name for messages; `ValueError` where there is no MARLIN in it."""
    name = "this state dict" if isinstance(source, Mapping) else repr(str(source))
    weights = source if isinstance(source, Mapping) else read_weights(Path(source))
    if "encoder.patch_embedding.projection.weight" not in weights:
        raise ValueError(f"{name} holds no MARLIN encoder: give a .pt or .ckpt of marlin-pytorch, or its state dict")
    return weights, name


def encoder_of(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The encoder's weights, in float32."""
    return {
        key.removeprefix("encoder."): tensor.float() for key, tensor in weights.items() if not key.startswith(HEADS)
    }


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


def decoder_sizes(weights: Mapping[str, torch.Tensor], name: str) -> dict[str, Any]:
    """Fields of the configuration that the shapes of a decoder's weights tell."""
    try:
        width = len(weights["enc_dec_proj.weight"])
        inner = len(weights["decoder.blocks.0.mlp.layers.0.linear.weight"])
    except KeyError as error:
        raise ValueError(
            f"{name} is not a whole MARLIN: its decoder lacks {error}; give the full checkpoint."
        ) from None
    layers = 1 + max(int(key.split(".")[2]) for key in weights if key.startswith("decoder.blocks."))
    return {
        "pretraining_method": "marlin", "decoder_hidden_size": width, "decoder_num_hidden_layers": layers,
        "decoder_num_attention_heads": width // HEAD_SIZE, "decoder_intermediate_size": inner,
    }  # fmt: skip


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
