"""FLOPs of a training step, from the settings alone: 2 for every multiply-add of a matrix product; norms, softmaxes
and the optimizer are left out. What heads and losses cost, the method says (`objectives/costs.py`).
"""

from __future__ import annotations

from preface_hf.data.views import TubeConfig
from preface_hf.modeling import PrefAceConfig
from preface_hf.objectives.costs import Costs
from preface_hf.training.arguments import Parts, PretrainArguments


def costs_of(arguments: PretrainArguments, parts: Parts, instances: int) -> Costs:
    """What the method of a run costs beside the encoder."""
    mixed = arguments.mixed_precision != "no"
    return parts.method.costs(parts.model, parts.views, parts.objective, mixed, instances)


def tube_tokens(model: PrefAceConfig, num_frames: int, size: int) -> int:
    """Tokens of a tube of `num_frames` frames of `size` x `size` pixels."""
    return num_frames // model.tubelet_size * (size // model.patch_size) ** 2


def embedding_flops(model: PrefAceConfig, tokens: int) -> int:
    """Forward pass of the patch embedding of one tube: a product with each cube of pixels."""
    cube = model.num_channels * model.tubelet_size * model.patch_size**2
    return 2 * tokens * cube * model.hidden_size


def layers_flops(model: PrefAceConfig, tokens: int) -> int:
    """Forward pass of all layers for one tube."""
    width, inner = model.hidden_size, model.intermediate_size
    # Of a token: queries, keys, values and output; both products of the MLP; scores and weighted sum over all tokens.
    token = 8 * width**2 + 4 * width * inner + 4 * tokens * width
    return model.num_hidden_layers * tokens * token


def forward_flops(model: PrefAceConfig, tokens: int) -> int:
    """Forward pass of the encoder for one tube."""
    return embedding_flops(model, tokens) + layers_flops(model, tokens)


def training_flops(model: PrefAceConfig, tokens: int) -> int:
    """Forward and backward pass of the encoder for one tube."""
    # A backward pass costs twice the forward pass, but no gradient goes back to the pixels.
    return 2 * embedding_flops(model, tokens) + 3 * layers_flops(model, tokens)


def recomputed_flops(model: PrefAceConfig, tokens: int) -> int:
    """What gradient checkpointing computes again for one tube: the layers, without the last product of each, whose
    result no gradient needs."""
    # `last`: the MLP's second product, (tokens, inner) by (inner, width), of all layers.
    last = 2 * model.num_hidden_layers * tokens * model.hidden_size * model.intermediate_size
    return layers_flops(model, tokens) - last


def color_flops(views: TubeConfig) -> int:
    """The photometric change of all tubes of a clip."""
    pixels = views.num_global * views.global_size**2 + views.num_small * views.local_size**2
    return 18 * views.num_frames * pixels  # three colors times a 3 x 3 matrix


def clip_flops(arguments: PretrainArguments, parts: Parts, instances: int) -> dict[str, int]:
    """FLOPs that one clip costs in a step, by part."""
    model, frames = parts.model, parts.views.num_frames
    costs = costs_of(arguments, parts, instances)
    flops = {}
    for name, tubes in costs.student.items():
        flops[f"student, {name}"] = tubes.count * training_flops(model, tube_tokens(model, frames, tubes.size))
    seen = sum(tubes.count for tubes in costs.student.values())
    flops["student, heads"] = seen * costs.student_head_flops
    for name, tubes in costs.others.items():
        one = forward_flops(model, tube_tokens(model, frames, tubes.size)) + costs.head_flops
        flops[name] = tubes.count * one
    flops |= {**costs.term_flops, "colors": color_flops(parts.views)}
    if arguments.gradient_checkpointing:
        flops["recomputing"] = sum(
            tubes.count * recomputed_flops(model, tube_tokens(model, frames, tubes.size))
            for tubes in costs.student.values()
        )
    return flops
