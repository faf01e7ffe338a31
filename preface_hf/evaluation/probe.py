"""Probes: how much a simple classifier reads off frozen features, on rows that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import load_dataset

from preface_hf.data.decoding import open_video
from preface_hf.evaluation.encoders import Encode, Encoder, load_encoder, pixel_encoder, random_encoder
from preface_hf.evaluation.windows import windows


if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin


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
        group: rows with the same value here never stand on both sides of a fold; `source` unless told.
        folds: of the cross-validation (fewer if a class has fewer groups).
        baselines: also probe 16x16 pixels and the same encoder before training.
        seed: of folds and random encoder.

    Raises `ValueError` for an unknown column or split, or if there are fewer than two classes of two groups each.
    """
    encoder = load_encoder(model)
    rows = with_two_groups(read_clips(data, encoder, split, label, group or "source"))
    labels, groups = rows.labels, rows.groups
    folds = usable_folds(labels, groups, folds, label, group or "source")
    encoders: dict[str, Encode] = {"pixels": pixel_encoder, "random encoder": random_encoder(encoder, seed)}
    encoders = {**(encoders if baselines else {}), "pretrained encoder": encoder}
    scores = []
    for name, encode in encoders.items():
        features = encode_rows(rows.clips, encode)
        for classifier, (mean, spread) in cross_validate(features, labels, groups, folds, seed).items():
            scores.append(ProbeScore(name, classifier, mean, spread))
    _, counts = np.unique(labels, return_counts=True)
    return ProbeResult(
        label, group or "source", len(labels), len(counts), folds, float(counts.max() / len(labels)), scores
    )


@dataclass
class Clips:
    """`clips` holds for each row its windows, each uint8 `(frames, height, width, 3)`; labels and groups by row."""

    clips: list[list[np.ndarray]]
    labels: np.ndarray
    groups: np.ndarray


def read_clips(data: str | Path, encoder: Encoder, split: str | None, label: str, group: str) -> Clips:
    """Decode all rows that have a label."""
    try:
        sets = load_dataset(str(data), streaming=True)
    except Exception as error:
        raise ValueError(f"cannot open {str(data)!r} as a prepared set: {str(error).splitlines()[0]}") from error
    split = split or ("test" if "test" in sets else "train")
    if split not in sets:
        raise ValueError(f"{str(data)!r} has no split {split!r}: choose one of {', '.join(sets)}.")
    for column in (label, group):
        if column not in sets[split].column_names:
            raise ValueError(
                f"{str(data)!r} has no column {column!r}: choose one of {', '.join(sets[split].column_names)}."
            )
    kept = [row for row in sets[split].select_columns(list({"video", label, group})) if row[label] is not None]
    clips = [[w.frames for w in windows(open_video(row["video"]["bytes"]), *encoder.clip)] for row in kept]
    return Clips(clips, np.array([str(row[label]) for row in kept]), np.array([str(row[group]) for row in kept]))


def with_two_groups(rows: Clips) -> Clips:
    """Without the classes of a single group, which can't be both fitted and tested; says how many rows that costs."""
    kept = [len(set(rows.groups[rows.labels == label])) > 1 for label in rows.labels]
    if not all(kept):
        gone = sorted(set(rows.labels[~np.array(kept)]))
        print(f"probe: {len(kept) - sum(kept)} rows are left out, of classes in one group only: {', '.join(gone)}")
    return Clips(
        [clips for clips, keep in zip(rows.clips, kept, strict=True) if keep], rows.labels[kept], rows.groups[kept]
    )


def encode_rows(clips: list[list[np.ndarray]], encode: Encode, batch_size: int = 32) -> np.ndarray:
    """One feature per row, the mean over its windows: `(rows, width)`."""
    flat = [window for row in clips for window in row]
    features = np.concatenate([encode(flat[i : i + batch_size]) for i in range(0, len(flat), batch_size)])
    ends = np.cumsum([len(row) for row in clips])[:-1]
    return np.stack([part.mean(axis=0) for part in np.split(features, ends)])


def usable_folds(labels: np.ndarray, groups: np.ndarray, folds: int, label: str, group: str) -> int:
    """At most `folds`, so that every class has a group for each."""
    per_class = {name: len(set(groups[labels == name])) for name in np.unique(labels)}
    if len(per_class) < 2 or min(per_class.values()) < 2:
        raise ValueError(
            f"column {label!r} has {len(per_class)} classes in two groups of {group!r} or more: "
            f"a probe needs two such classes."
        )
    return min(folds, *per_class.values())


def classifiers() -> dict[str, ClassifierMixin]:
    """The probes by name, on standardised features: 5 nearest neighbours by cosine, logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {
        "kNN": make_pipeline(StandardScaler(), KNeighborsClassifier(n_neighbors=5, metric="cosine")),
        "linear": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)),
    }


def cross_validate(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each classifier's accuracy over `folds` that keep groups whole."""
    from sklearn.model_selection import StratifiedGroupKFold

    splits = list(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(features, labels, groups))
    results: dict[str, Any] = {}
    for name, classifier in classifiers().items():
        accuracies = [
            classifier.fit(features[fit], labels[fit]).score(features[held], labels[held]) for fit, held in splits
        ]
        results[name] = float(np.mean(accuracies)), float(np.std(accuracies))
    return results
