"""What a step of self-distillation costs beside the encoder, from the settings alone.

Letters: D hidden size, H inner width of a projector, V tubes of a clip, G of them global, K prototypes, o width before
them, d width of the cache, n entries that an instance is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from preface_hf.data.views import TubeConfig
from preface_hf.modeling import PrefAceConfig


@dataclass(frozen=True)
class Tubes:
    """Tubes of one size that a network sees of a clip: `count` of `size` x `size` pixels."""

    count: int
    size: int


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
        memory: on the accelerator beside the networks, by name.
        checkpoint_bytes: in a checkpoint beside the networks.
        start: the name of what passes all clips through a network before step 1; empty: only some pass.
    """

    student: dict[str, Tubes]
    others: dict[str, Tubes]
    head_flops: int
    student_head_flops: int
    term_flops: dict[str, int]
    clip_bytes: int
    step_bytes: int
    gathered_bytes: int
    memory: dict[str, int] = field(default_factory=dict)
    checkpoint_bytes: int = 0
    start: str = ""


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
    # Without L_ID the projector of the cache has no backward pass, which is twice the forward pass.
    unused = 0 if identity else 2 * projector_flops(model, model.facefeat_size)
    return Costs(
        student={"global tubes": Tubes(large, views.global_size), "small tubes": Tubes(small, views.local_size)},
        others={"teacher": Tubes(large, views.global_size)},
        head_flops=forward,
        student_head_flops=3 * forward - unused,
        term_flops={
            # Forward pass, and backward pass to the student alone: 4 for each of V (n + 1) d and of G V K.
            "losses and cache": 4 * tubes * ((entries + 1) * model.facefeat_size if identity else 0)
            + 4 * tubes * large * model.num_prototypes,
        },
        clip_bytes=clip_bytes(model, large, tubes, mixed) + (4 * tubes * (entries + 1) if identity else 0),
        # Normalized prototypes of each forward pass of the student, and the entries: float32.
        step_bytes=4 * (2 if small else 1) * model.num_prototypes * model.projector_output_size
        + (4 * entries * model.facefeat_size if identity else 0),
        # Pooled features: of the teacher and the student for each global tube, of the log for one. Best prototypes of
        # the log are int64. Mean logits (K) come once a process and are left out.
        gathered_bytes=4 * (2 * large + 1) * model.hidden_size + 8 * large,
    )


def clip_bytes(model: PrefAceConfig, large: int, tubes: int, mixed: bool) -> int:
    """Bytes that heads and losses keep of a clip of so many tubes, `large` of them global, for the backward pass."""
    # Each of two projectors keeps four inner widths of a tube, in the networks' precision. Always in float32:
    # log-probabilities of all tubes and targets of the `large` ones.
    precision = 2 if mixed else 4
    return tubes * 8 * model.projector_hidden_size * precision + 4 * model.num_prototypes * (tubes + large)


def head_flops(model: PrefAceConfig) -> int:
    """Forward pass of both projectors and of the prototypes for one tube."""
    width = model.projector_output_size
    prototypes = 2 * width * model.num_prototypes
    return projector_flops(model, width) + prototypes + projector_flops(model, model.facefeat_size)


def projector_flops(model: PrefAceConfig, width: int) -> int:
    """Forward pass of a projector of three layers onto `width`: 2 (D H + H² + H width)."""
    inner = model.projector_hidden_size
    return 2 * inner * (model.hidden_size + inner + width)
