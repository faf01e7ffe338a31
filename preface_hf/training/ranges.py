"""What numbers a setting of a run may be, by its name, whatever section it stands in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


# Least and most. Far apart: they keep out what cannot be meant (a momentum of 8, a hundred million tubes), and what
# would only show hours later.
COUNT, WEIGHT, SHARE, TEMPERATURE, PIXELS = (1, 10**9), (0, 1e6), (0, 1), (1e-4, 100), (1, 4096)
RANGES: dict[str, tuple[float, float]] = {
    # the run
    "max_steps": COUNT,
    "batch_size": (1, 10**5),
    "gradient_accumulation_steps": (1, 10**5),
    "learning_rate": (0, 100),
    "final_learning_rate": (0, 100),
    "layer_decay": SHARE,
    "warmup_steps": (0, 10**9),
    "weight_decay": (0, 10),
    "final_weight_decay": (0, 10),
    "adam_beta2": (0, 0.999999),
    "max_grad_norm": (1e-6, math.inf),  # no gradient is clipped where it is infinite
    "freeze_prototypes_epochs": (0, 1e9),
    "save_steps": COUNT,
    "keep_checkpoints": COUNT,
    "logging_steps": COUNT,
    "probe_steps": (0, 10**9),
    "num_workers": (0, 1024),
    "shuffle_window": (1, 10**7),  # rows of some tens of kilobytes, in memory
    "seed": (0, 2**63 - 1),
    # views and masks
    "num_frames": (1, 1024),
    "sampling_rate": (1, 10**4),
    "global_rates": (1, 10**4),
    "local_rates": (1, 10**4),
    "num_global": (1, 64),
    "global_size": PIXELS,
    "global_scale": (1e-4, 1),
    "num_local": (0, 1000),
    "local_size": PIXELS,
    "local_scale": (1e-4, 100),
    "local_shift": (0, 10),
    "flip_probability": SHARE,
    "brightness": SHARE,
    "contrast": SHARE,
    "saturation": SHARE,
    "hue": (0, 0.5),
    "gray_probability": SHARE,
    "blur_probability": SHARE,
    "blur_radius": (0, 1000),
    "solarize_probability": SHARE,
    "tubelet_size": (1, 1024),
    "patch_size": PIXELS,
    "mask_ratio": SHARE,
    # objectives
    "global_weight": WEIGHT,
    "local_weight": WEIGHT,
    "landmark_weight": WEIGHT,
    "instance_weight": WEIGHT,
    "koleo_weight": WEIGHT,
    "adversarial_weight": WEIGHT,
    "gradient_penalty_weight": WEIGHT,
    "mean_entropy_weight": WEIGHT,
    "student_temperature": TEMPERATURE,
    "sharpening": (1e-3, 1),
    "teacher_temperature": TEMPERATURE,
    "teacher_temperature_start": TEMPERATURE,
    "instance_temperature": TEMPERATURE,
    "teacher_temperature_warmup": SHARE,
    "center_momentum": SHARE,
    "teacher_momentum": SHARE,
    "cache_momentum": SHARE,
    "cache_negatives": (1, 10**7),
}

PAIRS = ("_scale", "_radius")  # settings that are the least and the most of what is drawn


def check_ranges(values: Mapping[str, Any], where: str) -> None:
    """`ValueError` for the first number, alone or in a list, that its setting cannot be; NaN is in no range."""
    for name, value in values.items():
        pair = name.endswith(PAIRS)
        least, most = RANGES.get(name, (-math.inf, math.inf))
        several = isinstance(value, list | tuple)
        numbers = list(value) if several else [value]
        wrong = [number for number in numbers if isinstance(number, bool) or not isinstance(number, int | float)]
        if pair and len(numbers) != 2 or several and name in RANGES and wrong:
            raise ValueError(f"{where}{name}={value!r} must be {'two ' * pair}numbers: change it.")
        if wrong:
            continue  # not a number: checked by its type
        if not all(least <= number <= most for number in numbers):
            raise ValueError(f"{where}{name}={value!r} must be from {least:g} to {most:g}: change it.")
        if pair and numbers != sorted(numbers):
            raise ValueError(f"{where}{name}={value!r} must be two numbers, the smaller first: change it.")
