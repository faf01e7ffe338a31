"""The curves of a run as pictures: every number that was logged, in groups."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from preface_hf.objectives.base import Terms


if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Names that share a picture, by group, beside those of a method. What is logged and named nowhere goes to the group of
# losses or to the last one.
LOSSES, OTHER = "Losses", "Other"
GROUPS: dict[str, list[tuple[str, ...]]] = {
    "Probe": [("probe_knn", "probe_chance")],
    "Rates and time": [("learning_rate",), ("weight_decay",), ("grad_norm",), ("seconds",)],
}
NOTES = {
    "probe_knn": "accuracy of 5 nearest neighbors on the labeled set",
    "grad_norm": "before clipping",
    "seconds": "per optimizer step",
}
COLORS = ("#1f6fb4", "#c4512d", "#3b8a57")


@dataclass
class Curve:
    """`picture` is a png, transparent, dark on light; `names` are what it shows, `last` their last values."""

    names: tuple[str, ...]
    last: tuple[float, ...]
    note: str
    picture: bytes


def draw_curves(rows: list[dict[str, float]], terms: Terms) -> dict[str, list[Curve]]:
    """Draw all numbers of the rows of `metrics.jsonl` over the steps, by group.

    Args:
        rows: of `metrics.jsonl`.
        terms: what the method logs.

    Raises `ImportError` without matplotlib.
    """
    notes, curves = {**NOTES, **terms.notes}, {}
    for group, pictures in group_pictures(rows, terms).items():
        curves[group] = [
            draw_curve(rows, names, notes.get(names[0], ""), terms.levels.get(names[0])) for names in pictures
        ]
    return curves


def draw_curve(
    rows: list[dict[str, float]], names: tuple[str, ...], note: str, level: tuple[str, float] | None
) -> Curve:
    """The numbers `names` in one picture."""
    series = {name: [(row["step"], row[name]) for row in rows if name in row] for name in names}
    last = tuple(points[-1][1] for points in series.values())
    return Curve(names, last, note, draw(series, level))


def group_pictures(rows: list[dict[str, float]], terms: Terms) -> dict[str, list[tuple[str, ...]]]:
    """What the rows hold: pictures by group, each the names that it shows."""
    logged = {name: None for row in rows for name in row if name not in ("step", "epoch")}  # in order
    groups: dict[str, list[tuple[str, ...]]] = {LOSSES: []}
    for group, pictures in {**terms.groups, **GROUPS}.items():
        found = [tuple(name for name in names if name in logged) for names in pictures]
        groups[group] = [names for names in found if names]
    # Whatever else is logged gets a picture of its own.
    named = {name for pictures in groups.values() for names in pictures for name in names}
    for name in [name for name in logged if name not in named]:
        groups.setdefault(LOSSES if name.startswith("loss") else OTHER, []).append((name,))
    return {group: pictures for group, pictures in groups.items() if pictures}


def draw(series: dict[str, list[tuple[float, float]]], level: tuple[str, float] | None) -> bytes:
    """One picture of points (step, value) by name, as a png."""
    png = io.BytesIO()
    figure_of(series, level).savefig(png, format="png", transparent=True)
    return png.getvalue()


def figure_of(series: dict[str, list[tuple[float, float]]], level: tuple[str, float] | None) -> Figure:
    """The matplotlib figure of [`draw`]."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    # Not by pyplot: that keeps figures for the whole process and may look for a screen.
    figure = Figure(figsize=(3.3, 2.0), dpi=170, layout="constrained")  # which makes room for labels of any length
    axes = figure.add_subplot()
    for color, (name, points) in zip(COLORS, series.items(), strict=False):
        style: dict[str, Any] = {"linestyle": "--"} if name.endswith("chance") else {}
        # A line through a single point cannot be seen: short runs get dots.
        style["marker"] = "." if len(points) < 20 else None
        axes.plot(*zip(*points, strict=True), color=color, linewidth=1.2, label=name, **style)
    if level:
        axes.axhline(level[1], color="#777777", linewidth=1, linestyle="--", label=level[0])
    if level or len(series) > 1:
        axes.legend(fontsize=7, frameon=False)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("step", fontsize=7, color="#444444")
    axes.tick_params(labelsize=7, colors="#444444")
    axes.yaxis.get_offset_text().set_fontsize(7)  # the power of ten above an axis
    axes.grid(color="#000000", alpha=0.08)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
