"""A plan as a table: every number with its unit, and whether it is exact, computed or assumed."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from preface_hf.data.opening import open_mixture
from preface_hf.plan.footprint import KEPT
from preface_hf.plan.machines import Machine, load_machine
from preface_hf.plan.plan import Plan, loading_processes, loading_speed, plan, training_speed
from preface_hf.training.arguments import Parts, PretrainArguments


Row = tuple[str, str, str]  # what, how much, how it is known


def show_plan(arguments: PretrainArguments, machine: str, instances: int | None) -> None:
    """Print what a run on `machine` (see `load_machine`) costs with `instances` rows, else with those of its data.

    Raises `ValueError` where neither says how many, and for settings and machines that do not fit.
    """
    chosen = load_machine(machine)
    # With a number given no set is opened: a plan can come before the data.
    if instances is None:
        if not arguments.data:
            raise ValueError("the plan needs a number of instances: add --instances N, or --data with a prepared set.")
        instances = open_mixture(arguments.data).num_rows
    parts, cost = arguments.parts(), plan(arguments, chosen, instances)
    where = f"{chosen.accelerators} x {size(chosen.memory_gib * 2**30)} ({machine})"
    table = Table(title=f"{arguments.size}, {instances:,} instances, {where}")
    table.add_column("what")
    table.add_column("how much", justify="right")
    table.add_column("known how")
    for section in (
        sizes(cost), work(cost, arguments, chosen), storage(cost, chosen), time(cost, arguments, parts, chosen),
    ):  # fmt: skip
        for row in section:
            table.add_row(*row)
        table.add_section()
    Console(width=110).print(table)


def sizes(cost: Plan) -> Iterator[Row]:
    """Parameters and tokens."""
    yield "parameters of the student", f"{sum(cost.parameters.values()):,}", "exact"
    for name, count in cost.parameters.items():
        yield f"  {name}", f"{count:,}", "exact"
    for name, count in cost.tokens.items():
        yield f"tokens of {name}", f"{count:,}", "exact"
    yield "clips of a step, epochs", f"{cost.global_batch:,}, {cost.epochs:,.1f}", "exact"


def work(cost: Plan, arguments: PretrainArguments, machine: Machine) -> Iterator[Row]:
    """FLOPs of a step by part."""
    total = sum(cost.flops.values())
    yield "FLOPs of a step", flops(total), "computed (matrix products)"
    for name, count in cost.flops.items():
        yield f"  {name}", f"{flops(count)} ({100 * count / total:.1f} %)", "computed"
    known = f"assumed: {machine.share:.0%} of {flops(machine.peak(arguments.mixed_precision))}/s"
    yield "FLOP/s of an accelerator", flops(training_speed(arguments, machine)), known


def storage(cost: Plan, machine: Machine) -> Iterator[Row]:
    """Memory of an accelerator and disk."""
    total, room = sum(cost.memory.values()), machine.memory_gib * 2**30
    fits = "computed; no room for more" if total > room else f"computed; of {size(room)}"
    yield "memory of an accelerator", size(total), "DOES NOT FIT: " + fits if total > room else fits
    for name, count in cost.memory.items():
        yield f"  {name}", size(count), "computed" if name in KEPT else "exact"
    for name, count in cost.disk.items():
        yield f"disk: {name}", size(count), "computed"  # files have some kB of their own


def time(cost: Plan, arguments: PretrainArguments, parts: Parts, machine: Machine) -> Iterator[Row]:
    """Seconds of a step by what takes them, hours and dollars."""
    known = {
        "computing": "computed from the assumed share",
        "loading": f"assumed: {loading_speed(arguments, parts, machine):.0f} clips/s, "
        f"{loading_processes(arguments, machine)} processes",
        "exchanging": f"assumed: {machine.exchange_gb_per_second:g} GB/s",
        "gathering": f"{size(cost.gathered)} on each",
    }
    for name, seconds in cost.seconds.items():
        limit = "  <- limits" if name == cost.limit else ""
        yield f"seconds of a step: {name}{limit}", f"{seconds:.3g}", known[name]
    if cost.start:
        yield f"hours {cost.start}", f"{cost.start_seconds / 3600:.3g}", "computed from the above"
    yield f"hours for {cost.max_steps:,} steps and what comes before", f"{cost.hours:.3g}", "computed from the above"
    yield "dollars", f"{cost.dollars:.2f}", f"assumed: {machine.dollars_per_hour:g} an hour"


def flops(count: float) -> str:
    """With the prefix that leaves 1 to 1000."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if count < 1000:
            return f"{count:.3g} {prefix}FLOP"
        count /= 1000
    return f"{count:.3g} EFLOP"


def size(count: float) -> str:
    """Bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"
