"""Configuration of the PrefAce family: one video vision transformer and the heads that pretrain it."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .loading_preface import check_bounds, one_sentence


# Every class that opens a PrefAce checkpoint. It is written into each one, so that every Auto class finds its door
# whichever class saved the checkpoint.
AUTO_MAP = {
    "AutoConfig": "configuration_preface.PrefAceConfig",
    "AutoModel": "modeling_preface.PrefAceModel",
    "AutoModelForPreTraining": "pretraining_preface.PrefAceForPreTraining",
    "AutoModelForVideoClassification": "modeling_preface.PrefAceForVideoClassification",
    "AutoModelForKeypointDetection": "modeling_preface.PrefAceForLandmarkDetection",
    "AutoVideoProcessor": "video_processing_preface.PrefAceVideoProcessor",
}

# The methods that pretrain the family. The masked ones have a decoder in place of projectors and prototypes.
PRETRAINING_METHODS = ("preface", "pros", "dino", "marlin", "videomae")
MASKED_METHODS = ("marlin", "videomae")
# What the classifier of a head sees of a clip.
CLASSIFIER_POOLINGS = ("mean", "layers", "grid", "attentive")

# The sizes of the field; decoders are MARLIN's. vit-t is the laptop size: small clips, for tests and the demo.
PRESETS = {
    "vit-t": {
        "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512,
        "image_size": 64, "patch_size": 8, "num_frames": 8,
        "projector_hidden_size": 512, "projector_output_size": 128, "num_prototypes": 1024, "facefeat_size": 128,
        "decoder_hidden_size": 64, "decoder_num_hidden_layers": 2, "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 256,
    },
    "vit-s": {
        "hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "intermediate_size": 1536,
        "decoder_hidden_size": 192, "decoder_num_hidden_layers": 4, "decoder_num_attention_heads": 3,
        "decoder_intermediate_size": 768,
    },
    "vit-b": {
        "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "decoder_hidden_size": 384, "decoder_num_hidden_layers": 4, "decoder_num_attention_heads": 6,
        "decoder_intermediate_size": 1536,
    },
    "vit-l": {
        "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
        "decoder_hidden_size": 512, "decoder_num_hidden_layers": 12, "decoder_num_attention_heads": 8,
        "decoder_intermediate_size": 2048,
    },
}  # fmt: skip


@strict
class PrefAceConfig(PreTrainedConfig):
    r"""
    Configuration of [`PrefAceModel`] and of the models built on it. The defaults are ViT-B on 16 frames of 224²
    pixels, the shape of VideoMAE and MARLIN.

    Args:
        image_size (`int`, defaults to 224): height and width of the training clips in pixels; other sizes divisible by
            `patch_size` are accepted, positions are interpolated (see `pretrained_grid`).
        patch_size (`int`, defaults to 16): height and width of a patch in pixels.
        num_channels (`int`, defaults to 3): color channels.
        num_frames (`int`, defaults to 16): frames of the training clips; other counts divisible by `tubelet_size` are
            accepted, positions are interpolated.
        tubelet_size (`int`, defaults to 2): frames of a patch.
        hidden_size (`int`, defaults to 768): width of the tokens.
        num_hidden_layers (`int`, defaults to 12): layers of the encoder.
        num_attention_heads (`int`, defaults to 12): heads of each layer.
        intermediate_size (`int`, defaults to 3072): width between the two matrices of a layer's perceptron.
        hidden_act (`str`, defaults to `"gelu"`): what stands between these two.
        hidden_dropout_prob (`float`, defaults to 0.0): dropout of what each half of a layer adds.
        attention_probs_dropout_prob (`float`, defaults to 0.0): dropout of the attention.
        initializer_range (`float`, defaults to 0.02): standard deviation of the initial weights.
        layer_norm_eps (`float`, defaults to 1e-12): epsilon of the layer norms.
        qv_bias (`bool`, defaults to `True`): biases of queries and values (keys never have one).
        use_final_norm (`bool`, defaults to `True`): layer norm after the last layer (VideoMAE's
            `use_mean_pooling=False`, MARLIN: always).
        norm_after_pooling (`bool`, defaults to `False`): `pooler_output` is the norm of the mean token (MARLIN's
            `extract_features`, VideoMAE's classifier) instead of the mean of the normed tokens.
        drop_path_rate (`float`, defaults to 0.0): stochastic depth of the last layer, rising to it from 0 at the first
            (VideoMAE fine-tunes with 0.1).
        classifier_pooling (`str`, defaults to `"mean"`): what a classifier sees: mean (the pooled clip), layers (the
            last four side by side), grid (3x3 places) or attentive (learned).
        freeze_encoder (`bool`, defaults to `False`): a head on top trains alone; the encoder keeps its weights and
            stays in evaluation mode.
        num_landmarks (`int`, defaults to 68): points of [`PrefAceForLandmarkDetection`], iBUG-68 by default.
        projector_hidden_size (`int`, defaults to 2048): width of the 3-layer projector before the prototypes (DINO's
            head; sizes not stated by PrefAce, chosen).
        projector_output_size (`int`, defaults to 256): what it gives to the prototypes.
        num_prototypes (`int`, defaults to 65536): outputs whose distribution student and teacher agree on (DINO).
        facefeat_size (`int`, defaults to 256): width of a vector of the FaceFeat Cache (not stated, chosen).
        pretraining_method (`str`, defaults to `"preface"`): the method whose heads [`PrefAceForPreTraining`] has:
            preface, pros, dino, marlin or videomae.
        decoder_hidden_size (`int`, defaults to 384): width of the decoder of marlin and videomae (as the three below:
            that of MARLIN-B and VideoMAE-B).
        decoder_num_hidden_layers (`int`, defaults to 4): its layers.
        decoder_num_attention_heads (`int`, defaults to 6): its heads.
        decoder_intermediate_size (`int`, defaults to 1536): width between the two matrices of its perceptrons.
        pretrained_grid (`list[int]`, *optional*): tokens along time, height and width for which the table of positions
            was made that the weights know. A model sets it when its weights are made, checkpoints keep it: opened with
            another `num_frames` or `image_size`, the model interpolates that table instead of making a new one.
    """

    model_type = "preface"

    # The training clips.
    image_size: int = 224
    patch_size: int = 16
    num_channels: int = 3
    num_frames: int = 16
    tubelet_size: int = 2
    # The encoder.
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.0
    attention_probs_dropout_prob: float | int = 0.0
    drop_path_rate: float | int = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    qv_bias: bool = True
    use_final_norm: bool = True
    norm_after_pooling: bool = False
    # Heads on the encoder, and those of pretraining.
    classifier_pooling: str = "mean"
    freeze_encoder: bool = False
    num_landmarks: int = 68
    projector_hidden_size: int = 2048
    projector_output_size: int = 256
    num_prototypes: int = 65536
    facefeat_size: int = 256
    pretraining_method: str = "preface"
    decoder_hidden_size: int = 384
    decoder_num_hidden_layers: int = 4
    decoder_num_attention_heads: int = 6
    decoder_intermediate_size: int = 1536
    pretrained_grid: list[int] | tuple[int, ...] | None = None

    def __post_init__(self, **kwargs):
        # A checkpoint may name only the class that saved it: all doors are seeded, and what it names stays.
        self.auto_map = {**AUTO_MAP, **(kwargs.pop("auto_map", None) or {})}
        super().__post_init__(**kwargs)
        self._check_sizes()

    @classmethod
    def from_preset(cls, name: str, **fields) -> "PrefAceConfig":
        """The configuration of a size of the field (vit-t, vit-s, vit-b, vit-l), with `fields` over it.

        Raises `ValueError` for an unknown name.
        """
        if name not in PRESETS:
            raise ValueError(f"unknown size {name!r}: choose one of {', '.join(PRESETS)}.")
        with one_sentence("the model's settings cannot be"):
            return cls(**{**PRESETS[name], **fields})

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs):
        """As in transformers; a file that holds no configuration is a `ValueError` or `OSError` of one sentence."""
        with one_sentence(f"{pretrained_model_name_or_path} holds no configuration"):
            return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        """As in transformers; the configuration of another architecture, and sizes in `kwargs` that do not divide, are
        refused with a `ValueError`."""
        with one_sentence("the configuration of the checkpoint cannot be"):
            return cls._from_dict(config_dict, **kwargs)

    @classmethod
    def _from_dict(cls, config_dict, **kwargs):
        model_type = config_dict.get("model_type", cls.model_type)
        if model_type != cls.model_type:
            raise ValueError(
                f"this checkpoint holds a {model_type!r} model, not a {cls.model_type!r} one: open it with its own "
                f"class, or make it a PrefAce checkpoint first (preface-hf convert, for VideoMAE and MARLIN)."
            )
        # Checkpoints of before `pretrained_grid` know the grid that they were saved with. `kwargs` come after that:
        # the clip size that they ask for is not the one of the weights.
        grid = config_dict.get("pretrained_grid") or cls(**config_dict).grid_size
        loaded = super().from_dict({**config_dict, "pretrained_grid": list(grid)}, **kwargs)
        # A pair where `return_unused_kwargs` is asked for. `kwargs` have changed sizes since the class looked at them.
        config = loaded[0] if isinstance(loaded, tuple) else loaded
        config._check_sizes()
        return loaded

    def _check_sizes(self):
        check_bounds(self)
        for whole, part in (
            ("image_size", "patch_size"),
            ("num_frames", "tubelet_size"),
            ("hidden_size", "num_attention_heads"),
            ("decoder_hidden_size", "decoder_num_attention_heads"),
        ):
            if getattr(self, part) < 1 or getattr(self, whole) < 1 or getattr(self, whole) % getattr(self, part):
                raise ValueError(
                    f"{whole}={getattr(self, whole)} must be a positive multiple of {part}={getattr(self, part)}: "
                    f"change one of the two in the PrefAceConfig."
                )
        for name, known in (
            ("pretraining_method", PRETRAINING_METHODS),
            ("classifier_pooling", CLASSIFIER_POOLINGS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown: choose one of {', '.join(known)}.")
        grid = self.pretrained_grid
        if grid is not None and (len(grid) != 3 or min(grid) < 1):
            raise ValueError(
                f"pretrained_grid={grid} must be three positive numbers, the tokens along time, height and width: "
                f"take the ones of the checkpoint, or leave it out for a new model."
            )

    @property
    def grid_size(self) -> tuple[int, int, int]:
        """Tokens of a training clip along time, height and width."""
        return self.grid_of((1, self.num_frames, self.num_channels, self.image_size, self.image_size))

    @property
    def pretraining_heads(self) -> tuple[str, ...]:
        """The parts that [`PrefAceForPreTraining`] has beside the encoder, for its `pretraining_method`."""
        if self.pretraining_method in MASKED_METHODS:
            return ("decoder",)
        heads = "projector", "prototypes"
        return (*heads, "facefeat_projector") if self.pretraining_method == "preface" else heads

    def grid_of(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Tokens along time, height and width of clips of `shape` `(batch, frames, channels, height, width)`."""
        _, frames, _, height, width = shape
        return frames // self.tubelet_size, height // self.patch_size, width // self.patch_size


__all__ = ["MASKED_METHODS", "PRESETS", "PRETRAINING_METHODS", "PrefAceConfig"]
