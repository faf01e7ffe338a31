"""What was said of faces over the time of a video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from preface_hf.pictures.charts import TEXT, new_figure


if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Okabe and Ito's darker colors; lines differ by dashes too, for print and for eyes that see fewer colors.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#56b4e9")
DASHES = ("-", "--", ":", "-.")


def timeline_figure(lines: dict[str, tuple[np.ndarray, np.ndarray]], ylabel: str, seconds: float) -> Figure:
    """Values over time, a line for each name.

    Args:
        lines: by name the windows `(n, 2)` as first and last second, and their values `(n,)`.
        ylabel: what the values are.
        seconds: when the video ends.
    """
    figure, axes = new_figure(6.4, 2.6)
    for number, (name, (spans, values)) in enumerate(lines.items()):
        style: dict[str, Any] = {"color": COLORS[number % len(COLORS)], "linestyle": DASHES[number % len(DASHES)]}
        # A window is a step as long as it lasts; between the tracks of a face there is a gap.
        for part in unbroken(spans):
            edges, steps = np.append(spans[part, 0], spans[part[-1], 1]), np.append(values[part], values[part[-1]])
            axes.step(edges, steps, where="post", linewidth=1.5, label=name if part[0] == 0 else None, **style)
    axes.set_xlim(0, seconds)
    axes.set_xlabel("seconds of the video", fontsize=8, color=TEXT)
    axes.set_ylabel(ylabel, fontsize=8, color=TEXT)
    axes.grid(color="#000000", alpha=0.08)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def unbroken(spans: np.ndarray) -> Sequence[np.ndarray]:
    """The numbers of the windows, in groups that follow each other without a pause."""
    pauses = np.flatnonzero(spans[1:, 0] - spans[:-1, 1] > 1e-3) + 1
    return np.split(np.arange(len(spans)), pauses)
