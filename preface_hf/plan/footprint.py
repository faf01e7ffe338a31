"""Bytes that a run holds on one accelerator and on disk, from its settings.

What a step keeps for its backward pass was read off the model's operations, and is tested against what torch's saved
tensors hold in float32. Not counted: what operations need while they run, and what the allocator loses.
"""

from __future__ import annotations

import torch

from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining
from preface_hf.objectives.costs import Decoder, layer_bytes
from preface_hf.plan.flops import costs_of, seen_tokens
from preface_hf.training.arguments import Parts, PretrainArguments


KEPT = ("kept by the encoder", "kept by heads and losses", "pixels", "weights cast by autocast")  # for a backward pass


def count_parameters(model: PrefAceConfig) -> dict[str, int]:
    """Weights of the student by part, counted on a model without memory (meta device)."""
    with torch.device("meta"):
        student = PrefAceForPreTraining(model)
    return {name: sum(weight.numel() for weight in part.parameters()) for name, part in student.named_children()}


def eager_bytes(heads: int, tokens: int, mixed: bool) -> int:
    """Kept beyond [`layer_bytes`] by one layer of eager attention for a token of a tube of `tokens`."""
    # Each head keeps its weights in float32, and under mixed precision cast too, in place of its statistic.
    return heads * ((6 if mixed else 4) * tokens - 4)


def stacks(arguments: PretrainArguments, parts: Parts) -> list[tuple[Decoder, int]]:
    """The student's layers by what they see, and how many tubes of it a process has: encoder, then decoder."""
    model, costs = parts.model, costs_of(arguments, parts, instances=1)
    sizes = model.hidden_size, model.intermediate_size, model.num_attention_heads, model.num_hidden_layers
    found = [
        (Decoder(*sizes, seen_tokens(model, parts.views.num_frames, tubes)), arguments.batch_size * tubes.count)
        for tubes in costs.student.values()
    ]
    return found + ([(costs.decoder, arguments.batch_size)] if costs.decoder else [])


def encoder_bytes(arguments: PretrainArguments, parts: Parts) -> int:
    """Kept by the student's encoder, and its decoder, for the clips of a process."""
    mixed, eager = arguments.mixed_precision != "no", arguments.attn_implementation == "eager"
    inputs, layers, last_norms = 0, [], 0  # bytes; of each stack: all layers, and how many they are
    for stack, count in stacks(arguments, parts):
        token_bytes = layer_bytes(stack.width, stack.inner, stack.heads, mixed)
        token_bytes += eager_bytes(stack.heads, stack.tokens, mixed) if eager else 0
        layers.append((count * stack.tokens * token_bytes, stack.num_layers))
        inputs += count * stack.tokens * stack.num_layers * stack.width * (2 if mixed else 4)
        last_norms += count * stack.tokens * (4 * stack.width + 8)
    if not arguments.gradient_checkpointing:
        return sum(layer * number for layer, number in layers) + last_norms
    # With gradient checkpointing the inputs of all layers are kept, and all of one layer at a time.
    return inputs + last_norms + max(layer for layer, _ in layers)


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
