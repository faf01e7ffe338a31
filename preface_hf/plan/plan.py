"""What a pretraining run will cost, before anything runs: `preface-hf pretrain --plan`. Nothing is read but the number
of instances, nothing is written.

A step lasts as long as the slowest of computing, loading and exchanging, which overlap. Gathering comes on top, and so
does what the method needs before step 1. Beside each number of the printed table stands whether it is exact, computed
or assumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from preface_hf.objectives.costs import Costs, Tubes
from preface_hf.plan.flops import clip_flops, costs_of, forward_flops, seen_tokens
from preface_hf.plan.footprint import count_parameters, disk, memory
from preface_hf.plan.machines import Machine
from preface_hf.training.arguments import Parts, PretrainArguments


@dataclass
class Plan:
    """FLOPs and clips are of a step of all accelerators, memory (bytes) of one, seconds of a step; see [`plan`]."""

    instances: int
    global_batch: int
    parameters: dict[str, int]
    tokens: dict[str, int]
    flops: dict[str, float]
    memory: dict[str, int]
    disk: dict[str, int]
    gathered: int  # bytes on every accelerator after a step's gather
    seconds: dict[str, float]
    start: str  # what is done before step 1; empty: nothing that takes time
    start_seconds: float
    max_steps: int
    dollars_per_hour: float

    @property
    def limit(self) -> str:
        """What a step waits for: the slowest of computing, loading and exchanging."""
        return max((name for name in self.seconds if name != "gathering"), key=lambda name: self.seconds[name])

    @property
    def step_seconds(self) -> float:
        """Of an optimizer step."""
        return self.seconds[self.limit] + self.seconds["gathering"]

    @property
    def hours(self) -> float:
        """Of the whole run, with what is done before step 1."""
        return (self.start_seconds + self.max_steps * self.step_seconds) / 3600

    @property
    def dollars(self) -> float:
        """Of the whole run."""
        return self.hours * self.dollars_per_hour

    @property
    def epochs(self) -> float:
        """How often every instance is seen."""
        return self.max_steps * self.global_batch / self.instances


def plan(arguments: PretrainArguments, machine: Machine, instances: int) -> Plan:
    """The cost of a run on `instances` rows, one process per accelerator of `machine`; `ValueError` for settings that
    do not fit."""
    if instances < 1:
        raise ValueError(f"instances={instances} must be 1 or more.")
    parts = arguments.parts()
    costs = costs_of(arguments, parts, instances)
    clips = arguments.batch_size * arguments.gradient_accumulation_steps * machine.accelerators
    gathered = clips * costs.gathered_bytes
    flops = {part: float(clips * count) for part, count in clip_flops(arguments, parts, instances).items()}
    bytes_held = memory(arguments, parts, instances, machine.accelerators)
    speed = training_speed(arguments, machine)
    return Plan(
        instances=instances,
        global_batch=clips,
        parameters=count_parameters(parts.model),
        tokens=step_tokens(parts, costs, clips),
        flops=flops,
        memory=bytes_held,
        disk=disk(arguments, parts, instances),
        gathered=gathered,
        # Each as if alone; `Plan.step_seconds` says how they overlap. Gathering: what the other accelerators send.
        seconds={
            "computing": sum(flops.values()) / machine.accelerators / speed,
            "loading": clips / loading_speed(arguments, parts, machine),
            "exchanging": exchange_seconds(bytes_held["weights (float32)"], machine),
            "gathering": gathered * (1 - 1 / machine.accelerators) / (1e9 * machine.exchange_gb_per_second),
        },
        start=costs.start,
        start_seconds=start_seconds(arguments, parts, machine, instances) if costs.start else 0.0,
        max_steps=arguments.max_steps,
        dollars_per_hour=machine.dollars_per_hour,
    )


def step_tokens(parts: Parts, costs: Costs, clips: int) -> dict[str, int]:
    """Tokens that the student sees: of a tube of each size, of a clip, and of a step of `clips`."""
    frames = parts.views.num_frames
    sizes = {name: seen_tokens(parts.model, frames, tubes) for name, tubes in costs.student.items()}
    clip = sum(tubes.count * sizes[name] for name, tubes in costs.student.items())
    single = {f"a {name.removesuffix('s')}": tokens for name, tokens in sizes.items()}  # of "global tubes"
    return {**single, "a clip": clip, "a step": clips * clip}


def loading_processes(arguments: PretrainArguments, machine: Machine) -> int:
    """Of all training processes together, no more than there are cores."""
    return min(max(arguments.num_workers, 1) * machine.accelerators, machine.cores)


def training_speed(arguments: PretrainArguments, machine: Machine) -> float:
    """FLOP/s that training gets out of an accelerator: its peak at the run's precision times the machine's share."""
    peak = machine.peak(arguments.mixed_precision)
    if machine.computes_on_cores:
        # Loading processes take their cores from computing; one is always left for it.
        taken = min(arguments.num_workers, machine.cores - 1)
        peak *= (machine.cores - taken) / machine.cores
    return peak * machine.share


# Seconds of a core by what it does, measured (benchmarks/results/2026-11-25-loading.md): for a clip, for a million
# pixels of frames that are decoded, and for a tube and a million pixels that are cut.
CLIP, DECODED, TUBE, CUT = 1.8e-3, 26.3e-3, 0.17e-3, 7.1e-3


# What the machines' clips per second were measured with: PrefAce's default views, of 16 frames of 224 pixels.
MEASURED = (16, 224, [Tubes(2, 224), Tubes(11, 96)])


def load_work(num_frames: int, size: int, tubes: Iterable[Tubes]) -> float:
    """Seconds of the measured core to decode a clip, whose crop is `size` pixels wide, and to cut its tubes."""
    cut = sum(each.count * each.size**2 for each in tubes)
    count = sum(each.count for each in tubes)
    return CLIP + TUBE * count + num_frames * (DECODED * size**2 + CUT * cut) / 1e6


def loading_speed(arguments: PretrainArguments, parts: Parts, machine: Machine) -> float:
    """Clips a second that all loading processes decode and cut."""
    views, tubes = parts.views, list(costs_of(arguments, parts, instances=1).student.values())
    relative = load_work(*MEASURED) / load_work(views.num_frames, views.global_size, tubes)
    return machine.clips_per_core_second * relative * loading_processes(arguments, machine)


def exchange_seconds(gradients: int, machine: Machine) -> float:
    """Ring all-reduce of float32 gradients: 2 (n - 1) / n of their bytes pass through each accelerator."""
    share = 2 * (1 - 1 / machine.accelerators)
    return share * gradients / (1e9 * machine.exchange_gb_per_second)


def start_seconds(arguments: PretrainArguments, parts: Parts, machine: Machine, instances: int) -> float:
    """Before step 1: the loading processes decode every clip once, and an encoder sees it."""
    model, views = parts.model, parts.views
    # Un-augmented clips need one global tube and no small ones, so a core loads more of them in a second.
    plain = Tubes(1, views.global_size)
    encoded = math.ceil(instances / machine.accelerators) * forward_flops(model, views.num_frames, plain)
    work = load_work(views.num_frames, views.global_size, [plain])
    decoded = machine.clips_per_core_second * load_work(*MEASURED) / work
    loading = instances / (decoded * loading_processes(arguments, machine))
    return max(encoded / training_speed(arguments, machine), loading)
