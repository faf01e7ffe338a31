"""What frozen features tell of people who were not seen in pretraining: a score of each task and probe.

A task takes features `(rows, width)` of a set (`attentive`: tokens `(rows, N, D)`), its columns and a probe (`kNN`,
`linear` or `attentive`), and says something of each row held out; its score judges that, with rows weighted by how
often they were drawn. Scores: `expression` accuracy, `attributes` mean AUC, `identity` verification AUC, `fakes` AUC,
all in percent and better when higher; `landmarks` and `points` error in percent of the distance of the outer eye
corners, better when lower. `landmarks` has 160 rows, so that few probes are better than the mean shape: `points` asks
the same of thousands, whose points `prepare` has found and nobody annotated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from models import classifier, recognizer, regressor
from sklearn.model_selection import KFold, LeaveOneGroupOut, StratifiedGroupKFold

from preface_hf.metrics.intervals import group_numbers
from preface_hf.metrics.ranking import auc


NEITHER = {
    "instance_id", "landmarks", "fps", "num_frames", "start_seconds", "frame_seconds", "track", "source", "quality",
    "split", "identity",
}  # fmt: skip
Columns = dict[str, list[Any]]


def expression(features: np.ndarray, columns: Columns, probe: str) -> np.ndarray:
    """7 emotions of CK+ over 5 folds that keep subjects whole: whether each row is right, and its fold `(rows, 2)`."""
    labels, groups = np.array(columns["emotion"]), np.array(columns["subject"])
    model, said = classifier(probe), np.empty((len(labels), 2))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(features, labels, groups)
    for fold, (fit, held) in enumerate(folds):
        said[held, 0] = model.fit(features[fit], labels[fit]).predict(features[held]) == labels[held]
        said[held, 1] = fold
    return said


def accuracy(said: np.ndarray, columns: Columns, weights: np.ndarray) -> float:
    """The mean of the folds."""
    folds = [said[:, 1] == fold for fold in np.unique(said[:, 1])]
    return float(np.mean([np.average(said[fold, 0], weights=weights[fold]) for fold in folds]))


def attributes(features: np.ndarray, columns: Columns, probe: str) -> np.ndarray:
    """40 attributes of CelebA: fitted on the training people, `(rows, 40)` of people who are in no pretraining."""
    test = is_test(columns)
    return regressor(probe, 20).fit(features[~test], attribute_labels(columns)[~test]).predict(features[test])


def attributes_auc(said: np.ndarray, columns: Columns, weights: np.ndarray) -> float:
    """The mean over attributes."""
    truth = attribute_labels(columns)[is_test(columns)]
    pairs = zip(truth.T, said.T, strict=True)
    return float(np.mean([auc(values, labels, weights) for labels, values in pairs]))


def attribute_labels(columns: Columns) -> np.ndarray:
    """0 or 1, `(rows, 40)`."""
    return np.stack([np.array(columns[name]) for name in columns if name not in NEITHER], axis=1).astype(float)


def identity(features: np.ndarray, columns: Columns, probe: str) -> np.ndarray:
    """Of CelebA's test images unit features (kNN), discriminant directions (linear) or what a query gathers
    (attentive), fitted on the training people with several images."""
    people, test = np.array(columns["identity"]), is_test(columns)
    names, counts = np.unique(people[~test], return_counts=True)
    fitted = np.isin(people[~test], names[counts > 1]) if probe != "kNN" else np.ones((~test).sum(), dtype=bool)
    said = recognizer(probe).fit(features[~test][fitted], people[~test][fitted]).transform(features[test])
    return said / np.linalg.norm(said, axis=1, keepdims=True)


def same_or_not(said: np.ndarray, columns: Columns, weights: np.ndarray) -> float:
    """AUC over all pairs of images by their cosine."""
    people = np.array(columns["identity"])[is_test(columns)]
    pairs = np.triu_indices(len(said), 1)
    same = people[pairs[0]] == people[pairs[1]]
    return auc((said @ said.T)[pairs], same, np.outer(weights, weights)[pairs])


def fakes(features: np.ndarray, columns: Columns, probe: str) -> np.ndarray:
    """Wav2Lip or real: chances `(rows,)` of each speaker's clips, fitted on the others."""
    labels, speakers = np.array(columns["label"]) != "real", np.array(columns["speaker"])
    model, said = classifier(probe), np.empty(len(labels))
    for fit, held in LeaveOneGroupOut().split(features, labels, speakers):
        said[held] = model.fit(features[fit], labels[fit]).predict_proba(features[held])[:, 1]
    return said


def speakers_auc(said: np.ndarray, columns: Columns, weights: np.ndarray) -> float:
    """The mean of three speakers."""
    labels, speakers = np.array(columns["label"]) != "real", np.array(columns["speaker"])
    parts = [speakers == speaker for speaker in np.unique(speakers)]
    return float(np.mean([auc(said[p], labels[p], weights[p]) for p in parts]))


def landmarks(features: np.ndarray, columns: Columns, probe: str) -> np.ndarray:
    """68 points of Helen and AFW, in crops that annotated points place: errors `(rows,)` over 5 folds."""
    points, model = points_of(columns), regressor(probe)
    found = np.empty_like(points)
    for fit, held in KFold(5, shuffle=True, random_state=0).split(features):
        found[held] = model.fit(features[fit], points[fit]).predict(features[held])
    return errors(found, points)


def points(features: np.ndarray, columns: Columns, probe: str) -> np.ndarray:
    """68 points that `prepare` found in CelebA: fitted on the training people, errors `(rows,)` of people who are in
    no pretraining."""
    points, test = points_of(columns), is_test(columns)
    return errors(regressor(probe, 20).fit(features[~test], points[~test]).predict(features[test]), points[test])


def points_of(columns: Columns) -> np.ndarray:
    """Of the first frame, `(rows, 136)`."""
    return np.stack([np.asarray(value, np.float64)[0].reshape(-1) for value in columns["landmarks"]])


def errors(found: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The mean distance of each row's points `(rows, 136)`, as a share of that of the outer eye corners."""
    found, points = found.reshape(-1, 68, 2), points.reshape(-1, 68, 2)
    eyes = np.linalg.norm(points[:, 36] - points[:, 45], axis=-1)
    return np.linalg.norm(found - points, axis=-1).mean(axis=1) / eyes


def mean_error(said: np.ndarray, columns: Columns, weights: np.ndarray) -> float:
    """The mean over rows."""
    return float(np.average(said, weights=weights))


def is_test(columns: Columns) -> np.ndarray:
    """Rows of the test part, `(rows,)`."""
    return np.array(columns["split"]) == "test"


def people(task: str, columns: Columns) -> np.ndarray:
    """A number for the person of each row held out."""
    rows, held = np.array(columns[TASKS[task].people]), is_test(columns)
    said = rows[held] if TASKS[task].data == "celeba" else rows
    return group_numbers(said, len(said))


class Task(NamedTuple):
    """The set it asks, what it says of rows, how that is scored, and the column that names people."""

    data: str
    say: Callable[[np.ndarray, Columns, str], np.ndarray]
    score: Callable[[np.ndarray, Columns, np.ndarray], float]
    people: str = "instance_id"


TASKS = {
    "expression": Task("ckplus", expression, accuracy, "subject"),
    "attributes": Task("celeba", attributes, attributes_auc, "identity"),
    "identity": Task("celeba", identity, same_or_not, "identity"),
    "fakes": Task("lipreading", fakes, speakers_auc, "speaker"),
    "landmarks": Task("helen", landmarks, mean_error),
    "points": Task("celeba", points, mean_error, "identity"),
}
LESS_IS_BETTER = ("landmarks", "points")
