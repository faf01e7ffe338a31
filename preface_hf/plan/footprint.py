"""Bytes that a run holds on one accelerator and on disk, from its settings. Letters as in flops.py; B clips a process.

What a step keeps for its backward pass was read off the model's operations, and is tested against what torch's saved
tensors hold in float32. Not counted: what operations need while they run, and what the allocator loses.
"""

from __future__ import annotations

import torch

from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining
from preface_hf.plan.flops import num_small, tube_tokens
from preface_hf.training.arguments import PretrainArguments


KEPT = ("kept by the encoder", "kept by heads and losses", "pixels", "weights cast by autocast")  # for a backward pass


def count_parameters(model: PrefAceConfig) -> dict[str, int]:
    """Weights of the student by part, counted on a model without memory (meta device); the teacher has as many."""
    with torch.device("meta"):
        student = PrefAceForPreTraining(model)
    return {name: sum(weight.numel() for weight in part.parameters()) for name, part in student.named_children()}


def layer_bytes(model: PrefAceConfig, mixed: bool) -> int:
    """Kept by one layer for a token. In float32 4 (8 D + 2 I): the inputs of both norms and their outputs, queries,
    keys, values, their result, the MLP before and after its activation. Under bf16 or fp16 24 D + 4 I: the norms keep
    float32, queries, keys and values each cast the first norm's output anew. And 16 + 4 heads for statistics."""
    width, inner = model.hidden_size, model.intermediate_size
    values = 24 * width + 4 * inner if mixed else 4 * (8 * width + 2 * inner)
    return values + 16 + 4 * model.num_attention_heads


def eager_bytes(model: PrefAceConfig, tokens: int, mixed: bool) -> int:
    """Kept beyond [`layer_bytes`] by one layer of eager attention for a token of a tube of `tokens`: its weights in
    float32, under bf16 or fp16 cast too, in place of a statistic a head."""
    return model.num_attention_heads * ((6 if mixed else 4) * tokens - 4)


def encoder_bytes(arguments: PretrainArguments) -> int:
    """Kept by the student's encoder: all layers of all tubes; with gradient checkpointing their inputs, and all of one
    layer at a time."""
    model, views = arguments.model_config(), arguments.view_config()
    mixed, eager = arguments.mixed_precision != "no", arguments.attn_implementation == "eager"
    families = []  # tokens of all tubes of one size, and what a layer keeps of them
    for count, tokens in zip((views.num_global, num_small(views)), tube_tokens(model, views), strict=True):
        each = layer_bytes(model, mixed) + (eager_bytes(model, tokens, mixed) if eager else 0)
        families.append((arguments.batch_size * count * tokens, each))
    layers, last_norm = model.num_hidden_layers, 4 * model.hidden_size + 8
    if not arguments.gradient_checkpointing:
        return sum(tokens * (layers * each + last_norm) for tokens, each in families)
    inputs = layers * model.hidden_size * (2 if mixed else 4) + last_norm
    return sum(tokens * inputs for tokens, _ in families) + max(tokens * each for tokens, each in families)


def pixel_bytes(arguments: PretrainArguments) -> int:
    """The batch in uint8 and float32, and under mixed precision what the embedding keeps of it."""
    views = arguments.view_config()
    pixels = views.num_global * views.global_size**2 + num_small(views) * views.local_size**2
    each = 5 if arguments.mixed_precision == "no" else 7
    return arguments.batch_size * 3 * views.num_frames * pixels * each


def head_bytes(arguments: PretrainArguments, instances: int) -> int:
    """Kept by heads and losses: four inner widths of each projector and V K log-probabilities a clip, its G K targets,
    V (n + 1) comparisons; the entries compared with, and the normalized prototypes of both forward passes."""
    model, views, objective = arguments.model_config(), arguments.view_config(), arguments.objective_config()
    size = 4 if arguments.mixed_precision == "no" else 2
    tubes = views.num_global + num_small(views)
    entries = min(instances, objective.cache_negatives) if objective.instance_weight else 0
    clip = tubes * 8 * model.projector_hidden_size * size
    clip += 4 * model.num_prototypes * (tubes + views.num_global) + 4 * tubes * (entries + bool(entries))
    prototypes = (2 if num_small(views) else 1) * model.num_prototypes * model.projector_output_size
    return arguments.batch_size * clip + 4 * prototypes + 4 * entries * model.facefeat_size


def cache_bytes(model: PrefAceConfig, instances: int) -> int:
    """2 instances d: bfloat16, the same on every process."""
    return 2 * instances * model.facefeat_size


def memory(arguments: PretrainArguments, instances: int, processes: int) -> dict[str, int]:
    """Bytes on one accelerator, by part, when the forward pass has ended."""
    model = arguments.model_config()
    weights = sum(count_parameters(model).values())
    parts = {
        "weights (float32)": 4 * weights,
        "teacher": 4 * weights,
        "gradients": 4 * weights * (2 if processes > 1 else 1),  # DDP's buckets hold them once more
        "Adam's moments": 8 * weights,
    }
    if arguments.objective_config().cache_device == "accelerator":
        parts["FaceFeat Cache"] = cache_bytes(model, instances)
    kept = [encoder_bytes(arguments), head_bytes(arguments, instances), pixel_bytes(arguments)]
    kept.append(2 * weights if arguments.mixed_precision != "no" else 0)
    return {**parts, **dict(zip(KEPT, kept, strict=True))}


def checkpoint_bytes(model: PrefAceConfig, instances: int) -> int:
    """A checkpoint: weights, teacher and two moments, 16 bytes a weight, and the cache."""
    return 16 * sum(count_parameters(model).values()) + cache_bytes(model, instances)


def disk(arguments: PretrainArguments, instances: int) -> dict[str, int]:
    """Bytes in the run's folder: checkpoints that are kept, one more while it is written, and `final`."""
    model = arguments.model_config()
    one, saved = checkpoint_bytes(model, instances), -(-arguments.max_steps // arguments.save_steps)
    kept = min(arguments.keep_checkpoints or saved, saved)
    return {
        "a checkpoint": one,
        f"{kept} kept and one in the making": (kept + (saved > kept)) * one,
        "final": 4 * sum(count_parameters(model).values()),
    }
