"""The pieces of a pretraining run, each made from its arguments."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, DistributedType

from preface_hf.modeling import PrefAceConfig, PrefAceForPreTraining, PrefAceVideoProcessor
from preface_hf.objectives.preface import PrefAceObjective
from preface_hf.training.arguments import PretrainArguments
from preface_hf.training.checkpoint import CACHE_FILE, OBJECTIVE_FILE, saved_objective
from preface_hf.training.sharding import set_up_sharding


# Fields that a checkpoint's weights were trained with: a run that starts from it keeps them.
FIXED_BY_WEIGHTS = ("layer_norm_eps", "qv_bias", "use_final_norm", "norm_after_pooling", "hidden_act")
# Fields that must be alike: those that give the weights of the encoder, and of the heads, their shapes and sense.
SIZES = ("num_channels", "patch_size", "tubelet_size", "hidden_size", "intermediate_size")
ENCODER = (*SIZES, "num_hidden_layers", "num_attention_heads")
HEADS = ("projector_hidden_size", "projector_output_size", "num_prototypes", "facefeat_size")


def build_accelerator(arguments: PretrainArguments) -> Accelerator:
    """Accelerate with the precision, accumulation and trackers of the arguments."""
    for name in arguments.report_to:  # Accelerate leaves out in silence what is not installed
        if find_spec(name) is None:
            raise ValueError(f"report_to: {name} is not installed: pip install {name}, or leave it out.")
    AcceleratorState._reset_state()  # an earlier run in this process may have had another precision
    # Without the instance term the cache's projector gets no gradient, which DDP must be told.
    unused = not arguments.objective_config().instance_weight
    accelerator = Accelerator(
        mixed_precision=arguments.mixed_precision,
        gradient_accumulation_steps=arguments.gradient_accumulation_steps,
        log_with=arguments.report_to or None,
        project_dir=arguments.output_dir,
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=unused)],
    )
    check_precision(accelerator)
    if accelerator.distributed_type == DistributedType.FSDP:
        set_up_sharding(accelerator)
    return accelerator


def check_precision(accelerator: Accelerator) -> None:
    """`ValueError` for fp16 on a CPU, where Accelerate would train in float32 and say nothing."""
    if accelerator.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise ValueError("mixed_precision=fp16 needs an accelerator, and this process has none: take bf16 or no.")


def build_model(arguments: PretrainArguments, init_from: str | None) -> PrefAceForPreTraining:
    """The student: new, or from the weights at `init_from`; `ValueError` where these do not fit."""
    config = arguments.model_config()
    if init_from:
        try:
            source = PrefAceConfig.from_pretrained(init_from)
            check_alike(source, config)
            config.update({name: getattr(source, name) for name in FIXED_BY_WEIGHTS})
            model = PrefAceForPreTraining.from_pretrained(init_from, config=config)
        except (OSError, ValueError) as error:
            raise ValueError(f"cannot start from {init_from!r}: {' '.join(str(error).split())}") from error
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


def check_alike(source: PrefAceConfig, config: PrefAceConfig) -> None:
    """`ValueError` listing the fields in which weights of `source` do not fit a model of `config`."""
    heads = HEADS if source.architectures == ["PrefAceForPreTraining"] else ()
    pairs = [(name, getattr(source, name), getattr(config, name)) for name in (*ENCODER, *heads)]
    differences = [f"{name}: {theirs} -> {ours}" for name, theirs, ours in pairs if theirs != ours]
    if differences:
        raise ValueError(
            f"its weights are for another model than this run's ({', '.join(differences)}): set the size, or these in "
            f"the section `model`, to what the checkpoint has."
        )


def build_processor(
    arguments: PretrainArguments, model: PrefAceForPreTraining, init_from: str | None
) -> PrefAceVideoProcessor:
    """The processor saved with the model: clips of the size and speed of the run's, normalized as the checkpoint that
    it started from was."""
    size = model.config.image_size
    processor = PrefAceVideoProcessor(
        size={"shortest_edge": size},
        crop_size={"height": size, "width": size},
        num_frames=model.config.num_frames,
        sampling_rate=arguments.view_config().sampling_rate,
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
    """The objective of the arguments for `num_instances` rows, on pixels normalized as by `processor`."""
    plain = ([0.0] * 3, [1.0] * 3)
    objective = PrefAceObjective(
        model,
        arguments.objective_config(),
        num_instances=num_instances,
        num_local=arguments.view_config().num_local,
        max_steps=arguments.max_steps,
        seed=arguments.seed,
        pixels=(processor.image_mean, processor.image_std) if processor.do_normalize else plain,
        gather=accelerator.gather,
        scratch=arguments.output_dir,
    )
    save_beside(objective, accelerator)
    return objective


def save_beside(objective: PrefAceObjective, accelerator: Accelerator) -> None:
    """Let Accelerate's checkpoints hold the file of a FaceFeat Cache on disk, which `state_dict()` leaves out."""
    rows = objective.cache.mapped

    def save(models: list, weights: list, folder: str) -> None:
        if rows and accelerator.is_main_process:
            rows.save(Path(folder) / CACHE_FILE)

    def restore(models: list, folder: str) -> None:
        if rows:
            rows.restore(Path(folder) / CACHE_FILE)

    accelerator.register_save_state_pre_hook(save)
    accelerator.register_load_state_pre_hook(restore)


def continue_objective(objective: PrefAceObjective, init_from: str, accelerator: Accelerator) -> int:
    """Take teacher, centers and FaceFeat Cache over from `init_from`, if it is a checkpoint of a run on no more
    instances than there are here; says in one line whether it was, and returns how many entries are filled so.

    The instances of that run must have the ids that they had: new rows come after them.
    """
    cache = objective.cache
    if not (Path(init_from) / OBJECTIVE_FILE).is_file():
        reason = "it holds no training state"
    else:
        state, entries = saved_objective(Path(init_from))
        new = len(cache) - len(entries)
        if new >= 0:
            objective.load_state_dict(state)
            cache.take(entries)
            more = f"; the teacher fills the entries of {new} new instances" if new else ""
            accelerator.print(f"student, teacher and FaceFeat Cache go on from {init_from}{more}.")
            return len(entries)
        reason = f"that cache has {len(entries)} instances, this set {len(cache)}"
    accelerator.print(f"the student starts from {init_from}; teacher and FaceFeat Cache start anew ({reason}).")
    return 0
