"""What frozen features tell of people who were not seen in pretraining: one score a task and probe.

Every task takes features `(rows, width)` of a set (`attentive`: tokens `(rows, N, D)`), its columns and a probe:
`kNN`, `linear` or `attentive`. Scores: `expression` accuracy, `attributes` mean AUC, `identity` verification AUC,
`fakes` AUC, all in percent and better when higher; `landmarks` and `points` error in percent of the distance of the
outer eye corners, better when lower. `landmarks` has 160 rows, so that few probes are better than the mean shape:
`points` asks the same of thousands, whose points `prepare` has found and nobody annotated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from attentive import Attentive
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, LeaveOneGroupOut, StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


ALPHAS = np.logspace(0, 5, 11)  # strengths of ridge, of which leave-one-out on the fitted rows takes one
NEITHER = {
    "instance_id", "landmarks", "fps", "num_frames", "start_seconds", "frame_seconds", "track", "source", "quality",
    "split",
}  # fmt: skip
Columns = dict[str, list[Any]]


def classifier(probe: str) -> Any:
    """Of classes; the linear one as in `preface-hf probe`, neighbors by cosine of standardized features."""
    if probe == "attentive":
        return Attentive(is_classes=True)
    if probe == "kNN":
        return make_pipeline(StandardScaler(), KNeighborsClassifier(5, metric="cosine"))
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))


def regressor(probe: str, neighbors: int = 5) -> Any:
    """Of many values at once, each with its own strength of ridge."""
    if probe == "attentive":
        return Attentive(is_classes=False)
    if probe == "kNN":
        return make_pipeline(StandardScaler(), KNeighborsRegressor(neighbors, metric="cosine"))
    return make_pipeline(StandardScaler(), RidgeCV(ALPHAS, alpha_per_target=True))


def expression(features: np.ndarray, columns: Columns, probe: str) -> float:
    """7 emotions of CK+, accuracy over 5 folds that keep subjects whole."""
    labels, groups = np.array(columns["emotion"]), np.array(columns["subject"])
    model, scores = classifier(probe), []
    for fit, held in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(features, labels, groups):
        scores.append(model.fit(features[fit], labels[fit]).score(features[held], labels[held]))
    return 100 * float(np.mean(scores))


def attributes(features: np.ndarray, columns: Columns, probe: str) -> float:
    """40 attributes of CelebA: fitted on the training people, mean AUC on people who are in no pretraining."""
    names = [name for name in columns if name not in NEITHER and name != "identity"]
    labels = np.stack([np.array(columns[name]) for name in names], axis=1).astype(float)
    test = np.array(columns["split"]) == "test"
    model = regressor(probe, 20)
    scores = model.fit(features[~test], labels[~test]).predict(features[test])
    truth = labels[test]
    return 100 * float(np.mean([roc_auc_score(truth[:, a], scores[:, a]) for a in range(len(names))]))


def identity(features: np.ndarray, columns: Columns, probe: str) -> float:
    """Same person or not, over all pairs of CelebA's test images, by the cosine of their features (kNN), of their
    discriminant directions (linear) or of what a query gathers (attentive); fitted on the training people."""
    people, test = np.array(columns["identity"]), np.array(columns["split"]) == "test"
    names, counts = np.unique(people[~test], return_counts=True)
    several = np.isin(people[~test], names[counts > 1])  # what tells people apart is learned of those with several
    if probe == "kNN":
        model = StandardScaler().fit(features[~test])
    else:
        model = Attentive(is_classes=True) if probe == "attentive" else discriminant()
        model.fit(features[~test][several], people[~test][several])
    held = model.transform(features[test])
    held = held / np.linalg.norm(held, axis=1, keepdims=True)
    above = np.triu_indices(len(held), 1)
    same = (people[test][:, None] == people[test])[above]
    return 100 * float(roc_auc_score(same, (held @ held.T)[above]))


def discriminant() -> Any:
    """Directions that tell people apart, with shrunken covariance."""
    return make_pipeline(
        StandardScaler(), LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1, n_components=64)
    )  # fmt: skip


def fakes(features: np.ndarray, columns: Columns, probe: str) -> float:
    """Wav2Lip or real: AUC on each speaker, fitted on the others; the mean of three."""
    labels, speakers = np.array(columns["label"]) != "real", np.array(columns["speaker"])
    model, scores = classifier(probe), []
    for fit, held in LeaveOneGroupOut().split(features, labels, speakers):
        chances = model.fit(features[fit], labels[fit]).predict_proba(features[held])[:, 1]
        scores.append(roc_auc_score(labels[held], chances))
    return 100 * float(np.mean(scores))


def landmarks(features: np.ndarray, columns: Columns, probe: str) -> float:
    """68 points of Helen and AFW, in crops that annotated points place: mean distance over 5 folds."""
    points = np.stack([np.asarray(value, np.float64)[0] for value in columns["landmarks"]])  # (rows, 68, 2)
    model = regressor(probe)
    found = np.empty_like(points)
    for fit, held in KFold(5, shuffle=True, random_state=0).split(features):
        targets = points[fit].reshape(len(fit), -1)
        found[held] = model.fit(features[fit], targets).predict(features[held]).reshape(-1, 68, 2)
    return error(found, points)


def points(features: np.ndarray, columns: Columns, probe: str) -> float:
    """68 points that `prepare` found in CelebA: fitted on the training people, mean distance on people who are in no
    pretraining."""
    points = np.stack([np.asarray(value, np.float64)[0] for value in columns["landmarks"]])  # (rows, 68, 2)
    test = np.array(columns["split"]) == "test"
    model = regressor(probe, 20).fit(features[~test], points[~test].reshape(-1, 136))
    return error(model.predict(features[test]).reshape(-1, 68, 2), points[test])


def error(found: np.ndarray, points: np.ndarray) -> float:
    """Mean distance of points `(rows, 68, 2)`, in percent of that of the outer eye corners."""
    eyes = np.linalg.norm(points[:, 36] - points[:, 45], axis=-1)
    return 100 * float((np.linalg.norm(found - points, axis=-1).mean(axis=1) / eyes).mean())


TASKS: dict[str, tuple[str, Callable[[np.ndarray, Columns, str], float]]] = {
    "expression": ("ckplus", expression),
    "attributes": ("celeba", attributes),
    "identity": ("celeba", identity),
    "fakes": ("lipreading", fakes),
    "landmarks": ("helen", landmarks),
    "points": ("celeba", points),
}
LESS_IS_BETTER = ("landmarks", "points")
