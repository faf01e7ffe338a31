"""Weights of other video transformers as PrefAce models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from preface_hf.modeling import PrefAceConfig, PrefAceModel


if TYPE_CHECKING:
    from transformers import VideoMAEModel

# Names of VideoMAE's weights in transformers, and where they stand here.
VIDEOMAE_NAMES = [
    (r"^embeddings\.patch_embeddings\.projection\.", "embeddings.projection."),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.query\.", r"layers.\1.attention.q_proj."),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.key\.", r"layers.\1.attention.k_proj."),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.value\.", r"layers.\1.attention.v_proj."),
    (r"^encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"layers.\1.attention.o_proj."),
    (r"^encoder\.layer\.(\d+)\.intermediate\.dense\.", r"layers.\1.mlp.fc1."),
    (r"^encoder\.layer\.(\d+)\.output\.dense\.", r"layers.\1.mlp.fc2."),
    (r"^encoder\.layer\.(\d+)\.layernorm_", r"layers.\1.layernorm_"),
]
SHARED_FIELDS = [
    "image_size",
    "patch_size",
    "num_channels",
    "num_frames",
    "tubelet_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
    "layer_norm_eps",
    "qv_bias",
]


def from_videomae(model: VideoMAEModel) -> PrefAceModel:
    """A `PrefAceModel` with the weights and the outputs of a `transformers.VideoMAEModel`.

    Raises `ValueError` listing every weight that has no place here, or that is missing.
    """
    config = PrefAceConfig(
        **{name: getattr(model.config, name) for name in SHARED_FIELDS},
        use_final_norm=not model.config.use_mean_pooling,
    )
    converted = PrefAceModel(config)
    weights = {rename(key): tensor for key, tensor in model.state_dict().items()}
    result = converted.load_state_dict(weights, strict=False)
    if result.missing_keys or result.unexpected_keys:
        raise ValueError(
            f"this VideoMAE model does not fit: missing {result.missing_keys}, unexpected {result.unexpected_keys}; "
            f"give a plain transformers.VideoMAEModel."
        )
    return converted.to(model.dtype).train(model.training)


def rename(key: str) -> str:
    for pattern, replacement in VIDEOMAE_NAMES:
        key = re.sub(pattern, replacement, key)
    return key
