"""What a step of a method costs beside the encoder, from the settings alone.

Letters: D hidden size, H inner width of a projector, V tubes of a clip, G of them global, K prototypes, o width before
them, d width of the cache, n entries that an instance is compared with; N tokens of a clip, M of them hidden, P values
of a cube, W width of a decoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from preface_hf.data.masked_clips import MaskConfig
from preface_hf.data.masking import visible_tokens
from preface_hf.data.views import TubeConfig
from preface_hf.modeling import PrefAceConfig
from preface_hf.objectives.plain_features import ROWS_AT_ONCE


@dataclass(frozen=True)
class Tubes:
    """Tubes of one size that a network sees of a clip: `count` of `size` x `size` pixels, of whose tokens it sees a
    share."""

    count: int
    size: int
    visible: float = 1.0


@dataclass(frozen=True)
class Decoder:
    """Layers of the student beside its encoder: each sees `tokens` of `width`, inside its MLP `inner`, in `heads`."""

    width: int
    inner: int
    heads: int
    num_layers: int
    tokens: int


@dataclass(frozen=True)
class Costs:
    """What a step of a method costs beside the student's encoder, for `preface-hf pretrain --plan`.

    FLOPs are 2 for every multiply-add of a matrix product. Sizes are bytes.

    Attributes:
        student: the tubes of a clip that the student sees, by name; all are cut by the loading processes.
        others: networks beside it without gradients, as large as the student: what they see of a clip, by name.
        head_flops: forward pass of a network's heads for one tube.
        student_head_flops: forward and backward pass of the student's.
        term_flops: losses and what belongs to them, of a clip, by name.
        clip_bytes: what heads and losses keep of a clip for the backward pass.
        step_bytes: what they keep once, whatever the number of clips.
        gathered_bytes: of a clip, on every process after a step's gather.
        decoder: the student's, which sees every clip once.
        memory: on the accelerator beside the networks, by name.
        checkpoint_bytes: in a checkpoint beside the networks.
        start: the name of what passes all clips through a network before step 1; empty: only some pass.
        start_clips: how many pass at most.
    """

    student: dict[str, Tubes]
    others: dict[str, Tubes]
    head_flops: int
    student_head_flops: int
    term_flops: dict[str, int]
    clip_bytes: int
    step_bytes: int
    gathered_bytes: int
    decoder: Decoder | None = None
    memory: dict[str, int] = field(default_factory=dict)
    checkpoint_bytes: int = 0
    start: str = ""
    start_clips: int = 0


def self_distillation_costs(
    model: PrefAceConfig, views: TubeConfig, mixed: bool, identity: bool = False, entries: int = 0
) -> Costs:
    """Costs of DINO and, with `identity`, of L_ID against so many `entries`. KoLeo's FLOPs are left out.

    Args:
        mixed: whether networks compute in bf16 or fp16.
    """
    large, small = views.num_global, views.num_small
    tubes = large + small
    forward = head_flops(model)
    # Without L_ID the projector of the cache, if there is one, has no backward pass, which is twice the forward pass.
    unused = 0 if identity else 2 * cache_projector_flops(model)
    return Costs(
        student={"global tubes": Tubes(large, views.global_size), "small tubes": Tubes(small, views.local_size)},
        others={"teacher": Tubes(large, views.global_size)},
        head_flops=forward,
        student_head_flops=3 * forward - unused,
        term_flops={
            # Forward pass, and backward pass to the student alone: 4 for each of V (n + 1) d and of G V K.
            "losses and cache": 4 * tubes * ((entries + 1) * model.facefeat_size if identity else 0)
            + 4 * tubes * large * model.num_prototypes,
            "colors": color_flops(views),
        },
        clip_bytes=clip_bytes(model, large, tubes, mixed) + (4 * tubes * (entries + 1) if identity else 0),
        # Normalized prototypes of each forward pass of the student, and the entries: float32.
        step_bytes=4 * (2 if small else 1) * model.num_prototypes * model.projector_output_size
        + (4 * entries * model.facefeat_size if identity else 0),
        # Pooled features: of the teacher and the student for each global tube, of the log for one. Best prototypes of
        # the log are int64. Mean logits (K) come once a process and are left out.
        gathered_bytes=4 * (2 * large + 1) * model.hidden_size + 8 * large,
        start_clips=ROWS_AT_ONCE,  # for the statistics of the heads
    )


def clip_bytes(model: PrefAceConfig, large: int, tubes: int, mixed: bool) -> int:
    """Bytes that heads and losses keep of a clip of so many tubes, `large` of them global, for the backward pass."""
    # Each projector keeps four inner widths of a tube, in the networks' precision. Always in float32:
    # log-probabilities of all tubes and targets of the `large` ones.
    precision, projectors = 2 if mixed else 4, sum("projector" in head for head in model.pretraining_heads)
    inner = 4 * projectors * model.projector_hidden_size
    return tubes * inner * precision + 4 * model.num_prototypes * (tubes + large)


def head_flops(model: PrefAceConfig) -> int:
    """Forward pass of the projectors and of the prototypes for one tube."""
    width = model.projector_output_size
    prototypes = 2 * width * model.num_prototypes
    return projector_flops(model, width) + prototypes + cache_projector_flops(model)


def cache_projector_flops(model: PrefAceConfig) -> int:
    """Forward pass of the projector into the FaceFeat Cache for one tube; 0 where the student has none."""
    return projector_flops(model, model.facefeat_size) if "facefeat_projector" in model.pretraining_heads else 0


def projector_flops(model: PrefAceConfig, width: int) -> int:
    """Forward pass of a projector of three layers onto `width`: 2 (D H + H² + H width)."""
    inner = model.projector_hidden_size
    return 2 * inner * (model.hidden_size + inner + width)


def color_flops(views: TubeConfig) -> int:
    """The photometric change of all tubes of a clip."""
    pixels = views.num_global * views.global_size**2 + views.num_small * views.local_size**2
    return 18 * views.num_frames * pixels  # three colors times a 3 x 3 matrix


def masked_costs(model: PrefAceConfig, views: MaskConfig, mixed: bool, critic: bool = False) -> Costs:
    """Costs of a masked autoencoder, with MARLIN's `critic` or without.

    Args:
        mixed: whether networks compute in bf16 or fp16.
    """
    tokens = math.prod(views.grid)
    visible = visible_tokens(tokens, views.mask_ratio)
    hidden, cube = tokens - visible, model.num_channels * model.tubelet_size * model.patch_size**2
    width, inner = model.decoder_hidden_size, 4 * model.decoder_hidden_size  # of the decoder, and of the critic
    heads = 2 * visible * model.hidden_size * width + 2 * hidden * width * cube
    score = 2 * hidden * inner * (cube + 1)  # the critic's forward pass over M cubes
    terms = {
        "what the critic says": 2 * score,  # its weights have no gradient then
        # Reconstructions and cubes: forward pass, gradients of its weights, and of what the last layer sees.
        "the critic's own step": 2 * (2 * score + 2 * hidden * inner),
    }
    precision = 2 if mixed else 4
    return Costs(
        student={"masked clips": Tubes(1, views.global_size, visible / tokens)},
        others={},
        head_flops=heads,
        student_head_flops=3 * heads,
        term_flops=terms if critic else {},
        # What both products see, statistics of the norm between them, reconstruction and cubes; of the critic what its
        # activation sees.
        clip_bytes=precision * visible * model.hidden_size
        + hidden * ((precision + 4) * width + 8)
        + 8 * hidden * cube
        + (4 * hidden * inner if critic else 0),
        step_bytes=0,
        gathered_bytes=4 * model.hidden_size,  # pooled features, for the log
        memory={"critic": 16 * (inner * (cube + 2) + 1)} if critic else {},  # weights, gradients and moments
        checkpoint_bytes=12 * (inner * (cube + 2) + 1) if critic else 0,
        decoder=Decoder(
            width,
            model.decoder_intermediate_size,
            model.decoder_num_attention_heads,
            model.decoder_num_hidden_layers,
            tokens,
        ),
    )


def layers_flops(width: int, inner: int, num_layers: int, tokens: int) -> int:
    """Forward pass of the layers of an encoder or decoder for one tube."""
    # Of a token: queries, keys, values and output; both products of the MLP; scores and weighted sum over all tokens.
    return num_layers * tokens * (8 * width**2 + 4 * width * inner + 4 * tokens * width)


def layer_bytes(width: int, inner: int, heads: int, mixed: bool) -> int:
    """Kept by one layer for a token, for the backward pass."""
    # In float32: inputs and outputs of both norms, queries, keys, values, their result; the MLP before and after its
    # activation. Mixed: the norms keep float32, and queries, keys and values each cast the first norm's output anew.
    values = 24 * width + 4 * inner if mixed else 4 * (8 * width + 2 * inner)
    return values + 16 + 4 * heads  # statistics of two norms and of the softmax of each head
