"""FLOPs of a training step, from the settings alone: 2 for every multiply-add of a matrix product; norms, softmaxes
and the optimizer are left out. What heads and losses cost, the method says (`objectives/costs.py`).
"""

from __future__ import annotations

from preface_hf.modeling import PrefAceConfig
from preface_hf.objectives.costs import Costs, Decoder, Tubes, layers_flops
from preface_hf.training.arguments import Parts, PretrainArguments


def costs_of(arguments: PretrainArguments, parts: Parts, instances: int) -> Costs:
    """What the method of a run costs beside the encoder."""
    mixed = arguments.mixed_precision != "no"
    return parts.method.costs(parts.model, parts.views, parts.objective, mixed, instances)


def tube_tokens(model: PrefAceConfig, num_frames: int, size: int) -> int:
    """Tokens of a tube of `num_frames` frames of `size` x `size` pixels."""
    return num_frames // model.tubelet_size * (size // model.patch_size) ** 2


def seen_tokens(model: PrefAceConfig, num_frames: int, tubes: Tubes) -> int:
    """Tokens of a tube that go through the layers."""
    return int(round(tube_tokens(model, num_frames, tubes.size) * tubes.visible, 6))


def embedding_flops(model: PrefAceConfig, num_frames: int, tubes: Tubes) -> int:
    """Forward pass of the patch embedding of one tube: a product with each cube of pixels, hidden or not."""
    cube = model.num_channels * model.tubelet_size * model.patch_size**2
    return 2 * tube_tokens(model, num_frames, tubes.size) * cube * model.hidden_size


def encoder_flops(model: PrefAceConfig, num_frames: int, tubes: Tubes) -> int:
    """Forward pass of all layers of the encoder for one tube."""
    tokens = seen_tokens(model, num_frames, tubes)
    return layers_flops(model.hidden_size, model.intermediate_size, model.num_hidden_layers, tokens)


def forward_flops(model: PrefAceConfig, num_frames: int, tubes: Tubes) -> int:
    """Forward pass of the encoder for one tube."""
    return embedding_flops(model, num_frames, tubes) + encoder_flops(model, num_frames, tubes)


def training_flops(model: PrefAceConfig, num_frames: int, tubes: Tubes) -> int:
    """Forward and backward pass of the encoder for one tube."""
    # A backward pass costs twice the forward pass, but no gradient goes back to the pixels.
    return 2 * embedding_flops(model, num_frames, tubes) + 3 * encoder_flops(model, num_frames, tubes)


def recomputed_flops(model: PrefAceConfig, num_frames: int, tubes: Tubes) -> int:
    """What gradient checkpointing computes again for one tube: the layers, without the last product of each, whose
    result no gradient needs."""
    # `last`: the MLP's second product, (tokens, inner) by (inner, width), of all layers.
    tokens = seen_tokens(model, num_frames, tubes)
    last = 2 * model.num_hidden_layers * tokens * model.hidden_size * model.intermediate_size
    return encoder_flops(model, num_frames, tubes) - last


def decoder_flops(decoder: Decoder) -> int:
    """Forward pass of the layers of a decoder for one clip."""
    return layers_flops(decoder.width, decoder.inner, decoder.num_layers, decoder.tokens)


def clip_encoder_flops(arguments: PretrainArguments, parts: Parts, costs: Costs) -> dict[str, int]:
    """FLOPs of the encoder that one clip costs in a step, by part: the student's, those of networks beside it, what is
    computed twice. No heads, no decoder, no loss."""
    model, frames = parts.model, parts.views.num_frames
    flops = {}
    for name, tubes in costs.student.items():
        flops[f"student, {name}"] = tubes.count * training_flops(model, frames, tubes)
    for name, tubes in costs.others.items():
        flops[name] = tubes.count * forward_flops(model, frames, tubes)
    if arguments.gradient_checkpointing:
        again = (tubes.count * recomputed_flops(model, frames, tubes) for tubes in costs.student.values())
        flops["recomputing"] = sum(again)
    return flops


def run_encoder_flops(arguments: PretrainArguments, instances: int) -> tuple[int, int]:
    """FLOPs of the encoder that a run of one process on so many instances costs: before step 1, and in each step. By
    these methods are compared: what heads, decoder and losses cost beside is left out."""
    parts = arguments.parts()
    costs = costs_of(arguments, parts, instances)
    plain = forward_flops(parts.model, parts.views.num_frames, Tubes(1, parts.views.global_size))
    clips = arguments.batch_size * arguments.gradient_accumulation_steps
    step = clips * sum(clip_encoder_flops(arguments, parts, costs).values())
    return min(instances, costs.start_clips) * plain, step


def clip_flops(arguments: PretrainArguments, parts: Parts, instances: int) -> dict[str, int]:
    """FLOPs that one clip costs in a step, by part."""
    costs = costs_of(arguments, parts, instances)
    flops = clip_encoder_flops(arguments, parts, costs)
    seen = sum(tubes.count for tubes in costs.student.values())
    flops["student, heads"] = seen * costs.student_head_flops
    decoder = costs.decoder
    if decoder:
        flops["student, decoder"] = 3 * decoder_flops(decoder)
    for name, tubes in costs.others.items():
        flops[name] += tubes.count * costs.head_flops
    if decoder and arguments.gradient_checkpointing:
        # As `recomputed_flops`.
        last = 2 * decoder.num_layers * decoder.tokens * decoder.width * decoder.inner
        flops["recomputing"] += decoder_flops(decoder) - last
    return flops | costs.term_flops
