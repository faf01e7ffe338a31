"""The pieces of a pretraining run, each made from its arguments."""

from __future__ import annotations

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining, PrefAceVideoProcessor
from preface_hf.objectives.preface import PrefAceObjective
from preface_hf.training.arguments import PretrainArguments


# Fields that a checkpoint's weights were trained with: a run that starts from it keeps them.
FIXED_BY_WEIGHTS = ("layer_norm_eps", "qv_bias", "use_final_norm", "norm_after_pooling", "hidden_act")


def build_accelerator(arguments: PretrainArguments) -> Accelerator:
    """Accelerate with the precision and accumulation of the arguments."""
    AcceleratorState._reset_state()  # an earlier run in this process may have had another precision
    # Without the instance term the cache's projector gets no gradient, which DDP must be told.
    unused = not arguments.objective_config().instance_weight
    return Accelerator(
        mixed_precision=arguments.mixed_precision,
        gradient_accumulation_steps=arguments.gradient_accumulation_steps,
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=unused)],
    )


def build_model(arguments: PretrainArguments, init_from: str | None) -> PrefAceForPreTraining:
    """The student: new, or from the weights at `init_from`; `ValueError` where these do not fit."""
    config = arguments.model_config()
    if init_from:
        try:
            source = PrefAceConfig.from_pretrained(init_from)
            config.update({name: getattr(source, name) for name in FIXED_BY_WEIGHTS})
            model = PrefAceForPreTraining.from_pretrained(init_from, config=config)
        except (OSError, ValueError) as error:
            raise ValueError(f"cannot start from {init_from!r}: {' '.join(str(error).split())}") from error
    else:
        model = PrefAceForPreTraining(config)
    if arguments.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    return model.train()


def build_processor(model: PrefAceForPreTraining, init_from: str | None) -> PrefAceVideoProcessor:
    """The processor saved with the model: its clip size, normalised as the checkpoint it started from was."""
    size = model.config.image_size
    processor = PrefAceVideoProcessor(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}, num_frames=model.config.num_frames
    )
    if init_from:
        source = PrefAceVideoProcessor.from_pretrained(init_from)
        for name in ("do_normalize", "image_mean", "image_std"):
            setattr(processor, name, getattr(source, name))
    return processor


def build_objective(
    arguments: PretrainArguments,
    model: PrefAceForPreTraining,
    processor: PrefAceVideoProcessor,
    num_instances: int,
    accelerator: Accelerator,
) -> PrefAceObjective:
    """The objective of the arguments for `num_instances` rows, on pixels normalised as by `processor`."""
    plain = ([0.0] * 3, [1.0] * 3)
    return PrefAceObjective(
        model,
        arguments.objective_config(),
        num_instances=num_instances,
        num_local=arguments.view_config().num_local,
        max_steps=arguments.max_steps,
        seed=arguments.seed,
        pixels=(processor.image_mean, processor.image_std) if processor.do_normalize else plain,
        gather=accelerator.gather,
    )
