"""What a pretraining run will cost, before anything runs: `preface-hf pretrain --plan`. Nothing is read but the number
of instances, nothing is written.

A step lasts as long as the slowest of computing, loading and exchanging, which overlap; gathering and filling the
cache come on top. Beside each number of the printed table stands whether it is exact, computed or assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from preface_hf.data.views import ViewConfig
from preface_hf.plan.flops import clip_flops, num_small, teacher_flops, tube_tokens
from preface_hf.plan.footprint import count_parameters, disk, memory
from preface_hf.plan.machines import Machine
from preface_hf.training.arguments import PretrainArguments


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
    fill_seconds: float
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
        """Of the whole run, the filling of the cache included."""
        return (self.fill_seconds + self.max_steps * self.step_seconds) / 3600

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
    model, views = arguments.model_config(), arguments.view_config()
    per_process = arguments.batch_size * arguments.gradient_accumulation_steps
    clips = per_process * machine.accelerators
    large, small = tube_tokens(model, views)
    clip_tokens = views.num_global * large + num_small(views) * small
    gathered = clips * gathered_bytes(arguments)
    flops = {part: float(clips * count) for part, count in clip_flops(arguments, instances).items()}
    held = memory(arguments, instances, machine.accelerators)
    speed = achieved(arguments, machine)
    return Plan(
        instances=instances,
        global_batch=clips,
        parameters=count_parameters(model),
        tokens={"a global tube": large, "a small tube": small, "a clip": clip_tokens, "a step": clips * clip_tokens},
        flops=flops,
        memory=held,
        disk=disk(arguments, instances),
        gathered=gathered,
        seconds={
            "computing": sum(flops.values()) / machine.accelerators / speed,
            "loading": clips / loaded_per_second(arguments, machine),
            "exchanging": exchange_seconds(held["weights (float32)"], machine),
            "gathering": gathered * (1 - 1 / machine.accelerators) / (1e9 * machine.exchange_gb_per_second),
        },
        fill_seconds=fill_seconds(arguments, machine, instances),
        max_steps=arguments.max_steps,
        dollars_per_hour=machine.dollars_per_hour,
    )


def loading_processes(arguments: PretrainArguments, machine: Machine) -> int:
    """Of all training processes together, no more than there are cores."""
    return min(max(arguments.num_workers, 1) * machine.accelerators, machine.cores)


def achieved(arguments: PretrainArguments, machine: Machine) -> float:
    """FLOP/s of an accelerator: its peak at the run's precision times the achieved share; loading processes take their
    cores from a machine that computes on them."""
    peak = machine.peak(arguments.mixed_precision)
    if machine.computes_on_cores:
        taken = min(arguments.num_workers, machine.cores - 1)
        peak *= (machine.cores - taken) / machine.cores
    return peak * machine.share


# Seconds of a core by what it does, measured (benchmarks/results/2026-11-25-loading.md): for a clip, for a million
# pixels of frames that are decoded, and for a tube and a million pixels that are cut.
CLIP, DECODED, TUBE, CUT = 1.8e-3, 26.3e-3, 0.17e-3, 7.1e-3


def load_work(views: ViewConfig) -> float:
    """Seconds of the measured core to decode and cut a clip, whose crop is as wide as the global tubes."""
    decoded = views.num_frames * views.global_size**2 / 1e6
    small = num_small(views)
    cut = views.num_frames * (views.num_global * views.global_size**2 + small * views.local_size**2) / 1e6
    return CLIP + DECODED * decoded + TUBE * (views.num_global + small) + CUT * cut


def loaded_per_second(arguments: PretrainArguments, machine: Machine) -> float:
    """Clips a second that all loading processes decode and cut."""
    relative = load_work(ViewConfig()) / load_work(arguments.view_config())
    return machine.clips_per_core_second * relative * loading_processes(arguments, machine)


def exchange_seconds(gradients: int, machine: Machine) -> float:
    """Ring all-reduce of float32 gradients: 2 (n - 1) / n of their bytes pass through each accelerator."""
    share = 2 * (1 - 1 / machine.accelerators)
    return share * gradients / (1e9 * machine.exchange_gb_per_second)


def gathered_bytes(arguments: PretrainArguments) -> int:
    """Of a clip, what `after_step` and the log gather on every process: id, cache feature (d), pooled features of
    teacher and student (G D each) and of the log (D), the best prototypes (G). Mean logits (K) come once a process."""
    model, few = arguments.model_config(), arguments.view_config().num_global
    return 4 * (model.facefeat_size + (2 * few + 1) * model.hidden_size) + 8 * (1 + few)


def fill_seconds(arguments: PretrainArguments, machine: Machine, instances: int) -> float:
    """Before step 1: the loading processes decode every clip once, and the teacher's encoder sees it."""
    model, views = arguments.model_config(), arguments.view_config()
    share = math.ceil(instances / machine.accelerators)
    teacher = share * teacher_flops(model, tube_tokens(model, views)[0]) / achieved(arguments, machine)
    alone = ViewConfig(num_frames=views.num_frames, global_size=views.global_size, num_global=1, num_local=0, parts=())
    decoded = machine.clips_per_core_second * load_work(ViewConfig()) / load_work(alone)
    return max(teacher, instances / (decoded * loading_processes(arguments, machine)))
