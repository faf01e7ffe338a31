"""VideoMAE (transformers) as PrefAce: the same encoder and decoder under other names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preface_hf.convert.weights import listed, load_strictly, rename
from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining, PrefAceModel, PrefAceVideoProcessor


if TYPE_CHECKING:
    from transformers import VideoMAEForPreTraining, VideoMAEModel

# Names of VideoMAE's weights in transformers, and where they stand here.
NAMES = [
    (r"^embeddings\.patch_embeddings\.projection\.", "embeddings.projection."),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.query\.", r"layers.\1.attention.q_proj."),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.key\.", r"layers.\1.attention.k_proj."),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.value\.", r"layers.\1.attention.v_proj."),
    (r"^encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"layers.\1.attention.o_proj."),
    (r"^encoder\.layer\.(\d+)\.intermediate\.dense\.", r"layers.\1.mlp.fc1."),
    (r"^encoder\.layer\.(\d+)\.output\.dense\.", r"layers.\1.mlp.fc2."),
    (r"^encoder\.layer\.(\d+)\.layernorm_", r"layers.\1.layernorm_"),
]
# Those of its decoder, after which a layer has the names above.
DECODER_NAMES = [
    (r"^videomae\.", ""),
    (r"^encoder_to_decoder\.", "decoder.projection."),
    (r"^mask_token$", "decoder.mask_token"),
    (r"^decoder\.norm\.", "decoder.layernorm."),
    (r"^decoder\.decoder_layers\.", "encoder.layer."),
]
# What VideoMAE's pretraining and classification checkpoints hold beside the encoder.
HEADS = ("decoder.", "encoder_to_decoder.", "mask_token", "fc_norm.", "classifier.")
SHARED_FIELDS = [
    "image_size", "patch_size", "num_channels", "num_frames", "tubelet_size", "hidden_size", "num_hidden_layers",
    "num_attention_heads", "intermediate_size", "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob",
    "initializer_range", "layer_norm_eps", "qv_bias",
]  # fmt: skip
DECODER_FIELDS = [
    "decoder_hidden_size", "decoder_num_hidden_layers", "decoder_num_attention_heads", "decoder_intermediate_size",
]  # fmt: skip


def from_videomae(model: VideoMAEModel) -> PrefAceModel:
    """A `PrefAceModel` with the weights and the outputs of a `transformers.VideoMAEModel`, in its dtype.

    Raises `ValueError` listing every weight that has no place here, or that is missing.
    """
    config = read_config(model)
    weights = {rename(key, NAMES): tensor for key, tensor in model.state_dict().items()}
    # The model's dtype is taken before loading, so that half precision stays the same to the bit.
    converted = load_strictly(PrefAceModel(config).to(model.dtype), weights, "this VideoMAE model")
    return converted.train(model.training)


def full_from_videomae(model: VideoMAEForPreTraining) -> PrefAceForPreTraining:
    """A `PrefAceForPreTraining` with the weights and reconstructions of a `transformers.VideoMAEForPreTraining`, in
    its dtype.

    Raises `ValueError` listing every weight that has no place here, or that is missing.
    """
    config = read_config(model)
    config.update({"pretraining_method": "videomae", **{name: getattr(model.config, name) for name in DECODER_FIELDS}})
    weights = {}
    for key, tensor in model.state_dict().items():
        part = "preface." if key.startswith("videomae.") else "decoder."
        renamed = rename(rename(key, DECODER_NAMES), NAMES)
        weights[renamed if renamed.startswith("decoder.") else part + renamed] = tensor
    converted = load_strictly(PrefAceForPreTraining(config).to(model.dtype), weights, "this VideoMAE model")
    return converted.train(model.training)


def read_config(model: VideoMAEModel | VideoMAEForPreTraining) -> PrefAceConfig:
    """The configuration of the same encoder here."""
    return PrefAceConfig(
        **{name: getattr(model.config, name) for name in SHARED_FIELDS},
        use_final_norm=not model.config.use_mean_pooling,
    )


def load_videomae(src: str | Path) -> VideoMAEModel | VideoMAEForPreTraining:
    """A VideoMAE checkpoint, a folder or a Hub name: of one of pretraining encoder and decoder, of an encoder alone or
    one of classification the encoder.

    Raises `ValueError` for another architecture, and where a weight of the encoder is missing or has no place.
    """
    from transformers import AutoConfig, VideoMAEForPreTraining, VideoMAEModel

    try:
        config = AutoConfig.from_pretrained(src)
    except OSError as error:
        raise ValueError(f"cannot read {str(src)!r} as a transformers checkpoint: {first_sentence(error)}") from error
    if config.model_type != "videomae":
        raise ValueError(f"{str(src)!r} holds a {config.model_type!r} model: give a VideoMAE checkpoint")
    full = config.architectures == ["VideoMAEForPreTraining"]
    architecture = VideoMAEForPreTraining if full else VideoMAEModel
    try:
        model, info = architecture.from_pretrained(src, output_loading_info=True, ignore_mismatched_sizes=True)
    except Exception as error:  # of a file that is cut, safetensors and pickle raise several kinds
        raise ValueError(f"cannot read the weights of {str(src)!r}: {first_sentence(error)}") from error
    # transformers would fill these with random numbers and only warn: here they are errors.
    missing, misshapen = list(info["missing_keys"]), [key for key, *_ in info["mismatched_keys"]]
    unexpected = [key for key in info["unexpected_keys"] if not key.startswith(HEADS)]
    if missing or unexpected or misshapen:
        raise ValueError(
            f"the weights of {str(src)!r} are not a whole VideoMAE; missing: {listed(missing)}; unexpected: "
            f"{listed(unexpected)}; of another shape: {listed(misshapen)}; give an unchanged checkpoint."
        )
    return model


def videomae_processor(src: str | Path, config: PrefAceConfig) -> PrefAceVideoProcessor:
    """A processor that resizes, crops and normalizes as the one saved with the checkpoint, else as VideoMAE's default.

    Frames: `config.num_frames` at every 4th of the video (VideoMAE on Kinetics).
    """
    saved = saved_preprocessing(src)
    size, crop_size = (saved.get(name, config.image_size) for name in ("size", "crop_size"))
    fields: dict[str, Any] = {  # older checkpoints state one number
        "size": size if isinstance(size, dict) else {"shortest_edge": size},
        "crop_size": crop_size if isinstance(crop_size, dict) else {"height": crop_size, "width": crop_size},
    }
    names = ("do_resize", "do_center_crop", "do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
    fields.update({name: saved[name] for name in names if name in saved})
    return PrefAceVideoProcessor(**fields, num_frames=config.num_frames, sampling_rate=4)


def saved_preprocessing(src: str | Path) -> dict[str, Any]:
    """What the folder or repository `src` says of its pixels; empty where it holds no processor."""
    from transformers.utils import cached_file

    for name in ("video_preprocessor_config.json", "preprocessor_config.json"):
        file = cached_file(str(src), name, _raise_exceptions_for_missing_entries=False)
        if file is not None:
            return json.loads(Path(file).read_text(encoding="utf-8"))
    return {}


def first_sentence(error: Exception) -> str:
    """The message of an error up to its first full stop, on one line."""
    return " ".join(str(error).split()).split(". ")[0]
