"""`finetune --task sync`: from a prepared set with sound to an expert, its scores, and what it has to beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Trainer

from preface_hf.metrics.ranking import auc
from preface_hf.modeling import PrefAceSyncConfig, PrefAceSyncModel
from preface_hf.tasks.arguments import FinetuneArguments
from preface_hf.tasks.base import Task
from preface_hf.tasks.fit.trainer import LogLines, fit, training_arguments
from preface_hf.tasks.folder import SETTINGS, prepared
from preface_hf.tasks.rows.splits import Part, parts_of
from preface_hf.tasks.sync.clips import SyncClips
from preface_hf.tasks.sync.evaluate import CROP_SIZE, POINTS, people, write_json, write_scores
from preface_hf.tasks.sync.experts import load_expert


SCRATCH = "scratch"
STEPS = 1500
WINDOWS = 4  # of a row, to choose the best weights by


def finetune_sync(
    model: str | Path, data: str | Path, arguments: FinetuneArguments, task: Task, resume: bool = False
) -> Path:
    """Train a sync expert and score it; returns the run's folder, which opens by `AutoModel`.

    Args:
        model: an expert to go on from, or `scratch`. A face encoder is no expert: a mouth is a small, fast thing.
        data: a prepared set of `prepare --audio`, or videos that are prepared first.
        arguments: those of every fine-tuning; what is of classifiers alone has no effect.
        task: says how videos are laid out.
        resume: continue a run that was stopped.
    """
    check_settings(arguments)
    expert, folder = build_expert(model, arguments), Path(arguments.output_dir)
    data = prepared(data, task, folder, CROP_SIZE)
    parts = parts_of(
        data, POINTS, group=arguments.group, seed=arguments.seed, allow_overlap=arguments.allow_overlap
    )  # fmt: skip
    clips = {name: clips_of(data, part, expert.config, augment=name == "train") for name, part in parts.items()}
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "task": "sync", "name": None, "model": str(model), "data": str(data), "seed": arguments.seed,
        "splits": {name: part.told() | {"left_out": clips[name].left_out} for name, part in parts.items()},
        "parameters": sum(weight.numel() for weight in expert.parameters()), "settings": arguments.told(),
    }  # fmt: skip
    write_json(folder / SETTINGS, told)
    expert = train_expert(expert, arguments, clips["train"], clips["validation"], resume)
    expert.save_pretrained(folder)
    write_scores(folder, expert, clips["test"], people(clips["test"], parts["test"]), arguments.samples)
    return folder


def check_settings(arguments: FinetuneArguments) -> None:
    """`ValueError` for what makes no sense of an expert."""
    if arguments.protocol != "full":
        raise ValueError(
            f"--protocol {arguments.protocol} is of face encoders: leave it out, the task sync trains all."
        )
    if arguments.labels != "100%" or arguments.shots is not None:
        raise ValueError("the task sync has no labels to take a share of: leave --labels and --shots out.")


def build_expert(model: str | Path, arguments: FinetuneArguments) -> PrefAceSyncModel:
    """A new expert, or the one to go on from; `ValueError` for a checkpoint of something else."""
    torch.manual_seed(arguments.seed)
    if str(model) == SCRATCH:
        return PrefAceSyncModel(PrefAceSyncConfig())
    expert = load_expert(model)
    return PrefAceSyncModel(expert.config) if arguments.random_weights else expert


def clips_of(data: str, part: Part, config: PrefAceSyncConfig, augment: bool) -> SyncClips:
    """The clips of a part."""
    return SyncClips(
        data, part.split, config.num_frames, config.image_size, augment=augment, windows=1 if augment else WINDOWS,
        rows=part.rows,
    )  # fmt: skip


def train_expert(
    expert: PrefAceSyncModel, arguments: FinetuneArguments, train: SyncClips, validation: SyncClips, resume: bool
) -> PrefAceSyncModel:
    """The expert with the weights that tell pairs of the validation part apart best."""
    decay = [weight for weight in expert.parameters() if weight.ndim > 1]
    rest = [weight for weight in expert.parameters() if weight.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": arguments.weight_decay}, {"params": rest, "weight_decay": 0.0}],
        lr=arguments.rate,
    )  # fmt: skip
    steps = arguments.max_steps or STEPS
    trainer = Trainer(
        expert, training_arguments(arguments, steps, "auc", True), train_dataset=train, eval_dataset=validation,
        compute_metrics=pairs_told_apart, callbacks=[LogLines(Path(arguments.output_dir) / "log.jsonl")],
        optimizers=(optimizer, None),
    )  # fmt: skip
    trained: PrefAceSyncModel = fit(trainer, resume)
    return trained


def pairs_told_apart(found: Any) -> dict[str, float]:
    """A `compute_metrics` for `Trainer`: AUC of pairs."""
    logits, labels = np.asarray(found.predictions), np.asarray(found.label_ids)
    return {"auc": auc(logits.ravel(), labels.ravel(), np.ones(logits.size))}
