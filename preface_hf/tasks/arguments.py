"""The settings of a fine-tuning run, checked before any work."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from preface_hf.precision import PRECISIONS
from preface_hf.tasks.rows.splits import read_share


PROTOCOLS = ("linear", "knn", "attentive", "full", "lora")
POOLINGS = ("mean", "layers", "grid")
# Chosen on CK+ and CelebA (benchmarks/results): of 16 to 64 clips a step.
RATES = {"full": 1e-3, "lora": 2e-3, "attentive": 2e-3, "linear": 2e-3}
EPOCHS, LEAST_STEPS = 20, 300


@dataclass
class FinetuneArguments:
    """Settings of [`preface_hf.tasks.finetune.finetune`].

    Attributes:
        output_dir: the run's folder.
        protocol: full (all weights), lora (added matrices and the head), attentive (a learned query and the head on a
            frozen encoder), linear (a head on frozen features, its strength searched), or knn (frozen features).
        pooling: what the head or the neighbors see: grid (3x3 places of the frame: on aligned faces a place is a part
            of the face), mean, or layers (the last four side by side).
        labels: share of the labeled rows to train and choose by, such as `10%`; smaller ones are part of larger ones.
        shots: instead, so many rows of each class.
        seed: of everything random: held out people, few labels, head, order, augmentation.
        max_steps: optimizer steps; without, 20 epochs and at least 300 steps.
        batch_size: clips a step.
        learning_rate: peak, of the head (that for landmarks takes ten times as much); without, by the protocol.
        lora_rank: of the matrices that lora adds.
        layer_decay: factor of the rate with each layer below (VideoMAE: 0.75).
        weight_decay: of AdamW.
        drop_path_rate: stochastic depth of full fine-tuning (VideoMAE: 0.1).
        augmentation: strength of changes of place, size, turn and colors; 0 leaves mirroring. Short runs, and
            landmarks, take less.
        mixup: alpha of the share; 0 mixes none.
        class_weights: each class counts alike, however often it occurs.
        windows: clips a video to score by; their predictions are averaged.
        random_weights: start from initial weights of the same shape: what pretraining has to beat.
        group: column of people; found by its name without.
        allow_overlap: let people be in two splits.
        samples: draws for the 95 % intervals.
        mixed_precision: no, bf16, fp16, or auto (measured at the start).
        gradient_checkpointing: less memory for more time.
        num_workers: loading processes.
        expert: of lipsync, the sync expert of its loss: the run of a `finetune --task sync`.
        adversarial_weight: of lipsync, of an adversary that tells drawn patches from true ones; 0 does without.
    """

    output_dir: str
    protocol: str = "full"
    pooling: str = "grid"
    labels: str = "100%"
    shots: int | None = None
    seed: int = 0
    max_steps: int | None = None
    batch_size: int = 16
    learning_rate: float | None = None
    lora_rank: int = 8
    layer_decay: float = 0.75
    weight_decay: float = 0.05
    drop_path_rate: float = 0.0
    augmentation: float = 1.0
    mixup: float = 0.0
    class_weights: bool = False
    windows: int = 2
    random_weights: bool = False
    group: str | None = None
    allow_overlap: bool = False
    samples: int = 1000
    mixed_precision: str = "no"
    gradient_checkpointing: bool = False
    num_workers: int = 0
    expert: str | None = None
    adversarial_weight: float = 0.0

    def __post_init__(self) -> None:
        choices = {"protocol": PROTOCOLS, "pooling": POOLINGS, "mixed_precision": PRECISIONS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown: choose one of {', '.join(known)}.")
        read_share(self.labels)
        for name, (low, high) in RANGES.items():
            check_number(name, getattr(self, name), low, high)
        if self.shots is not None and self.labels != "100%":
            raise ValueError(f"--shots {self.shots} and --labels {self.labels} both say how many labels: give one.")

    @property
    def head_pooling(self) -> str:
        """What the head sees, as a model's configuration calls it."""
        return "attentive" if self.protocol == "attentive" else self.pooling

    @property
    def rate(self) -> float:
        """The learning rate of the head."""
        return self.learning_rate or RATES[self.protocol]

    def steps(self, rows: int) -> int:
        """Optimizer steps for so many rows."""
        return self.max_steps or max(LEAST_STEPS, EPOCHS * math.ceil(rows / self.batch_size))

    def told(self) -> dict[str, Any]:
        """All settings as a run writes them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


# Least and most of each number; None is allowed where it is the default.
RANGES: dict[str, tuple[float, float]] = {
    "shots": (1, 1e9), "seed": (0, 2**32 - 1), "max_steps": (1, 1e9), "batch_size": (1, 1e6),
    "learning_rate": (1e-9, 10),
    "lora_rank": (1, 4096), "layer_decay": (0.01, 1), "weight_decay": (0, 10), "drop_path_rate": (0, 0.9),
    "augmentation": (0, 3), "mixup": (0, 10), "windows": (1, 1000), "samples": (0, 1e6), "num_workers": (0, 1000),
    "adversarial_weight": (0, 10),
}  # fmt: skip


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """`ValueError` for a number that is none, or out of range."""
    if value is None and name in ("shots", "max_steps", "learning_rate"):
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name}={value!r} is out of range: give a number from {low:g} to {high:g}.")
