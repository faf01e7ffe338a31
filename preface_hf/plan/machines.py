"""What a plan assumes of a machine: a few by name, or a YAML file of what is otherwise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from preface_hf.files import read_yaml
from preface_hf.training.arguments import check_keys


@dataclass(frozen=True)
class Machine:
    """A machine on which one training process runs per accelerator.

    accelerators: how many; a CPU machine counts as one
    memory_gib: of each
    peak_bf16, peak_fp32: FLOP/s of each, dense, by the maker's data sheet (fp32: without TF32, torch's default)
    share: of the peak that training achieves. Assumed; measure it: FLOPs of `--plan` / seconds of a step / peak
    cores: of all hosts together
    clips_per_core_second: loaded by a core with the default views (crops of 224², 2 global tubes of 16 x 224² and 11
        small ones of 16 x 96²); other views are scaled from it
    exchange_gb_per_second: that an accelerator sends to, and receives from, the others
    dollars_per_hour: of the whole machine. Assumed: put in your own
    computes_on_cores: the accelerator is the cores that loading processes also need
    """

    accelerators: int
    memory_gib: float
    peak_bf16: float
    peak_fp32: float
    cores: int
    exchange_gb_per_second: float
    dollars_per_hour: float
    share: float = 0.35  # assumed for the GPUs: no run of this project on them has been measured
    clips_per_core_second: float = 20.8  # measured on an Emerald Rapids Xeon: benchmarks/results/2026-11-25-loading.md
    computes_on_cores: bool = False

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if problem := misfit(name, value):
                raise ValueError(f"{name}={value!r} of the machine must be {problem}.")

    def peak(self, mixed_precision: str | None) -> float:
        """FLOP/s of an accelerator at `no`, `bf16` or `fp16`."""
        return self.peak_fp32 if mixed_precision == "no" else self.peak_bf16


def misfit(name: str, value: object) -> str | None:
    """What the field `name` of a machine must be, if `value` is not."""
    if name == "computes_on_cores":
        return None if isinstance(value, bool) else "true or false"
    # To Python a bool is an int; `cores: true` is a slip all the same.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "a number (YAML takes 1.0e12, not 1e12)"
    if name in ("accelerators", "cores") and not isinstance(value, int):
        return "a whole number"
    if value < 0 or (value == 0 and name != "dollars_per_hour"):
        return "above 0"
    return "at most 1" if name == "share" and value > 1 else None


# Peaks: NVIDIA's data sheets of H100 SXM and H200 SXM (half of the figures "with sparsity"), A100 80GB SXM, and the
# Ada architecture white paper (RTX 4090, fp32 accumulation). Exchange: NVLink, one direction. Cores: DGX H100, H200
# and A100; 16 beside a 4090 are assumed. Dollars: assumed in November 2026 for rented machines, not quoted.
# cpu-2: two cores with AVX-512 at 2.5 GHz, 64 FLOPs a cycle each; its share is assumed.
MACHINES = {
    "h100-8": Machine(8, 80, 989e12, 67e12, 112, 450, 24.0),
    "h200-8": Machine(8, 141, 989e12, 67e12, 112, 450, 28.0),
    "a100-8": Machine(8, 80, 312e12, 19.5e12, 128, 300, 14.0),
    "rtx4090": Machine(1, 24, 165e12, 82.6e12, 16, 25, 0.5),
    "cpu-2": Machine(1, 24, 320e9, 320e9, 2, 10, 0.1, share=0.2, computes_on_cores=True),
}


def load_machine(name_or_file: str) -> Machine:
    """A machine by its name in `MACHINES`, or from a YAML file: `base: NAME` and the fields that differ from it.

    Raises `ValueError` for an unknown name, a file that cannot be read, or fields that do not fit.
    """
    if name_or_file in MACHINES:
        return MACHINES[name_or_file]
    known = f"known machines: {', '.join(MACHINES)}; or give a YAML file (`base: h100-8` and what differs)."
    if not Path(name_or_file).is_file():
        raise ValueError(f"machine {name_or_file!r} is neither known nor a file: {known}")
    values = read_yaml(name_or_file, "the machine")
    if not isinstance(values, dict) or values.get("base") not in MACHINES:
        raise ValueError(f"the machine file {name_or_file!r} has no line `base: NAME`: {known}")
    base = MACHINES[values.pop("base")]
    check_keys(values, [f.name for f in dataclasses.fields(Machine)], name_or_file)
    return dataclasses.replace(base, **values)
