"""FSDP2: the student's weights, gradients and moments in shards, one on each process; everything else stays whole."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy

from preface_hf.modeling import PrefAceForPreTraining


def set_up_sharding(accelerator: Accelerator) -> None:
    """Refuse settings of Accelerate that a run cannot work with, and have gradients added up in float32.

    Raises `ValueError` for the first setting that does not fit.
    """
    plugin = accelerator.state.fsdp_plugin
    if plugin.fsdp_version != 2:
        refuse("fsdp_version", plugin.fsdp_version, 2, "FSDP1 is not supported")
    if plugin.cpu_ram_efficient_loading:
        refuse("fsdp_cpu_ram_efficient_loading", True, False, "the heads' running statistics are not sharded")
    if plugin.activation_checkpointing:
        refuse("fsdp_activation_checkpointing", True, False, "gradient_checkpointing of the run's settings does it")
    if isinstance(plugin.cpu_offload, CPUOffloadPolicy):
        refuse("fsdp_offload_params", True, False, "the teacher follows the weights on the accelerator")
    # By Accelerate's policy FSDP2 would add gradients up, and return features and logits, in the lower precision,
    # which DDP does not.
    if plugin.mixed_precision_policy is not None:
        lower = plugin.mixed_precision_policy.param_dtype
        plugin.mixed_precision_policy = MixedPrecisionPolicy(param_dtype=lower, reduce_dtype=torch.float32)


def refuse(name: str, value: object, needed: object, reason: str) -> None:
    """Raise `ValueError` for the setting `name` of Accelerate's config file."""
    raise ValueError(f"{name}={value} in Accelerate's config: set it to {str(needed).lower()} ({reason}).")


def gather_model(accelerator: Accelerator, model: PrefAceForPreTraining) -> PrefAceForPreTraining:
    """`model` or, where it is sharded, a whole one in the memory of the main process (an empty one on the others).

    Every process must call it.
    """
    if not accelerator.is_fsdp2:
        return model
    # A sharded model is of a class of torch's: saved as it is, it would take files of torch for its own code. The
    # plain one is made on meta, and takes the gathered weights as they are.
    weights = accelerator.get_state_dict(model)
    with torch.device("meta"):
        whole = PrefAceForPreTraining(model.config)
    if accelerator.is_main_process:
        whole.load_state_dict(weights, assign=True)
    return whole
