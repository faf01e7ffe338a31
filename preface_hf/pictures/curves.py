"""The curves of a run as pictures: every number that was logged, in groups."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


# Names that share a picture, by group. What is logged and not named here goes to the last group.
GROUPS: dict[str, list[tuple[str, ...]]] = {
    "Losses": [("loss",), ("loss_distill",), ("loss_global", "loss_local", "loss_landmark"), ("loss_id",)],
    "Collapse watch": [
        ("teacher_entropy",), ("kl",), ("teacher_information",), ("feature_std",), ("effective_rank",),
        ("used_prototypes",),
    ],
    "Probe": [("probe_knn", "probe_chance")],
    "Rates and time": [("learning_rate",), ("weight_decay",), ("grad_norm",), ("seconds",)],
    "Other": [],
}  # fmt: skip
NOTES = {
    "loss": "what is trained on: the weighted sum of the terms",
    "loss_distill": "distillation, over all pairs of views; at ln K after a collapse",
    "loss_global": "distillation by family of the student's view",
    "loss_id": "instance learning with the FaceFeat Cache",
    "loss_koleo": "KoLeo: how near the nearest features of a batch are",
    "teacher_entropy": "of a target, in nats: near ln K the targets are flat",
    "kl": "student from teacher, in nats: near 0 there is nothing to learn",
    "teacher_information": "what a target tells about its clip, in nats: 0 after a collapse",
    "feature_std": "of unit features: 1/√width where they point all ways, 0 where all point one way",
    "effective_rank": "RankMe of the student's features: 1 after a collapse",
    "used_prototypes": "prototypes that are some target's highest, in a global batch",
    "probe_knn": "accuracy of 5 nearest neighbors on the labeled set",
    "grad_norm": "before clipping",
    "seconds": "per optimizer step",
}
COLORS = ("#1f6fb4", "#c4512d", "#3b8a57")


@dataclass
class Curve:
    """`picture` is a png, transparent, dark on light; `names` are what it shows, `last` their last values."""

    group: str
    names: tuple[str, ...]
    last: tuple[float, ...]
    note: str
    picture: bytes


def levels(num_prototypes: int, width: int) -> dict[str, tuple[str, float]]:
    """Values to compare with, by the name of the curve: what they are called, and where they lie."""
    top = "ln K", math.log(num_prototypes)
    return {"loss_distill": top, "teacher_entropy": top, "feature_std": ("1/√width", 1 / math.sqrt(width))}


def draw_curves(rows: list[dict[str, float]], marks: dict[str, tuple[str, float]]) -> list[Curve]:
    """Draw all numbers of the rows of `metrics.jsonl` over the steps, with `marks` as of [`levels`].

    Raises `ImportError` without matplotlib.
    """
    curves = []
    for group, names in pictures(rows):
        series = {name: [(row["step"], row[name]) for row in rows if name in row] for name in names}
        last = tuple(points[-1][1] for points in series.values())
        picture = draw(series, marks.get(names[0]))
        curves.append(Curve(group, names, last, NOTES.get(names[0], ""), picture))
    return curves


def pictures(rows: list[dict[str, float]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(group, names in one picture) of what the rows hold."""
    logged = {name: None for row in rows for name in row if name not in ("step", "epoch")}
    for group, several in GROUPS.items():
        for names in several:
            if found := tuple(name for name in names if name in logged):
                yield group, found
                for name in found:
                    del logged[name]
    yield from (("Losses" if name.startswith("loss") else "Other", (name,)) for name in logged)


def draw(series: dict[str, list[tuple[float, float]]], mark: tuple[str, float] | None) -> bytes:
    """One picture of points (step, value) by name, as a png."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(3.3, 2.0), dpi=170)
    axes = figure.add_axes((0.15, 0.19, 0.82, 0.77))
    for color, (name, points) in zip(COLORS, series.items(), strict=False):
        style: dict[str, Any] = {"linestyle": "--"} if name.endswith("chance") else {}
        style["marker"] = "." if len(points) < 20 else None
        axes.plot(*zip(*points, strict=True), color=color, linewidth=1.2, label=name, **style)
    if mark:
        axes.axhline(mark[1], color="#777777", linewidth=1, linestyle="--", label=mark[0])
    if mark or len(series) > 1:
        axes.legend(fontsize=7, frameon=False)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("step", fontsize=7, color="#444444")
    axes.tick_params(labelsize=7, colors="#444444")
    axes.grid(color="#000000", alpha=0.08)
    axes.spines[["top", "right"]].set_visible(False)
    png = io.BytesIO()
    figure.savefig(png, format="png", transparent=True)
    return png.getvalue()
