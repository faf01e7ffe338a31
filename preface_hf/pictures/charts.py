"""Charts of what a task's model gets right: confusion, reliability, and errors of landmarks.

Like the curves, a chart is a png, dark on transparent, which the page inverts where it is dark.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from preface_hf.pictures.curves import COLORS


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


TEXT = "#444444"
NUMBERED = 12  # classes up to which a cell has room for its numbers
LABEL = 22  # letters of a class


def png_of(figure: Figure) -> bytes:
    """A figure as a png."""
    png = io.BytesIO()
    figure.savefig(png, format="png", transparent=True)
    return png.getvalue()


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of `width` x `height` inches with small gray ticks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=170, layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(labelsize=7, colors=TEXT)
    return figure, axes


def confusion_figure(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """Counts `(truths, guesses)` as shares of their rows: darker is more. One hue, so any eye reads it."""
    from matplotlib.colors import PowerNorm

    number = len(counts)
    # A row of 40 classes still has the height of a line of text.
    side = max(2.6, 0.62 * number) if number <= NUMBERED else 2.2 + 0.14 * number
    figure, axes = new_figure(side + 0.9, side)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    # Among many classes each mistake is a small share: the root makes it seen.
    picture = axes.imshow(shares, cmap="Blues", norm=PowerNorm(1 if number <= NUMBERED else 0.5, vmin=0, vmax=1))
    short = [name if len(name) <= LABEL else name[: LABEL - 1] + "…" for name in names]
    size = 8 if number <= NUMBERED else 6.5
    axes.set_xticks(range(number), short, rotation=45 if number <= NUMBERED else 90, fontsize=size)
    for label in axes.get_xticklabels() if number <= NUMBERED else ():
        label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(number), [f"{name} ({int(n)})" for name, n in zip(short, rows[:, 0], strict=True)])
    axes.tick_params(axis="y", labelsize=size)
    axes.set_xlabel("guess", fontsize=8, color=TEXT)
    axes.set_ylabel("truth (items)", fontsize=8, color=TEXT)
    # Thin lines between cells lead the eye to the labels.
    axes.set_xticks(np.arange(number + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(number + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#000000", alpha=0.12, linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    if number <= NUMBERED:
        write_cells(axes, counts, shares)
    bar = figure.colorbar(picture, ax=axes, shrink=0.7, pad=0.02)
    bar.set_label("share of the row", fontsize=7, color=TEXT)
    bar.ax.tick_params(labelsize=7, colors=TEXT)
    return figure


def write_cells(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    """The count and the row share of each cell that is not empty."""
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if shares[row, column] > 0.55 else "#111111"
            text = f"{int(count)}\n{100 * shares[row, column]:.0f} %"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=color)


def reliability_figure(confidence: np.ndarray, share: np.ndarray, count: np.ndarray, ece: float, said: str) -> Figure:
    """How often what was said with a probability came true, by bins, over a histogram of what was said."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.3, 3.3), dpi=170, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    width = 1 / len(count)
    middles = (np.arange(len(count)) + 0.5) * width
    upper.plot([0, 1], [0, 1], color="#777777", linewidth=1, linestyle="--", label="as said")
    upper.bar(middles, np.nan_to_num(share), width * 0.9, color=COLORS[0], alpha=0.35)
    known = count > 0
    upper.plot(
        confidence[known], share[known], color=COLORS[0], marker="o", markersize=3, linewidth=1.2, label="found"
    )
    upper.legend(fontsize=7, frameon=False, loc="upper left", title=f"ECE {ece:.3f}", title_fontsize=7)
    upper.set_ylabel("came true", fontsize=7, color=TEXT)
    upper.set_ylim(0, 1.02)
    lower.bar(middles, count, width * 0.9, color="#888888")
    lower.set_ylabel("items", fontsize=7, color=TEXT)
    lower.set_xlabel(said, fontsize=7, color=TEXT)
    lower.set_xlim(0, 1)
    for axes in (upper, lower):
        axes.tick_params(labelsize=7, colors=TEXT)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def error_figure(errors: np.ndarray, limit: float) -> Figure:
    """The share of faces whose error is at most so large, and the limit of failure."""
    figure, axes = new_figure(3.6, 2.5)
    ordered = np.sort(errors)
    end = max(1.5 * limit, float(np.quantile(ordered, 0.95)))
    # A step at each error: from 0 to all faces.
    steps = np.concatenate([[0.0], ordered, [max(end, ordered[-1])]])
    shares = np.concatenate([[0.0], np.arange(1, len(ordered) + 1) / len(ordered), [1.0]])
    axes.step(steps, shares, where="post", color=COLORS[0], linewidth=1.4)
    axes.axvline(limit, color=COLORS[1], linewidth=1, linestyle="--")
    axes.annotate(
        f"failure above {limit:g}", (limit, 0.04), (4, 0), textcoords="offset points", fontsize=7, color=COLORS[1]
    )
    axes.set_xlim(0, end)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("error (NME)", fontsize=7, color=TEXT)
    axes.set_ylabel("share of faces", fontsize=7, color=TEXT)
    axes.grid(color="#000000", alpha=0.08)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
