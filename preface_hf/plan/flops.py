"""FLOPs of a training step, from the settings alone: 2 for every multiply-add of a matrix product; norms, softmaxes
and the optimizer are left out. Letters: N tokens of a tube, D hidden and I intermediate size, L layers, V views, G of
them global, K prototypes, d width of the cache, n entries that an instance is compared with.
"""

from __future__ import annotations

from preface_hf.data.views import ViewConfig
from preface_hf.modeling import PrefAceConfig
from preface_hf.training.arguments import PretrainArguments


def tube_tokens(model: PrefAceConfig, views: ViewConfig) -> tuple[int, int]:
    """Tokens of a global and of a small tube: frames/tubelet x (size/patch)²."""
    times = views.num_frames // model.tubelet_size
    large, small = (times * (size // model.patch_size) ** 2 for size in (views.global_size, views.local_size))
    return large, small


def num_small(views: ViewConfig) -> int:
    """Local and landmark tubes of a clip."""
    return views.num_local + len(views.parts)


def embedding_flops(model: PrefAceConfig, tokens: int) -> int:
    """2 N (channels t p²) D."""
    cube = model.num_channels * model.tubelet_size * model.patch_size**2
    return 2 * tokens * cube * model.hidden_size


def layers_flops(model: PrefAceConfig, tokens: int) -> int:
    """L (8 N D² + 4 N D I + 4 N² D): the four projections, the MLP, scores and weighted sum."""
    width, inner = model.hidden_size, model.intermediate_size
    return model.num_hidden_layers * tokens * (8 * width**2 + 4 * width * inner + 4 * tokens * width)


def head_flops(model: PrefAceConfig) -> int:
    """Both projectors, o and d wide at their ends, and 2 o K of the prototypes."""
    out = model.projector_output_size
    return projector_flops(model, out) + 2 * out * model.num_prototypes + projector_flops(model, model.facefeat_size)


def projector_flops(model: PrefAceConfig, out: int) -> int:
    """2 (D H + H² + H o), H wide inside."""
    inner = model.projector_hidden_size
    return 2 * inner * (model.hidden_size + inner + out)


def training_flops(model: PrefAceConfig, tokens: int) -> int:
    """Forward and backward of a tube's encoder: 3 times the forward, but no gradient goes back to the pixels."""
    return 2 * embedding_flops(model, tokens) + 3 * layers_flops(model, tokens)


def loss_flops(arguments: PretrainArguments, instances: int) -> int:
    """4 V (n + 1) d for L_ID (if it is on) and 4 G V K for L_distill: forward, and backward to the student alone."""
    model, views, objective = arguments.model_config(), arguments.view_config(), arguments.objective_config()
    tubes = views.num_global + num_small(views)
    entries = min(instances, objective.cache_negatives) + 1 if objective.instance_weight else 0
    return 4 * tubes * (entries * model.facefeat_size + views.num_global * model.num_prototypes)


def color_flops(views: ViewConfig) -> int:
    """18 for every pixel of every tube: its colors times a 3 x 3 matrix."""
    pixels = views.num_global * views.global_size**2 + num_small(views) * views.local_size**2
    return 18 * views.num_frames * pixels


def clip_flops(arguments: PretrainArguments, instances: int) -> dict[str, int]:
    """FLOPs that one clip costs in a step, by part. KoLeo's are left out."""
    model, views = arguments.model_config(), arguments.view_config()
    large, small = tube_tokens(model, views)
    few, many = views.num_global, num_small(views)
    # Without L_ID its projector has no backward pass.
    unused = 0 if arguments.objective_config().instance_weight else 2 * projector_flops(model, model.facefeat_size)
    parts = {
        "student, global tubes": few * training_flops(model, large),
        "student, small tubes": many * training_flops(model, small),
        "student, heads": (few + many) * (3 * head_flops(model) - unused),
        "teacher": few * teacher_flops(model, large),
        "losses and cache": loss_flops(arguments, instances),
        "colors": color_flops(views),
    }
    if arguments.gradient_checkpointing:
        parts["recomputing"] = few * recomputed_flops(model, large) + many * recomputed_flops(model, small)
    return parts


def teacher_flops(model: PrefAceConfig, tokens: int) -> int:
    """Forward of a tube with its heads."""
    return embedding_flops(model, tokens) + layers_flops(model, tokens) + head_flops(model)


def recomputed_flops(model: PrefAceConfig, tokens: int) -> int:
    """The layers once more, without the last product of each, whose result no gradient needs (2 L N D I)."""
    last = 2 * model.num_hidden_layers * tokens * model.hidden_size * model.intermediate_size
    return layers_flops(model, tokens) - last
