"""A kNN probe on the way, of the model that will be published."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate.utils import broadcast

from preface_hf.features.encoders import Encoder
from preface_hf.features.labeled import VALIDATION_ROWS, choose_validation, labeled_rows, usable_folds
from preface_hf.features.probe import cross_validate, encode_rows
from preface_hf.training.checkpoint import best_checkpoint, probe_of


if TYPE_CHECKING:
    from accelerate import Accelerator

    from preface_hf.modeling import PrefAceForPreTraining, PrefAceVideoProcessor
    from preface_hf.training.arguments import PretrainArguments

FOLDS = 5  # as of `preface-hf probe`


class RunProbe:
    """kNN accuracy of a run's encoder on a labeled prepared set; its videos are decoded anew each time, a batch of
    windows is held. The run's own model, mode and generators are not touched.

    Raises `ValueError` for a set, label or group that cannot be probed (see [`preface_hf.features.probe.probe`]).
    """

    def __init__(self, data: str, label: str, group: str | None = None, split: str | None = None):
        # What chooses among checkpoints must not be what is reported of them.
        split = split or choose_validation(data)
        most = VALIDATION_ROWS if split == "train" else None
        self.rows = labeled_rows(data, label, split=split, group=group, most=most)
        self.folds = usable_folds(self.rows.labels, self.rows.groups, FOLDS, label, self.rows.group)

    def logs(self, model: PrefAceForPreTraining, processor: PrefAceVideoProcessor) -> dict[str, float]:
        """`probe_knn`, the mean accuracy over folds that keep groups whole, and `probe_chance`, both in [0, 1], of a
        copy of `model`."""
        # A copy: the run's own model keeps its mode and its gradients.
        encoder = Encoder(deepcopy(model.preface), processor, "")
        features = encode_rows(self.rows.clips(encoder.clip), encoder)
        # The same folds at every step (seed 0), so that a curve shows the encoder and not the draw.
        scores = cross_validate(features, self.rows.labels, self.rows.groups, self.folds, seed=0, names=("kNN",))
        return {"probe_knn": scores["kNN"][0], "probe_chance": self.rows.chance}


def is_best(accelerator: Accelerator, folder: Path, logs: dict[str, float]) -> bool:
    """Whether the probe in `logs` (empty on all but the main process) beats those of all checkpoints in `folder`; the
    answer is the same on every process."""
    # Only the main process has the number, but all take part in saving a checkpoint.
    answer = torch.zeros(1, device=accelerator.device)
    if accelerator.is_main_process:
        best = best_checkpoint(folder)
        answer += best is None or logs["probe_knn"] > (probe_of(best) or 0)
    return bool(broadcast(answer))


def open_probe(arguments: PretrainArguments) -> RunProbe | None:
    """The probe of a run, if it has one. Every process opens it: so an error ends them all before the first step."""
    if not arguments.probe_steps:
        return None
    probe = RunProbe(
        arguments.probe_data, arguments.probe_label, arguments.probe_group or None, arguments.probe_split or None
    )
    # What was chosen is part of the run's record.
    arguments.probe_group, arguments.probe_split = probe.rows.group, probe.rows.split
    return probe
