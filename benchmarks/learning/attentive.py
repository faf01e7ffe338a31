"""A probe of frozen tokens: a learned query looks at all tokens of a clip, and a linear layer reads what it gathered.

The attention is that of `classifier_pooling="attentive"`; fitted as scikit-learn's models are, from seed 0.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from preface_hf.modeling.pooling_preface import PrefAcePooling


STEPS, BATCH, RATE, DECAY, HEADS = 600, 128, 1e-3, 0.1, 4  # chosen, not searched: the same for all rows


class Attentive:
    """Of tokens `(rows, N, D)`: classes by cross-entropy, or values by their squared error once standardized.

    Attributes:
        is_classes: else values, `(rows, outputs)` or `(rows,)`.
    """

    def __init__(self, is_classes: bool):
        self.is_classes = is_classes

    def fit(self, tokens: np.ndarray, targets: np.ndarray) -> Attentive:
        """Learn from rows."""
        torch.manual_seed(0)
        if self.is_classes:
            self.classes_, goals = np.unique(targets, return_inverse=True)
            outputs, goals = len(self.classes_), torch.from_numpy(goals)
        else:
            self.middle, self.scale = targets.mean(axis=0), targets.std(axis=0) + 1e-6
            goals = torch.from_numpy((targets - self.middle) / self.scale).float()
            outputs = goals.shape[1]
        self.mean, self.std = tokens.mean(axis=(0, 1)), tokens.std(axis=(0, 1)) + 1e-6
        values, width = self.standardized(tokens), tokens.shape[-1]
        self.pooling = PrefAcePooling(
            SimpleNamespace(hidden_size=width, classifier_pooling="attentive", num_attention_heads=HEADS,
                            num_hidden_layers=1)
        )  # fmt: skip
        nn.init.normal_(self.pooling.query, std=width**-0.5)
        self.head = nn.Linear(width, outputs)
        weights = [*self.pooling.parameters(), *self.head.parameters()]
        optimizer = torch.optim.AdamW(weights, RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        loss_of = nn.functional.cross_entropy if self.is_classes else nn.functional.mse_loss
        for _ in range(STEPS):
            rows = torch.randint(len(values), (BATCH,))
            optimizer.zero_grad()
            loss_of(self.head(self.pooling.attend(values[rows])), goals[rows]).backward()
            optimizer.step()
            schedule.step()
        return self

    def standardized(self, tokens: np.ndarray) -> torch.Tensor:
        """Tokens by the mean and deviation of each of their numbers over the rows fitted on."""
        return torch.from_numpy((tokens - self.mean) / self.std).float()

    @torch.inference_mode()
    def transform(self, tokens: np.ndarray) -> np.ndarray:
        """What the query gathers, `(rows, D)`."""
        return self.pooling.attend(self.standardized(tokens)).numpy()

    @torch.inference_mode()
    def predict_proba(self, tokens: np.ndarray) -> np.ndarray:
        """Chances of the classes `(rows, classes)`."""
        return self.head(torch.from_numpy(self.transform(tokens))).softmax(-1).numpy()

    def predict(self, tokens: np.ndarray) -> np.ndarray:
        """Classes, or values."""
        if self.is_classes:
            return self.classes_[self.predict_proba(tokens).argmax(axis=1)]
        with torch.inference_mode():
            return self.head(torch.from_numpy(self.transform(tokens))).numpy() * self.scale + self.middle

    def score(self, tokens: np.ndarray, targets: np.ndarray) -> float:
        """The share of classes that are right."""
        return float((self.predict(tokens) == targets).mean())
