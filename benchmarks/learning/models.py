"""The probes of frozen features: what is fitted to classes, to values, and to who is who."""

from __future__ import annotations

from typing import Any

import numpy as np
from attentive import Attentive
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


ALPHAS = np.logspace(0, 5, 11)  # strengths of ridge, of which leave-one-out on the fitted rows takes one


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


def recognizer(probe: str) -> Any:
    """Of people: what it transforms features to tells them apart; neighbors are those of standardized features."""
    if probe == "attentive":
        return Attentive(is_classes=True)
    if probe == "kNN":
        return StandardScaler()
    return make_pipeline(
        StandardScaler(), LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1, n_components=64)
    )  # fmt: skip
