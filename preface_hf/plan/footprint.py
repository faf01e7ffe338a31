"""Bytes that a run holds on one accelerator and on disk, from its settings.

What a step keeps for its backward pass was read off the model's operations, and is tested against what torch's saved
tensors hold in float32. Not counted: what operations need while they run, and what the allocator loses.
"""

from __future__ import annotations

import torch

from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining
from preface_hf.plan.flops import costs_of, tube_tokens
from preface_hf.training.arguments import Parts, PretrainArguments


KEPT = ("kept by the encoder", "kept by heads and losses", "pixels", "weights cast by autocast")  # for a backward pass


def count_parameters(model: PrefAceConfig) -> dict[str, int]:
    """Weights of the student by part, counted on a model without memory (meta device)."""
    with torch.device("meta"):
        student = PrefAceForPreTraining(model)
    return {name: sum(weight.numel() for weight in part.parameters()) for name, part in student.named_children()}


def layer_bytes(model: PrefAceConfig, mixed: bool) -> int:
    """Kept by one layer for a token."""
    width, inner = model.hidden_size, model.intermediate_size
    # In float32: inputs and outputs of both norms, queries, keys, values, their result; the MLP before and after its
    # activation. Mixed: the norms keep float32, and queries, keys and values each cast the first norm's output anew.
    values = 24 * width + 4 * inner if mixed else 4 * (8 * width + 2 * inner)
    statistics = 16 + 4 * model.num_attention_heads  # of two norms and of the softmax of each head
    return values + statistics


def eager_bytes(model: PrefAceConfig, tokens: int, mixed: bool) -> int:
    """Kept beyond [`layer_bytes`] by one layer of eager attention for a token of a tube of `tokens`."""
    # Each head keeps its weights in float32, and under mixed precision cast too, in place of its statistic.
    return model.num_attention_heads * ((6 if mixed else 4) * tokens - 4)


def encoder_bytes(arguments: PretrainArguments, parts: Parts) -> int:
    """Kept by the student's encoder for the clips of a process."""
    model, frames = parts.model, parts.views.num_frames
    mixed, eager = arguments.mixed_precision != "no", arguments.attn_implementation == "eager"
    sizes = []  # tokens of all tubes of one size, and what a layer keeps of each
    for tubes in costs_of(arguments, parts, instances=1).student.values():
        tokens = tube_tokens(model, frames, tubes.size)
        token_bytes = layer_bytes(model, mixed) + (eager_bytes(model, tokens, mixed) if eager else 0)
        sizes.append((arguments.batch_size * tubes.count * tokens, token_bytes))
    layers, last_norm = model.num_hidden_layers, 4 * model.hidden_size + 8
    if not arguments.gradient_checkpointing:
        return sum(tokens * (layers * token_bytes + last_norm) for tokens, token_bytes in sizes)
    # With gradient checkpointing the inputs of all layers are kept, and all of one layer at a time.
    inputs = layers * model.hidden_size * (2 if mixed else 4) + last_norm
    one_layer = max(tokens * token_bytes for tokens, token_bytes in sizes)
    return sum(tokens * inputs for tokens, _ in sizes) + one_layer


def pixel_bytes(arguments: PretrainArguments, parts: Parts) -> int:
    """The batch in uint8 and float32, and under mixed precision what the embedding keeps of it."""
    # Bytes of a value: 1 in uint8, 4 in float32, and 2 for the embedding's copy in 16 bits.
    tubes = costs_of(arguments, parts, instances=1).student.values()
    pixels = 3 * parts.views.num_frames * sum(each.count * each.size**2 for each in tubes)
    return arguments.batch_size * pixels * (5 if arguments.mixed_precision == "no" else 7)


def head_bytes(arguments: PretrainArguments, parts: Parts, instances: int) -> int:
    """Kept by heads and losses for the clips of a process."""
    costs = costs_of(arguments, parts, instances)
    return arguments.batch_size * costs.clip_bytes + costs.step_bytes


def memory(arguments: PretrainArguments, parts: Parts, instances: int, processes: int) -> dict[str, int]:
    """Bytes on one accelerator, by part, when the forward pass has ended."""
    costs = costs_of(arguments, parts, instances)
    weights = sum(count_parameters(parts.model).values())
    kept = [encoder_bytes(arguments, parts), head_bytes(arguments, parts, instances), pixel_bytes(arguments, parts)]
    # Autocast makes a 16-bit copy of every weight and keeps it until the backward pass has ended.
    kept.append(2 * weights if arguments.mixed_precision != "no" else 0)
    return {
        "weights (float32)": 4 * weights,
        **dict.fromkeys(costs.others, 4 * weights),
        "gradients": 4 * weights * (2 if processes > 1 else 1),  # DDP's buckets hold them once more
        "Adam's moments": 8 * weights,
        **costs.memory,
        **dict(zip(KEPT, kept, strict=True)),
    }


def checkpoint_bytes(arguments: PretrainArguments, parts: Parts, instances: int) -> int:
    """A checkpoint: weights and two moments of the student, weights of the networks beside it, and the rest."""
    costs = costs_of(arguments, parts, instances)
    weights = sum(count_parameters(parts.model).values())
    return 4 * weights * (3 + len(costs.others)) + costs.checkpoint_bytes


def disk(arguments: PretrainArguments, parts: Parts, instances: int) -> dict[str, int]:
    """Bytes in the run's folder: checkpoints that are kept, one more while it is written, and `final`."""
    # Rounded up: the last step is saved too. While one is written, those before it are still there.
    one, saved = checkpoint_bytes(arguments, parts, instances), -(-arguments.max_steps // arguments.save_steps)
    kept = min(arguments.keep_checkpoints or saved, saved)
    return {
        "a checkpoint": one,
        f"{kept} kept and one in the making": (kept + (saved > kept)) * one,
        "final": 4 * sum(count_parameters(parts.model).values()),
    }
