"""Scores beside each other: against the share of labels, and of several methods in several tasks."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np

from preface_hf.pictures.charts import TEXT, new_figure
from preface_hf.pictures.plane import MARKERS
from preface_hf.pictures.timeline import COLORS, DASHES


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


APART = 0.062  # of the height of the axes: how near two labels may come


@dataclass(frozen=True)
class Score:
    """A score and the interval about it, however that was found."""

    value: float
    low: float
    high: float


def shares_figure(
    lines: Mapping[str, Mapping[float, Score]], xlabel: str, ylabel: str, title: str, note: str
) -> Figure:
    """Scores over how much there was to learn from: a line for each name, which stands at its end.

    Args:
        lines: by name the scores at each share or count, above 0.
        xlabel: what the shares are.
        ylabel: what the scores are.
        title: of the figure.
        note: what the bars are.
    """
    figure, axes = new_figure(6.6, 4.2)
    places = sorted({x for line in lines.values() for x in line})
    ends = {}
    for number, (name, line) in enumerate(lines.items()):
        color = COLORS[number % len(COLORS)]
        # A little aside of each other: bars at one place would hide each other.
        aside = 1.035 ** (number - (len(lines) - 1) / 2)
        xs = sorted(line)
        values = [line[x].value for x in xs]
        bars = [[line[x].value - line[x].low for x in xs], [line[x].high - line[x].value for x in xs]]
        axes.errorbar(
            [x * aside for x in xs], values, yerr=bars, color=color, linestyle=DASHES[number % len(DASHES)],
            marker=MARKERS[number % len(MARKERS)], markersize=5, linewidth=1.5, capsize=2.5, elinewidth=1, label=name,
        )  # fmt: skip
        ends[name] = (xs[-1] * aside, values[-1], color)
    axes.set_xscale("log")
    axes.set_xticks(places, [f"{x:g}" for x in places])
    axes.minorticks_off()
    axes.set_xlabel(xlabel, fontsize=8, color=TEXT)
    axes.set_ylabel(ylabel, fontsize=8, color=TEXT)
    axes.set_title(title, fontsize=9, color=TEXT)
    axes.grid(color="#000000", alpha=0.08)
    axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(wrapped(note, 6.6), fontsize=7, color=TEXT)
    name_ends(axes, ends)
    return figure


def name_ends(axes: Axes, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Write the name of each line behind its end, moved up or down where two would touch."""
    low, high = axes.get_ylim()
    names = sorted(ends, key=lambda name: ends[name][1])
    wanted = np.array([(ends[name][1] - low) / (high - low) for name in names])
    for name, place in zip(names, separated(wanted, APART), strict=True):
        x, y, color = ends[name]
        axes.annotate(
            name, (x, y), (1.02, place), textcoords="axes fraction", fontsize=8, color="#222222", va="center",
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 1},
        )  # fmt: skip


def separated(wanted: np.ndarray, apart: float) -> np.ndarray:
    """Rising places that are at least `apart`, near the `wanted` ones: groups that touch are spread about their
    middle."""
    groups = [[place] for place in wanted.tolist()]
    middle = [float(place) for place in wanted]
    number = 0
    while number + 1 < len(groups):
        reach = apart * (len(groups[number]) + len(groups[number + 1])) / 2
        if middle[number + 1] - middle[number] >= reach - 1e-9:
            number += 1
            continue
        groups[number : number + 2] = [groups[number] + groups[number + 1]]
        middle[number : number + 2] = [mean(groups[number])]
        number = max(0, number - 1)  # it may touch the one before it now
    return np.array(
        [
            center + apart * (place - (len(group) - 1) / 2)
            for center, group in zip(middle, groups, strict=True)
            for place in range(len(group))
        ]
    )


def comparison_figure(
    scores: Mapping[str, Mapping[str, Score]],
    xlabel: str,
    note: str,
    levels: Mapping[str, Mapping[str, float]] | None = None,
    less_is_better: Collection[str] = (),
) -> Figure:
    """Methods below each other, the best on average first, with a panel for each task: dots with their intervals.

    Args:
        scores: by task, and in it by method. A method may lack some tasks.
        xlabel: what the scores are.
        note: what the intervals are.
        levels: by task and name what to compare with, such as chance: lines through a panel.
        less_is_better: the tasks in which it is.
    """
    from matplotlib.figure import Figure

    order = ranked(scores, less_is_better)
    size = (1.6 + 2.9 * len(scores), 1.6 + 0.34 * len(order))
    figure = Figure(figsize=size, dpi=170, layout="constrained")
    panels = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for axes, (task, found) in zip(panels, scores.items(), strict=True):
        draw_panel(axes, order, found)
        for number, (name, level) in enumerate((levels or {}).get(task, {}).items()):
            dashes = DASHES[1:][number % 3]
            axes.axvline(level, color=COLORS[1], linestyle=dashes, linewidth=1, label=f"{name} {shown(level)}")
        if (levels or {}).get(task):
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=7, frameon=False)
        better = ", less is better" if task in less_is_better else ""
        axes.set_title(f"{task}{better}", fontsize=9, color=TEXT)
    figure.supxlabel(wrapped(f"{xlabel}. {note}", size[0]), fontsize=8, color=TEXT)
    return figure


def wrapped(text: str, inches: float) -> str:
    """A line below a figure that is so wide, broken where it would be cut."""
    return textwrap.fill(text, int(13 * inches))  # of 8 points a character has about 0.07 inches


def draw_panel(axes: Axes, order: list[str], found: Mapping[str, Score]) -> None:
    """The scores of one task, a line for each method."""
    for place, name in enumerate(order):
        if name not in found:
            axes.text(0.5, place, "not run", transform=axes.get_yaxis_transform(), fontsize=7, color="#777777",
                      ha="center", va="center")  # fmt: skip
            continue
        score = found[name]
        bars = [[score.value - score.low], [score.high - score.value]]
        axes.errorbar(score.value, place, xerr=bars, fmt="o", color=COLORS[0], markersize=5, capsize=3, elinewidth=1.2)
        axes.annotate(shown(score.value), (score.value, place), (0, 6), textcoords="offset points", fontsize=7,
                      ha="center", color=TEXT, bbox={"color": "white", "pad": 0.2})  # fmt: skip
    axes.set_yticks(range(len(order)), order, fontsize=8)
    axes.set_ylim(len(order) - 0.5, -0.7)  # the first at the top
    axes.tick_params(labelsize=7.5, colors=TEXT)
    axes.grid(axis="x", color="#000000", alpha=0.08)
    axes.spines[["top", "right"]].set_visible(False)


def shown(value: float) -> str:
    """A score in words: percentages to a tenth, smaller numbers to three digits."""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def ranked(scores: Mapping[str, Mapping[str, Score]], less_is_better: Collection[str]) -> list[str]:
    """The methods by their mean rank over the tasks they are in, the best first."""
    ranks: dict[str, list[int]] = {}
    for task, found in scores.items():
        sign = 1 if task in less_is_better else -1
        for rank, name in enumerate(sorted(found, key=lambda name: sign * found[name].value)):
            ranks.setdefault(name, []).append(rank)
    return sorted(ranks, key=lambda name: mean(ranks[name]))
