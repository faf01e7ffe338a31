"""From a checkpoint and labeled videos to a fine-tuned model, its scores and a page about both."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preface_hf.adapters import add_lora
from preface_hf.features.encoders import best_device, load_encoder
from preface_hf.features.labeled import VALIDATION, splits_of
from preface_hf.files import is_missing, packaged, replacing
from preface_hf.modeling import PrefAceConfig, PrefAceForLandmarkDetection, PrefAceForVideoClassification
from preface_hf.precision import AUTO, fastest_precision
from preface_hf.progress import Level, level
from preface_hf.tasks.arguments import FinetuneArguments
from preface_hf.tasks.base import Task
from preface_hf.tasks.fit.linear import choose_linear, choose_neighbors, features_of, neighbors_say
from preface_hf.tasks.fit.trainer import train
from preface_hf.tasks.folder import SETTINGS, check_folder, prepared
from preface_hf.tasks.lipsync.fit import finetune_lipsync
from preface_hf.tasks.registry import task_of
from preface_hf.tasks.results.report import write_task_report
from preface_hf.tasks.results.scoring import PRIMARY, by_row, run_model, score, write_scores
from preface_hf.tasks.results.tables import write_tables
from preface_hf.tasks.rows.clips import LabeledClips
from preface_hf.tasks.rows.labels import LabelSpace, label_space
from preface_hf.tasks.rows.splits import Part, fewer, files_are_people, parts_of, read_share
from preface_hf.tasks.sync.fit import finetune_sync


WHO = (
    "No column says who is seen, so each file counts as a person. If people are in several files, name the files in a "
    "metadata.csv with a column person: else the scores tell nothing of other people."
)


def finetune(
    model: str | Path,
    data: str | Path,
    label: str | Sequence[str] = (),
    *,
    task: str | None = None,
    resume: bool = False,
    with_faces: bool = False,
    **settings: Any,
) -> Path:
    """Fine-tune a checkpoint on labeled faces, and score it; returns the run's folder.

    Args:
        model: checkpoint folder, Hub name or `default`; of the tasks sync and lipsync also one to go on from, or
            `scratch`.
        data: a prepared set; or videos that are prepared first: a folder with a sub-folder for each class, a csv that
            names files, or a set in the layout of the owner of `task`.
        label: column to predict, several of yes or no, or `landmarks`.
        task: instead of `label`, a set of the papers (`preface_hf.tasks.registry.TASKS`).
        resume: continue a run that was stopped.
        with_faces: show faces of the hardest examples on the page.
        settings: of [`FinetuneArguments`].

    The folder opens as a model (`AutoModelForVideoClassification`; of LoRA also `adapter/`, by peft) and holds
    `finetune.json`, `log.jsonl`, `predictions-*.jsonl`, `scores-*.json` and `report.html`. Raises `ValueError` before
    any training for what cannot be learned or compared.
    """
    arguments = FinetuneArguments(**settings)
    columns = (label,) if isinstance(label, str) else tuple(label)
    chosen, folder = task_of(task, columns), Path(arguments.output_dir)
    check_folder(folder, resume)
    for name in ("expert", "adversarial_weight"):
        if getattr(arguments, name) and chosen.kind != "lipsync":
            raise ValueError(
                f"--{name.replace('_', '-')} {getattr(arguments, name)} is of the task lipsync alone: leave it out."
            )
    if arguments.mixed_precision == AUTO:
        arguments.mixed_precision = measured_precision(folder, model, resume)
    if chosen.kind == "sync":
        return finetune_sync(model, data, arguments, chosen, resume)
    if chosen.kind == "lipsync":
        return finetune_lipsync(model, data, arguments, chosen, resume)
    model = packaged(model)
    encoder = load_encoder(model)  # a user's mistake shows before any work is done
    check_protocol(arguments, chosen)
    data = prepared(data, chosen, folder, encoder.model.config.image_size)
    sets = splits_of(data)
    labels = label_space(data, chosen, ("train", *(name for name in ("test", *VALIDATION) if name in sets)))
    if not arguments.random_weights:
        check_head(str(model), labels, arguments.head_pooling)
    parts = parts_of(
        data, labels, group=arguments.group, seed=arguments.seed, allow_overlap=arguments.allow_overlap
    )  # fmt: skip
    if not arguments.group and files_are_people(data, labels) and level() > Level.QUIET:
        print(WHO, file=sys.stderr, flush=True)
    # Validation is a part of the labels, too: few labels are few to choose by.
    share = read_share(arguments.labels)
    for name in ("train", "validation"):
        parts[name] = fewer(parts[name], share, arguments.shots, arguments.seed)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(arguments, str(model), str(data), chosen, labels, parts, encoder.processor)
    head = run.build_model()
    run.write_settings(head)
    if arguments.protocol == "knn":
        run.neighbors(head)
    else:
        run.finish(run.fit(head, resume))
    write_tables(folder)
    write_task_report(folder, data, with_faces=with_faces)
    return folder


def measured_precision(folder: Path, model: str | Path, resume: bool) -> str:
    """What `--mixed-precision auto` stands for: the faster one here; of a run that is resumed what it was."""
    if resume and (folder / SETTINGS).exists():
        return str(json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["settings"]["mixed_precision"])
    config = PrefAceConfig.from_preset("vit-t")
    if str(model) != "scratch" and not is_missing(packaged(model)):
        with suppress(OSError, ValueError):  # what cannot be opened the run itself refuses
            config = PrefAceConfig.from_pretrained(packaged(model))
    found = fastest_precision(config)
    if level() > Level.QUIET:
        print(f"mixed_precision: {found} is what this run trains with.", file=sys.stderr, flush=True)
    return found


class Run:
    """A run of [`finetune`]: what was resolved once, and the steps that need it."""

    def __init__(
        self, arguments: FinetuneArguments, model: str, data: str, task: Task, labels: LabelSpace,
        parts: dict[str, Part], processor: Any,
    ):  # fmt: skip
        self.arguments, self.model, self.data, self.task = arguments, model, data, task
        self.labels, self.parts, self.processor = labels, parts, processor
        self.folder = Path(arguments.output_dir)
        self.outputs = len(labels.names)
        self.threshold: float | None = None  # of fakes: the validation part is scored first, and chooses it

    def clips(self, name: str, augment: bool = False) -> LabeledClips:
        """The clips of a part."""
        part, windows = self.parts[name], 1 if augment or self.labels.kind == "landmarks" else self.arguments.windows
        clips = LabeledClips(
            self.data, part.split, self.labels, self.processor, augment=augment, windows=windows, rows=part.rows,
            strength=self.arguments.augmentation,
        )  # fmt: skip
        clips.left_out = part.left_out
        return clips

    def build_model(self) -> Any:
        """The checkpoint, with a new head that is drawn from the seed unless it has one; or initial weights."""
        arguments, is_points = self.arguments, self.labels.kind == "landmarks"
        kind: Any = PrefAceForLandmarkDetection if is_points else PrefAceForVideoClassification
        frozen = arguments.protocol in ("linear", "knn", "attentive")
        fields: dict[str, Any] = {"freeze_encoder": frozen, **self.labels.head()}
        if not is_points:
            fields["classifier_pooling"] = arguments.head_pooling
        if arguments.protocol == "full":
            fields["drop_path_rate"] = arguments.drop_path_rate
        torch.manual_seed(arguments.seed)
        if arguments.random_weights:
            model = kind(PrefAceConfig.from_pretrained(self.model, **fields))
        else:
            model = kind.from_pretrained(self.model, **fields)
        rank = arguments.lora_rank
        model = add_lora(model, rank, 2 * rank) if arguments.protocol == "lora" else model
        return model.to(best_device())  # of frozen features no Trainer moves it there

    def fit(self, model: Any, resume: bool) -> Any:
        """The fitted model."""
        if self.arguments.protocol == "linear" and self.labels.kind != "landmarks":
            return self.fit_head(model)
        model = train(
            model, self.arguments, self.clips("train", augment=True), self.clips("validation"),
            self.class_weights(), resume,
        )  # fmt: skip
        if self.arguments.protocol == "lora":
            model.save_pretrained(self.folder / "adapter")
            model.config.save_pretrained(self.folder / "adapter")  # the head's shape, which peft does not write
            model = model.merge_and_unload()
        return model

    def features(self, model: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Frozen features of each part, and its labels."""
        model = model.eval()
        found = {}
        for name in self.parts:
            clips = self.clips(name)
            targets = [self.labels.target(clips.table[row]) for row in clips.rows[:: clips.windows]]
            found[name] = features_of(model, clips, self.arguments.batch_size), np.asarray(targets)
        return found

    def scorer(self, truths: np.ndarray) -> Any:
        """What heads are chosen by, of the validation part: more is better."""
        name, more = PRIMARY[self.labels.kind]

        def value(chances: np.ndarray) -> float:
            found = float(score(self.labels, chances, truths)[name])
            return -np.inf if np.isnan(found) else found if more else -found

        return value

    def fit_head(self, model: Any) -> Any:
        """The model with the linear head that is best on the validation part."""
        found = self.features(model)
        (train_features, targets), (held, truths) = found["train"], found["validation"]
        weight, bias, _ = choose_linear(
            train_features, targets, self.outputs, held, self.scorer(truths), self.class_weights()
        )
        with torch.no_grad():
            model.classifier.weight.copy_(weight)
            model.classifier.bias.copy_(bias)
        return model

    def neighbors(self, model: Any) -> None:
        """Score the nearest neighbors: there is no model to save."""
        found = self.features(model)
        (known, targets), (held, truths) = found["train"], found["validation"]
        count = choose_neighbors(known, targets, self.outputs, held, self.scorer(truths))
        for name in ("validation", "test"):
            features, truths = found[name]
            chances = neighbors_say(known, targets, self.outputs, features, count)
            self.write(name, self.clips(name), (chances, truths))

    def class_weights(self) -> np.ndarray | None:
        """The weight of each class, such that all count alike; None for several labels, or unless asked for."""
        if not self.arguments.class_weights or self.labels.is_multilabel or self.labels.kind == "landmarks":
            return None
        counts = np.bincount(self.parts["train"].classes, minlength=self.outputs)
        return counts.sum() / (self.outputs * counts)

    def finish(self, model: Any) -> None:
        """Save the model, and score it."""
        model.save_pretrained(self.folder)
        self.processor.save_pretrained(self.folder)
        for name in ("validation", "test"):
            clips = self.clips(name)
            found = by_row(self.labels, *run_model(model, clips, self.arguments.batch_size), clips.windows)
            self.write(name, clips, found)

    def write(self, name: str, clips: LabeledClips, found: tuple[np.ndarray, np.ndarray]) -> None:
        """Predictions and scores of a part."""
        scores = write_scores(
            self.folder, name, clips, found, list(self.parts[name].groups), self.arguments.samples, self.threshold
        )
        self.threshold = scores.get("threshold")

    def write_settings(self, model: Any) -> None:
        """`finetune.json`: all that another reader of the folder needs."""
        trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        told = {
            "task": self.labels.kind, "name": self.task.name or None, "columns": list(self.labels.columns),
            "names": list(self.labels.names), "where": self.labels.where, "protocol": self.arguments.protocol,
            "model": self.model, "data": self.data, "labels": self.arguments.labels, "shots": self.arguments.shots,
            "seed": self.arguments.seed, "splits": {name: part.told() for name, part in self.parts.items()},
            "group": self.arguments.group, "trainable": trainable,
            "parameters": sum(weight.numel() for weight in model.parameters()),
            "settings": self.arguments.told(),
        }  # fmt: skip
        with replacing(self.folder / SETTINGS) as file:
            file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def check_protocol(arguments: FinetuneArguments, task: Task) -> None:
    """`ValueError` where a protocol cannot be of a task, or needs what is missing; before videos are prepared."""
    if arguments.protocol == "lora" and find_spec("peft") is None:
        raise ValueError("--protocol lora needs peft, which is not installed: pip install 'preface-hf[peft]'.")
    if task.kind == "landmarks" and arguments.protocol in ("knn", "attentive"):
        raise ValueError(
            f"--protocol {arguments.protocol} finds no points: landmarks take full, lora, or linear (the head alone)."
        )
    if arguments.protocol in ("linear", "knn") and arguments.mixup:
        raise ValueError(
            f"mixup={arguments.mixup} is of training, and {arguments.protocol} fits features: leave it out."
        )


def check_head(model: str, labels: LabelSpace, pooling: str) -> None:
    """`ValueError` where a checkpoint has a head already, of other labels than these: only the same go on."""
    config = PrefAceConfig.from_pretrained(model)
    trained = (config.architectures or [""])[0]
    if labels.kind == "landmarks":
        has, needs = f"{config.num_landmarks} points", f"{labels.head()['num_landmarks']} points"
        if trained != PrefAceForLandmarkDetection.__name__:
            return
    else:
        has = f"{', '.join(config.id2label.values())} (pooling {config.classifier_pooling})"
        needs = f"{', '.join(labels.names)} (pooling {pooling})"
        if trained != PrefAceForVideoClassification.__name__:
            return
    if has != needs:
        raise ValueError(
            f"{model!r} has a head for {has}, and the labels need one for {needs}: give the encoder that it was "
            f"fine-tuned from."
        )
