"""The pieces of a pretraining run, each made from its arguments."""

from __future__ import annotations

import os
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, broadcast_object_list

from preface_hf.files import why_unopened
from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining, PrefAceVideoProcessor
from preface_hf.objectives.base import Objective
from preface_hf.objectives.methods import HEADS
from preface_hf.precision import fastest_precision
from preface_hf.training.arguments import Parts, PretrainArguments
from preface_hf.training.checkpoint import saved_settings
from preface_hf.training.sharding import set_up_sharding


# Fields that a checkpoint's weights were trained with: a run that starts from it keeps them.
FIXED_BY_WEIGHTS = ("layer_norm_eps", "qv_bias", "use_final_norm", "norm_after_pooling", "hidden_act")
# Fields that must be alike: those that give the weights of the encoder their shapes and sense.
SIZES = ("num_channels", "patch_size", "tubelet_size", "hidden_size", "intermediate_size")
ENCODER = (*SIZES, "num_hidden_layers", "num_attention_heads")


def build_accelerator(arguments: PretrainArguments, parts: Parts) -> Accelerator:
    """Accelerate with the precision, accumulation and trackers of the arguments."""
    for name in arguments.report_to:  # Accelerate leaves out in silence what is not installed
        if find_spec(name) is None:
            raise ValueError(f"report_to: {name} is not installed: pip install {name}, or leave it out.")
    AcceleratorState._reset_state()  # an earlier run in this process may have had another precision
    unused = not parts.method.all_weights_train(parts.objective)  # DDP waits for the gradient of every weight
    # Running statistics move alike on every process after each step: DDP need not send them (`broadcast_buffers`).
    accelerator = Accelerator(
        cpu=trains_on_cpus(),
        mixed_precision=arguments.mixed_precision,
        gradient_accumulation_steps=arguments.gradient_accumulation_steps,
        log_with=arguments.report_to or None,
        project_dir=arguments.output_dir,
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=unused)],
    )
    check_processes(accelerator)
    check_precision(accelerator)
    if accelerator.distributed_type == DistributedType.FSDP:
        set_up_sharding(accelerator)
    return accelerator


def measured_precision(arguments: PretrainArguments, parts: Parts, resume: bool) -> str:
    """What `mixed_precision: auto` stands for: the faster one here, as the first process finds; of a run that is
    resumed what it was."""
    state = PartialState(cpu=trains_on_cpus())
    found, folder = None, Path(arguments.output_dir)
    if state.is_main_process:
        begun = resume and (folder / "config.yaml").exists()
        found = saved_settings(folder)["mixed_precision"] if begun else None
        found = found or fastest_precision(parts.model, arguments.attn_implementation)
    chosen: str = broadcast_object_list([found])[0]
    state.print(f"mixed_precision: {chosen} is what this run trains with.")
    return chosen


def trains_on_cpus() -> bool:
    """Whether several processes share the cores: else torchrun's on a machine without accelerators would each train
    a run of their own."""
    return launched_processes() > 1 and not torch.accelerator.is_available()


def launched_processes() -> int:
    """How many processes a launcher (torchrun, `accelerate launch`) says that it has started; 1 without one."""
    count = os.environ.get("WORLD_SIZE", "1")
    return int(count) if count.isdecimal() else 1


def check_processes(accelerator: Accelerator) -> None:
    """`ValueError` where processes that were launched together do not train together: all would write one folder."""
    if (count := launched_processes()) != accelerator.num_processes:
        raise ValueError(
            f"{count} processes were launched, and Accelerate trains with {accelerator.num_processes}: set "
            f"ACCELERATE_USE_CPU=true, or launch as many processes as there are accelerators."
        )


def check_precision(accelerator: Accelerator) -> None:
    """`ValueError` for fp16 on a CPU, where Accelerate would train in float32 and say nothing."""
    if accelerator.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise ValueError("mixed_precision=fp16 needs an accelerator, and this process has none: take bf16 or no.")


def build_model(arguments: PretrainArguments, parts: Parts) -> PrefAceForPreTraining:
    """The student: new, or from the weights that `arguments` names; `ValueError` where these do not fit."""
    config = parts.model
    if init_from := arguments.init_from:
        try:
            source = PrefAceConfig.from_pretrained(init_from)
            # Asked first: transformers only warns of layers that are missing or left over.
            # Heads of another method that have other shapes start anew; an encoder alone fits whatever the heads.
            same = heads_in(source) and source.pretraining_method == config.pretraining_method
            check_alike(source, config, parts.method.heads if same else ())
            config = deepcopy(config)
            config.update({name: getattr(source, name) for name in FIXED_BY_WEIGHTS})
            model = PrefAceForPreTraining.from_pretrained(init_from, config=config, ignore_mismatched_sizes=not same)
        except (OSError, ValueError, UnpicklingError) as error:
            raise ValueError(f"cannot start from {init_from!r}: {why_unopened(error)}") from error
    else:
        model = PrefAceForPreTraining(config)
    set_attention(model, arguments.attn_implementation)
    if arguments.gradient_checkpointing:
        # transformers renamed it, and warns at the old name.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable()
    return model.train()


def set_attention(model: PrefAceForPreTraining, name: str) -> None:
    """Have attention computed by `name`; `ValueError` where transformers does not know it or it is not installed."""
    try:
        model.set_attn_implementation(name)
    except (ImportError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"attn_implementation={name!r} does not work here ({reason}): set it to sdpa.") from error


def heads_in(source: PrefAceConfig) -> tuple[str, ...]:
    """The heads of pretraining that a checkpoint of `source` has."""
    return source.pretraining_heads if source.architectures == ["PrefAceForPreTraining"] else ()


def kept_heads(source: PrefAceConfig, config: PrefAceConfig) -> list[str]:
    """Those of a checkpoint of `source` that a student of `config` has too, of the same shapes."""
    both = [head for head in heads_in(source) if head in config.pretraining_heads]
    return [head for head in both if all(getattr(source, name) == getattr(config, name) for name in HEADS[head])]


def start_from(objective: Objective, config: PrefAceConfig, checkpoint: str) -> str:
    """Let an objective start from a checkpoint that the student of `config` has its weights from; returns what is
    kept, what starts anew and what is left behind."""
    source = PrefAceConfig.from_pretrained(checkpoint)
    kept, theirs = kept_heads(source, config), heads_in(source)
    new = [head for head in config.pretraining_heads if head not in kept]
    left = [head for head in theirs if head not in kept]
    sentences = [objective.take_over(checkpoint)]
    if theirs and (new or left):
        sentences.append(f"It is of another method: kept are {', '.join(['the encoder', *kept])};")
        sentences.append(f"new are {', '.join(new) or 'none'}; left behind are {', '.join(left) or 'none'}.")
    return " ".join(sentences)


def check_alike(source: PrefAceConfig, config: PrefAceConfig, heads: tuple[str, ...]) -> None:
    """`ValueError` listing the fields in which weights of `source` do not fit a model of `config`."""
    pairs = [(name, getattr(source, name), getattr(config, name)) for name in (*ENCODER, *heads)]
    differences = [f"{name}: {theirs} -> {ours}" for name, theirs, ours in pairs if theirs != ours]
    if differences:
        raise ValueError(
            f"its weights are for another model than this run's ({', '.join(differences)}): set the size, or these in "
            f"the section `model`, to what the checkpoint has."
        )


def build_processor(parts: Parts, model: PrefAceForPreTraining, init_from: str | None) -> PrefAceVideoProcessor:
    """The processor saved with the model: clips of the size and speed of the run's, normalized as the checkpoint that
    it started from was."""
    size = model.config.image_size
    processor = PrefAceVideoProcessor(
        size={"shortest_edge": size},
        crop_size={"height": size, "width": size},
        num_frames=model.config.num_frames,
        sampling_rate=parts.views.sampling_rate,
    )
    if init_from:
        source = PrefAceVideoProcessor.from_pretrained(init_from)
        for name in ("do_normalize", "image_mean", "image_std"):
            setattr(processor, name, getattr(source, name))
    return processor


def pixel_scale(processor: PrefAceVideoProcessor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel by which `processor` normalizes values in [0, 1]."""
    # Mean 0 and deviation 1 leave them as they are.
    plain = ([0.0] * 3, [1.0] * 3)
    return (processor.image_mean, processor.image_std) if processor.do_normalize else plain


def build_objective(
    arguments: PretrainArguments,
    parts: Parts,
    model: PrefAceForPreTraining,
    processor: PrefAceVideoProcessor,
    num_instances: int,
    accelerator: Accelerator,
) -> Objective:
    """The objective of the arguments for `num_instances` rows, on pixels normalized as by `processor`."""
    return parts.method.objective(
        model,
        parts.objective,
        views=parts.views,
        num_instances=num_instances,
        max_steps=arguments.max_steps,
        seed=arguments.seed,
        pixels=pixel_scale(processor),
        gather=accelerator.gather,
        scratch=arguments.output_dir,
        rest_epochs=arguments.freeze_prototypes_epochs,
    )
