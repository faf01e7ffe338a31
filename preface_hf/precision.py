"""`mixed_precision: auto`: bf16 or float32, whichever this machine trains faster with.

No table of processors tells it: on one with AVX-512 bf16 a step takes half the time, on one that has to imitate bf16
sixty times as long. So a layer of the model is trained for a moment in both.
"""

from __future__ import annotations

import time
from copy import deepcopy

import torch

from preface_hf.modeling import PrefAceConfig, PrefAceModel


AUTO, PRECISIONS = "auto", ("no", "bf16", "fp16", "auto")
TOKENS, GRID = 256, 4  # of a batch, and patches along a side: enough to tell, and a moment on any machine
REPEATS = 5
# Shares of float32's time: below the first bf16 pays, above the second one step has told enough.
GAIN, HOPELESS = 0.9, 30.0


def fastest_precision(config: PrefAceConfig, attention: str = "sdpa") -> str:
    """`bf16` or `no` on a CPU, by the time of a training step of one layer; on a GPU `bf16` where it has it, else
    `fp16`; elsewhere `no`.

    Args:
        config: of the encoder that is to be trained.
        attention: transformers' name of how attention is computed.
    """
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if torch.accelerator.is_available():
        return "no"
    small = deepcopy(config)
    small.update({"num_hidden_layers": 1, "image_size": config.patch_size * min(GRID, config.grid_size[1])})
    layer = PrefAceModel(small).train()
    layer.set_attn_implementation(attention)
    tokens = small.grid_size[0] * small.grid_size[1] * small.grid_size[2]
    shape = (max(1, TOKENS // tokens), small.num_frames, small.num_channels, small.image_size, small.image_size)
    clips = torch.zeros(shape)
    plain = step_seconds(layer, clips, None)
    return "bf16" if step_seconds(layer, clips, HOPELESS * plain) < GAIN * plain else "no"


def step_seconds(layer: PrefAceModel, clips: torch.Tensor, most: float | None) -> float:
    """The least time of some steps after a first one: in float32, or in bf16 where there is a `most` for the first."""
    least = float("inf")
    for repeat in range(1 + REPEATS):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=most is not None):
            loss = layer(clips).pooler_output.float().mean()
        loss.backward()
        took = time.perf_counter() - start
        if most is not None and repeat == 0 and took > most:
            return took
        least = min(least, took) if repeat else least
    return least
