"""Whether a checkpoint can be what it says: bounds of a configuration, weights that are there and are numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pickle import UnpicklingError

from transformers.activations import ACT2FN


# Numbers of which a model has at least one of each, and more than anyone has memory for.
COUNTS = (
    "image_size", "patch_size", "num_channels", "num_frames", "tubelet_size", "hidden_size", "num_attention_heads",
    "intermediate_size", "num_landmarks", "projector_hidden_size", "projector_output_size", "num_prototypes",
    "facefeat_size", "decoder_hidden_size", "decoder_num_attention_heads", "decoder_intermediate_size",
)  # fmt: skip
LAYERS = ("num_hidden_layers", "decoder_num_hidden_layers")
MOST, MOST_LAYERS = 2**24, 1000


@contextmanager
def one_sentence(what: str) -> Iterator[None]:
    """What readers of JSON, weights and strict configurations raise, of many kinds, as a `ValueError` of a line."""
    try:
        yield
    except (OSError, ValueError, ImportError, UnpicklingError):  # sentences, or told apart by the caller
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{what} ({reason[:300]}): correct it, or copy it again from where it is whole.") from error


def check_bounds(config) -> None:
    """`ValueError` for the first number, or activation, of a configuration that no model can have."""
    if config.hidden_act not in ACT2FN:
        raise ValueError(f"hidden_act={config.hidden_act!r} is no activation of transformers: take gelu, for example.")
    bounds: dict[str, tuple[float, float]] = dict.fromkeys(COUNTS, (1, MOST))
    bounds |= dict.fromkeys(LAYERS, (1, MOST_LAYERS))
    # Of a single prototype every clip is alike.
    bounds |= {
        "num_prototypes": (2, MOST),
        "initializer_range": (0, MOST),
        "hidden_dropout_prob": (0, 1),
        "drop_path_rate": (0, 0.9),  # at 1 nothing would be left to scale
        "attention_probs_dropout_prob": (0, 1),
    }
    for name, (least, most) in {**bounds, "layer_norm_eps": (0, 1)}.items():
        value = getattr(config, name)
        # NaN is in no range.
        if not least <= value <= most or name == "layer_norm_eps" and not value:
            above = "above 0 and at most 1" if name == "layer_norm_eps" else f"from {least} to {most}"
            raise ValueError(f"{name}={value} of the model must be {above}: correct it in the PrefAceConfig.")


def check_weights(model, missing: list[str]) -> None:
    """`ValueError` where weights of the encoder are `missing`, which would start at random, or any is no number."""
    encoder = f"{model.base_model_prefix}."
    # Heads are new where another class saved the checkpoint.
    lost = sorted(name for name in missing if not hasattr(model, model.base_model_prefix) or name.startswith(encoder))
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise ValueError(
            f"the checkpoint holds no {', '.join(lost[:3])}{more}, which would start at random: copy it again from "
            f"where it is whole."
        )
    check_finite(model)


def check_finite(model) -> None:
    """`ValueError` that names the first weight with NaN or infinity in it."""
    for name, tensor in model.state_dict().items():
        if not tensor.is_meta and tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(
                f"{name} holds NaN or infinity in the checkpoint: take an earlier one, or copy it again from where it "
                f"is whole."
            )
