"""Training by `transformers.Trainer`: layer-wise decay, mixup, class weights, the best checkpoint, exact resume."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from preface_hf.tasks.arguments import FinetuneArguments
from preface_hf.tasks.results.scoring import PRIMARY, metrics_of
from preface_hf.tasks.rows.augment import mix
from preface_hf.tasks.rows.clips import LabeledClips
from preface_hf.training.log import progress_bar
from preface_hf.training.optimizer import layers_above


EVALUATIONS = 10  # of a run, each with a checkpoint
# Of the rate: votes for points begin at a mean shape and learn slowly (benchmarks/results/2026-11-26-finetuning.md).
LANDMARK_FACTOR = 10


class TaskTrainer(Trainer):
    """A `Trainer` whose loss knows weights of classes, and that mixes clips."""

    def __init__(self, *args: Any, mixup: float, class_weights: np.ndarray | None, multilabel: bool, **more: Any):
        super().__init__(*args, **more)
        self.mixup, self.multilabel = mixup, multilabel
        self.class_weights = None if class_weights is None else torch.from_numpy(class_weights).float()

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **more: Any) -> torch.Tensor:
        """As in transformers, on mixed clips."""
        if self.mixup:
            if not self.multilabel:
                inputs["labels"] = F.one_hot(inputs["labels"], self.model.config.num_labels).float()
            inputs = mix(inputs, self.mixup)
        return super().training_step(model, inputs, *args, **more)

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any) -> Any:
        """Cross-entropy (of classes or of mixed ones) or binary cross-entropy; a landmark model has its own."""
        if model.training is False or "Landmark" in type(self.model).__name__:
            outputs = model(**inputs)
            return (outputs.loss, outputs) if return_outputs else outputs.loss
        labels = inputs["labels"]
        outputs = model(pixel_values_videos=inputs["pixel_values_videos"])
        logits = outputs.logits.float()
        if self.multilabel:
            loss = F.binary_cross_entropy_with_logits(logits, labels)
        else:
            weight = None if self.class_weights is None else self.class_weights.to(logits.device)
            loss = F.cross_entropy(logits, labels, weight)
        return (loss, outputs) if return_outputs else loss


class LogLines(TrainerCallback):
    """Writes what the Trainer logs to `log.jsonl`."""

    def __init__(self, file: Path):
        self.file = file

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """One line."""
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"step": state.global_step, "epoch": state.epoch, **(logs or {})}) + "\n")


class Shown(TrainerCallback):
    """Shows steps as `pretrain` does, and what the validation part says, in place of the Trainer's dictionaries."""

    def __init__(self, metric: str):
        self.metric, self.loss = metric, None
        self.bar = progress_bar(True)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Nothing is made yet, or what was made before `--resume`."""
        self.bar.disable |= not state.is_world_process_zero
        self.bar.start()
        self.task = self.bar.add_task("finetune", total=state.max_steps, completed=state.global_step, loss="")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A step."""
        self.bar.show(self.task, state.global_step, self.loss)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """The mean loss of the steps since the last one."""
        self.loss = (logs or {}).get("loss", self.loss)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, Any], **_: Any) -> None:
        """A line."""
        if not self.bar.disable:
            value = metrics.get(f"eval_{self.metric}", float("nan"))
            print(f"finetune: step {state.global_step:,} of {state.max_steps:,}, {self.metric} of the validation part "
                  f"{value:.3f}", file=sys.stderr, flush=True)  # fmt: skip


def train(
    model: Any,
    settings: FinetuneArguments,
    train_clips: LabeledClips,
    validation: LabeledClips,
    class_weights: np.ndarray | None,
    resume: bool,
) -> Any:
    """Train `model` and return it with the weights that were best on the validation part."""
    folder, labels = Path(settings.output_dir), train_clips.labels
    trainer = TaskTrainer(
        model, training_arguments(settings, settings.steps(len(train_clips)), *PRIMARY[labels.kind]),
        train_dataset=train_clips, eval_dataset=validation, processing_class=train_clips.processor,
        compute_metrics=metrics_of(validation, labels), callbacks=[LogLines(folder / "log.jsonl")],
        optimizers=(build_optimizer(model, settings), None), class_weights=class_weights,
        mixup=settings.mixup if labels.kind != "landmarks" else 0.0, multilabel=labels.is_multilabel,
    )  # fmt: skip
    return fit(trainer, resume)


def training_arguments(settings: FinetuneArguments, steps: int, metric: str, more: bool) -> TrainingArguments:
    """The arguments of a `Trainer` that scores and saves ten times, and keeps the weights best by `metric`."""
    every = max(1, steps // EVALUATIONS)
    return TrainingArguments(
        str(Path(settings.output_dir) / "checkpoints"), max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size, learning_rate=settings.rate, weight_decay=0.0,
        lr_scheduler_type="cosine", warmup_steps=steps // 10, max_grad_norm=1.0, seed=settings.seed,
        eval_strategy="steps", save_strategy="steps", eval_steps=every, save_steps=every, save_total_limit=1,
        logging_steps=every, load_best_model_at_end=True, metric_for_best_model=metric,
        greater_is_better=more, label_names=["labels"], remove_unused_columns=False, report_to=[],
        bf16=settings.mixed_precision == "bf16", fp16=settings.mixed_precision == "fp16",
        gradient_checkpointing=settings.gradient_checkpointing, dataloader_num_workers=settings.num_workers,
        disable_tqdm=True, use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip


def fit(trainer: Trainer, resume: bool) -> Any:
    """Train, from the last checkpoint where `resume` is asked for and there is one; returns the model."""
    trainer.remove_callback(PrinterCallback)
    shown = Shown(str(trainer.args.metric_for_best_model))
    trainer.add_callback(shown)
    checkpoints = Path(str(trainer.args.output_dir)).glob("checkpoint-*")
    try:
        trainer.train(resume_from_checkpoint=resume and any(checkpoints))
    finally:
        shown.bar.stop()
    return trainer.model


def build_optimizer(model: Any, settings: FinetuneArguments) -> torch.optim.Optimizer:
    """AdamW whose rate falls by `layer_decay` with each layer below the head (BEiT's and VideoMAE's fine-tuning).

    The head for landmarks has ten times the rate.
    """
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            # peft writes its own names before those of the model.
            depth = layers_above(name[name.find("preface.") :], model.config.num_hidden_layers)
            factor = LANDMARK_FACTOR if "landmark_head." in name else settings.layer_decay**depth
            groups.setdefault((factor, weight.ndim > 1), []).append(weight)
    return torch.optim.AdamW(
        [
            {"params": weights, "lr": settings.rate * factor, "weight_decay": settings.weight_decay if decays else 0.0}
            for (factor, decays), weights in groups.items()
        ],
        lr=settings.rate,
    )
