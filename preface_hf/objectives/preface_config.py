"""The settings of the PrefAce objective."""

from __future__ import annotations

from dataclasses import dataclass


TARGETS = ("centering", "sinkhorn")
CACHE_DEVICES = ("accelerator", "host", "disk")


@dataclass
class PrefAceObjectiveConfig:
    """Weights, temperatures and momenta. Only the plain sum of the two terms is stated by PrefAce; the values are
    those of DINO and of Wu et al. 2018 (docs/paper_index.md)."""

    global_weight: float = 1.0  # of a student's view in both terms, by its family
    local_weight: float = 1.0
    landmark_weight: float = 1.0
    instance_weight: float = 1.0  # of L_ID; 0 leaves the FaceFeat Cache out
    koleo_weight: float = 0.0  # of KoLeo on the student's pooled global tubes, summed over them (DINOv2: 0.1)
    targets: str = "centering"  # what keeps the teacher from collapse: centering or sinkhorn
    student_temperature: float = 0.1
    teacher_temperature: float = 0.07
    teacher_temperature_start: float = 0.04
    teacher_temperature_warmup: float = 0.3  # share of the run in which it rises
    center_momentum: float = 0.9
    teacher_momentum: float = 0.996  # rises to 1 along a cosine
    instance_temperature: float = 0.07
    cache_momentum: float = 0.5
    cache_negatives: int = 4096
    cache_device: str = "accelerator"  # where its entries are: accelerator, host (memory) or disk (a mapped file)

    def __post_init__(self) -> None:
        for name, allowed in (("targets", TARGETS), ("cache_device", CACHE_DEVICES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown: choose one of {', '.join(allowed)}.")
