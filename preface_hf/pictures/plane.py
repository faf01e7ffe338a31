"""Features as points of a plane, colored by what is known of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preface_hf.pictures.charts import TEXT, new_figure
from preface_hf.pictures.timeline import COLORS


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


CLASS_COLORS = (*COLORS, "#e69f00")
MARKERS = ("o", "s", "^", "D", "v", "P")  # classes differ by shape too
CLASSES = 12  # with a color of their own, the most frequent; the others are gray
NUMBERS = 20  # different numbers from which labels are a scale


def features_figure(
    features: np.ndarray | str | Path, labels: Sequence[Any] | str, how: str = "pca", title: str = "Features"
) -> Figure:
    """Features on a plane: classes by color and shape, numbers on a color scale.

    Args:
        features: `(items, width)`; or the parquet file of `extract`, of which each face is the mean of its windows.
        labels: one for each item, None where it is not known; or the file's column.
        how: pca (directions of the largest variance), or umap where umap-learn is installed.
        title: of the figure.

    Raises `ValueError` for labels that do not fit, and for another way or one that is not installed.
    """
    if isinstance(features, str | Path):
        features, labels = read_features(Path(features), str(labels))
    known = np.array([label is not None and label == label for label in labels], bool)  # NaN is unlike itself
    if len(features) != len(known) or known.sum() < 3:
        raise ValueError(f"{len(features)} features and {known.sum()} known labels: give as many, and 3 or more.")
    points, names = on_plane(np.asarray(features)[known], how)
    figure, axes = new_figure(6.4, 4.6)
    given = [label for label, there in zip(labels, known, strict=True) if there]
    if is_scale(given):
        values = [float(label) for label in given]
        shown = axes.scatter(points[:, 0], points[:, 1], c=values, cmap="cividis", s=14, linewidths=0)
        figure.colorbar(shown, ax=axes).ax.tick_params(labelsize=7, colors=TEXT)
    else:
        draw_classes(axes, points, [str(label) for label in given])
        figure.legend(loc="outside right center", fontsize=8, frameon=False)
    left_out = f", {len(known) - len(given)} without a label left out" if len(given) < len(known) else ""
    axes.set_title(f"{title}: {len(given)} items{left_out}", fontsize=9, color=TEXT)
    axes.set_xlabel(names[0], fontsize=8, color=TEXT)
    axes.set_ylabel(names[1], fontsize=8, color=TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def is_scale(labels: Sequence[Any]) -> bool:
    """Whether labels are numbers, and so many different ones that they are no classes."""
    numbers = all(isinstance(label, int | float | np.number) and not isinstance(label, bool) for label in labels)
    return numbers and len(set(labels)) >= NUMBERS


def draw_classes(axes: Axes, points: np.ndarray, labels: Sequence[str]) -> None:
    """A cloud of points for each class, those of most items first; the smallest classes share one."""
    counts = Counter(labels).most_common()
    named = dict(sorted(counts[:CLASSES]))
    style: dict[str, Any] = {"s": 16, "linewidths": 0.3, "edgecolors": "white"}
    places = np.array(labels)
    if others := [name for name, _ in counts[CLASSES:]]:
        inside = np.isin(places, others)
        said = f"{len(others)} smaller classes ({inside.sum()})"
        axes.scatter(*points[inside].T, color="#bbbbbb", marker=".", label=said, **style)
    for number, (name, count) in enumerate(named.items()):
        color, marker = CLASS_COLORS[number % len(CLASS_COLORS)], MARKERS[number % len(MARKERS)]
        axes.scatter(*points[places == name].T, color=color, marker=marker, label=f"{name} ({count})", **style)


def on_plane(features: np.ndarray, how: str) -> tuple[np.ndarray, tuple[str, str]]:
    """Features `(items, width)` as points `(items, 2)`, and the names of both axes."""
    if how == "pca":
        points, shares = main_directions(features, 2)
        first, second = (f"direction {n + 1} ({100 * share:.0f} % of the variance)" for n, share in enumerate(shares))
        return points, (first, second)
    if how != "umap":
        raise ValueError(f"how={how!r} is unknown: choose pca or umap.")
    try:
        import umap
    except ImportError as error:
        raise ValueError("how='umap' needs umap-learn: pip install umap-learn, or choose pca.") from error
    found = umap.UMAP(n_neighbors=min(15, len(features) - 1), random_state=0).fit_transform(features)
    return np.asarray(found), ("UMAP 1 (distances between groups mean little)", "UMAP 2")


def main_directions(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Values `(items, width)` along their `count` directions of the largest variance, `(items, count)`, and the share
    of the variance along each."""
    centered = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    _, sizes, directions = np.linalg.svd(centered, full_matrices=False)
    shares, directions = sizes**2 / max(float((sizes**2).sum()), 1e-30), directions[:count]
    # A direction has no sign of its own: its largest part is made positive, so pictures do not flip between machines.
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
    return centered @ (directions * signs[:, None]).T, shares[:count]


def read_features(file: Path, column: str) -> tuple[np.ndarray, list[Any]]:
    """The features of each face of a file of `extract`, `(faces, width)`, and what stands in `column`."""
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(file).names
        missing = [name for name in ("source", "track", "num_frames", "feature", column) if name not in names]
        if missing:
            raise ValueError(f"it has no column {missing[0]!r}, but {', '.join(names)}")
        rows = pq.read_table(file, columns=list(dict.fromkeys(["source", "track", "num_frames", "feature", column])))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot read features from {str(file)!r} ({reason}): give a file of `extract`.") from error
    found = rows.to_pydict()
    windows: dict[tuple[str, int], list[int]] = {}
    for place, key in enumerate(zip(found["source"], found["track"], strict=True)):
        windows.setdefault(key, []).append(place)
    values, weights = np.array(found["feature"], np.float64), np.array(found["num_frames"], np.float64)
    means = [np.average(values[places], axis=0, weights=weights[places]) for places in windows.values()]
    return np.array(means), [found[column][places[0]] for places in windows.values()]
