"""Heads on frozen features: linear ones, whose strength is searched on the validation part, and nearest neighbors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from preface_hf import __version__
from preface_hf.files import replacing
from preface_hf.modeling import PrefAceForVideoClassification
from preface_hf.recipes.writing import cache_folder
from preface_hf.tasks.results.scoring import run_model
from preface_hf.tasks.rows.clips import LabeledClips


# Weights of the penalty on the head, and numbers of neighbors: the best on the validation part is taken.
PENALTIES = tuple(np.logspace(-5, 0, 6).tolist())
NEIGHBORS = (1, 5, 20)
Scorer = Callable[[np.ndarray], float]  # probabilities of the validation part; more is better


@torch.inference_mode()
def features_of(model: PrefAceForVideoClassification, clips: LabeledClips, batch_size: int) -> np.ndarray:
    """What the classifier would see of each row, the mean over its windows: float32 `(rows, width)`.

    Kept in the cache by the weights, the set and the rows: the next run on them reads the file.
    """
    digest = hashlib.sha256()
    for weight in model.preface.state_dict().values():
        digest.update(weight.cpu().numpy().tobytes())
    key = [__version__, digest.hexdigest(), clips.digest, str(clips.rows), model.config.classifier_pooling]
    file = Path(cache_folder("features", [*key, str(clips.windows), str(clips.processor.to_dict())])) / "features.npy"
    if file.exists():
        return np.load(file)
    # The head is left out for a moment: what it would take comes out.
    head, model.classifier = model.classifier, torch.nn.Identity()  # type: ignore[assignment]
    found, _ = run_model(model, clips, batch_size)
    model.classifier = head
    features = found.reshape(-1, clips.windows, found.shape[-1]).mean(1)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary, temporary.open("wb") as opened:
        np.save(opened, features)
    return features


def fit_linear(
    features: np.ndarray, targets: np.ndarray, outputs: int, penalty: float, weights: np.ndarray | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights `(outputs, width)` and biases of logistic regression, by L-BFGS in float64.

    One problem of several classes, or one for each column of targets `(rows, outputs)`: all at once, so that 40
    attributes of 8,900 faces take seconds. `penalty` is half that of the squared weights beside the mean loss; on
    standardized features the same as scikit-learn's `C = 1 / (2 penalty rows)`.
    """
    x, y = torch.from_numpy(features).double(), torch.from_numpy(targets)
    weight = torch.zeros(outputs, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(outputs, dtype=torch.float64, requires_grad=True)
    of_class = None if weights is None else torch.from_numpy(weights).double()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=300, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = x @ weight.T + bias
        if y.ndim > 1:
            error = F.binary_cross_entropy_with_logits(logits, y.double(), reduction="none").sum(1).mean()
        else:
            error = F.cross_entropy(logits, y.long(), of_class)
        total = error + penalty * weight.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    return weight.detach(), bias.detach()


def choose_linear(
    train: np.ndarray, targets: np.ndarray, outputs: int, validation: np.ndarray, scorer: Scorer,
    weights: np.ndarray | None = None,
) -> tuple[torch.Tensor, torch.Tensor, float]:  # fmt: skip
    """The head, on features as they come, whose penalty is best on the validation part, and that penalty."""
    mean, spread = train.mean(0), train.std(0) + 1e-6
    best: tuple[float, torch.Tensor, torch.Tensor, float] | None = None
    for penalty in PENALTIES:
        weight, bias = fit_linear((train - mean) / spread, targets, outputs, penalty, weights)
        # Standardizing is folded into the head, which a checkpoint then holds.
        weight = weight / torch.from_numpy(spread).double()
        bias = bias - weight @ torch.from_numpy(mean).double()
        value = scorer(chances(torch.from_numpy(validation).double() @ weight.T + bias, targets.ndim > 1))
        if best is None or value > best[0]:
            best = value, weight, bias, penalty
    assert best is not None
    return best[1], best[2], best[3]


def chances(logits: torch.Tensor, several: bool) -> np.ndarray:
    """Probabilities of logits `(rows, outputs)`."""
    return (logits.sigmoid() if several else logits.softmax(-1)).numpy()


def neighbors_say(train: np.ndarray, targets: np.ndarray, outputs: int, asked: np.ndarray, count: int) -> np.ndarray:
    """Probabilities `(rows, outputs)`: the mean label of the `count` nearest by cosine of standardized features."""
    mean, spread = train.mean(0), train.std(0) + 1e-6
    known, new = ((rows - mean) / spread for rows in (train, asked))
    known, new = (rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-12) for rows in (known, new))
    labels = targets if targets.ndim > 1 else np.eye(outputs)[targets.astype(int)]
    nearest = np.argsort(-(new @ known.T), axis=1, kind="stable")[:, :count]  # (rows, count)
    return labels[nearest].mean(1)


def choose_neighbors(
    train: np.ndarray, targets: np.ndarray, outputs: int, validation: np.ndarray, scorer: Scorer
) -> int:
    """The number of neighbors that is best on the validation part."""
    counts = [count for count in NEIGHBORS if count <= len(train)]
    return max(counts, key=lambda count: scorer(neighbors_say(train, targets, outputs, validation, count)))
