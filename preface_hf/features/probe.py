"""Probes: how much a simple classifier reads off frozen features, on rows that it was not fitted on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from preface_hf.features.encoders import Encode, load_encoder, pixel_encoder, random_encoder
from preface_hf.features.labeled import folds_of, labeled_rows, usable_folds
from preface_hf.video.windows import Window, window_mean


if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

NEIGHBORS = 5  # of the kNN probe


@dataclass
class ProbeScore:
    """Accuracy of one classifier over the folds, in [0, 1]."""

    encoder: str
    classifier: str
    mean: float
    spread: float  # standard deviation over the folds


@dataclass
class ProbeResult:
    """`chance` is the share of the most frequent class among `num_rows` rows of `num_classes` classes."""

    label: str
    group: str
    num_rows: int
    num_classes: int
    folds: int
    chance: float
    scores: list[ProbeScore]


def probe(
    model: str | Path,
    data: str | Path,
    label: str,
    *,
    split: str | None = None,
    group: str | None = None,
    folds: int = 5,
    baselines: bool = True,
    seed: int = 0,
) -> ProbeResult:
    """kNN and linear accuracy on the frozen features of a prepared set, by cross-validation.

    Args:
        model: checkpoint folder or Hub name.
        data: prepared set.
        label: column to predict.
        split: `test` if the set has one, else `train`.
        group: rows with the same value here never stand on both sides of a fold; unless told the first column of
            people that the set has (`PEOPLE`), else `source`, the file.
        folds: of the cross-validation (fewer where a class has fewer groups, or a fold would have nothing to compare).
        baselines: also probe 16x16 pixels and the same encoder before training.
        seed: of folds and random encoder.

    Raises `ValueError` for an unknown column or split, if there are fewer than two classes of two groups each, and for
    features with NaN or infinity.
    """
    encoder = load_encoder(model)
    rows = labeled_rows(data, label, split=split, group=group)
    folds = usable_folds(rows.labels, rows.groups, folds, label, rows.group, seed)
    # What learning brings shows beside what has learned nothing: pixels, and the network before training.
    encoders: dict[str, Encode] = {"pixels": pixel_encoder, "random encoder": random_encoder(encoder, seed)}
    encoders = {**(encoders if baselines else {}), "pretrained encoder": encoder}
    clips, scores = list(rows.clips(encoder.clip)), []  # each encoder sees the same windows, decoded once
    for name, encode in encoders.items():
        accuracies = cross_validate(encode_rows(clips, encode), rows.labels, rows.groups, folds, seed)
        for classifier, (mean, spread) in accuracies.items():
            scores.append(ProbeScore(name, classifier, mean, spread))
    classes = len(np.unique(rows.labels))
    return ProbeResult(label, rows.group, len(rows.labels), classes, folds, rows.chance, scores)


def encode_rows(rows: Iterable[list[Window]], encode: Encode, batch_size: int = 32) -> np.ndarray:
    """One feature per row, the mean over its windows by their numbers of frames: `(rows, width)`. Of an iterator a
    batch of windows is held."""
    features, weights, waiting = [], [], []
    # Windows of several rows share a batch; where each row ends is known by its weights.
    for row in rows:
        weights.append([window.weight for window in row])
        waiting += [window.frames for window in row]
        while len(waiting) >= batch_size:
            features.append(encode(waiting[:batch_size]))
            waiting = waiting[batch_size:]
    if waiting:
        features.append(encode(waiting))
    # `np.split` takes the places between the parts: the last end is none.
    ends = np.cumsum([len(row) for row in weights])[:-1]  # (rows - 1,)
    parts = np.split(np.concatenate(features), ends)
    return np.stack([window_mean(part, row) for part, row in zip(parts, weights, strict=True)])


def classifiers(rows: int) -> dict[str, ClassifierMixin]:
    """The probes by name, on standardized features: 5 nearest neighbors by cosine (all of fewer `rows` to train
    on), logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Standardized first: else the few channels that vary most would decide which rows are near.
    neighbors = KNeighborsClassifier(n_neighbors=min(NEIGHBORS, rows), metric="cosine")
    return {
        "kNN": make_pipeline(StandardScaler(), neighbors),
        "linear": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)),
    }


def cross_validate(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    folds: int,
    seed: int,
    names: tuple[str, ...] = ("kNN", "linear"),
) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of the accuracy of the classifiers `names` over `folds` that keep groups whole.

    Raises `ValueError` for features `(rows, width)` with NaN or infinity.
    """
    if broken := int((~np.isfinite(features)).any(axis=1).sum()):
        raise ValueError(
            f"the features of {broken} of {len(features)} rows hold NaN or infinity: the weights or the precision of "
            f"the model are at fault; probe an earlier checkpoint."
        )
    accuracies: dict[str, list[float]] = {name: [] for name in names}
    for train, test in folds_of(labels, groups, folds, seed):
        probes = classifiers(len(train))
        for name in names:
            classifier = probes[name].fit(features[train], labels[train])
            accuracies[name].append(classifier.score(features[test], labels[test]))
    return {name: (float(np.mean(values)), float(np.std(values))) for name, values in accuracies.items()}


def print_probes(results: list[ProbeResult]) -> None:
    """One row per encoder and classifier, one column per label: accuracy in percent, mean ± spread over the folds."""
    table = Table(title="probe accuracy, % (mean ± standard deviation over folds)")
    table.add_column("encoder")
    table.add_column("probe")
    for result in results:
        table.add_column(
            f"{result.label}\n{result.num_classes} classes, {result.num_rows} clips\nfolds by {result.group}",
            justify="right",
        )
    # The results are of one model: all have the same encoders and classifiers, in the same order.
    for row in zip(*(result.scores for result in results), strict=True):
        cells = [f"{100 * score.mean:.1f} ± {100 * score.spread:.1f}" for score in row]
        table.add_row(row[0].encoder, row[0].classifier, *cells)
    table.add_row("chance", "", *[f"{100 * result.chance:.1f}" for result in results])
    Console(width=110).print(table)
    if any(result.group == "source" for result in results):
        print("folds by source keep the rows of a file together: where people have several files, name their column.")
