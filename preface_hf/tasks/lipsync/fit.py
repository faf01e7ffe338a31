"""`finetune --task lipsync`: from a face encoder and a prepared set with sound to a generator, and its scores."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig

from preface_hf.features.encoders import load_encoder
from preface_hf.files import is_missing, packaged
from preface_hf.modeling import PrefAceForLipSync, PrefAceLipSyncConfig, PrefAceModel, PrefAceSyncModel
from preface_hf.tasks.arguments import FinetuneArguments
from preface_hf.tasks.base import Task
from preface_hf.tasks.fit.trainer import LogLines, build_optimizer, fit, training_arguments
from preface_hf.tasks.folder import SETTINGS, prepared
from preface_hf.tasks.lipsync.clips import LipSyncClips
from preface_hf.tasks.lipsync.losses import LipSyncTrainer
from preface_hf.tasks.lipsync.scores import CROPS_PER_FACE, TEST_WINDOWS, write_scores
from preface_hf.tasks.rows.splits import parts_of
from preface_hf.tasks.sync.evaluate import POINTS, write_json
from preface_hf.tasks.sync.experts import load_expert


SCRATCH, STEPS, NUM_FRAMES = "scratch", 20_000, 16
# What a new configuration does not take over from that of the encoder.
OWN = ("model_type", "auto_map", "architectures", "transformers_version", "dtype", "num_frames", "freeze_encoder")


def finetune_lipsync(
    model: str | Path, data: str | Path, arguments: FinetuneArguments, task: Task, resume: bool = False
) -> Path:
    """Train a lip-sync generator and score it; returns the run's folder, which opens by `AutoModel`.

    Args:
        model: checkpoint of a face encoder, a generator to go on from, or `scratch`.
        data: a prepared set of `prepare --audio`, or videos that are prepared first.
        arguments: those of every fine-tuning; `expert` and `adversarial_weight` add losses, protocol `linear` leaves
            the encoder as it is.
        task: says how videos are laid out.
        resume: continue a run that was stopped.
    """
    check_settings(arguments)
    expert = open_expert(arguments.expert)
    generator, folder = build_generator(model, arguments), Path(arguments.output_dir)
    config = generator.config
    data = prepared(data, task, folder, CROPS_PER_FACE * config.image_size)
    parts = parts_of(
        data, POINTS, group=arguments.group, seed=arguments.seed, allow_overlap=arguments.allow_overlap
    )  # fmt: skip
    clips = {
        name: LipSyncClips(
            data, part.split, config, augment=name == "train", windows=TEST_WINDOWS if name == "test" else 1,
            rows=part.rows,
        ) for name, part in parts.items()
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "task": "lipsync", "name": "lipsync", "model": str(model), "data": str(data), "seed": arguments.seed,
        "protocol": arguments.protocol,
        "splits": {name: part.told() | {"left_out": clips[name].left_out} for name, part in parts.items()},
        "parameters": sum(weight.numel() for weight in generator.parameters()),
        "trainable": sum(weight.numel() for weight in generator.parameters() if weight.requires_grad),
        "settings": arguments.told(),
    }  # fmt: skip
    write_json(folder / SETTINGS, told)
    generator = train_generator(generator, expert, arguments, clips["train"], clips["validation"], resume)
    generator.save_pretrained(folder)
    write_scores(folder, generator, clips["test"])
    return folder


def check_settings(arguments: FinetuneArguments) -> None:
    """`ValueError` for what makes no sense of a generator."""
    if arguments.protocol not in ("full", "linear"):
        raise ValueError(
            f"--protocol {arguments.protocol} is of classifiers: lipsync takes full, or linear (the encoder stays)."
        )
    if arguments.labels != "100%" or arguments.shots is not None:
        raise ValueError("the task lipsync has no labels to take a share of: leave --labels and --shots out.")


def open_expert(path: str | None) -> PrefAceSyncModel | None:
    """The expert of the loss; `ValueError` where it sees windows of another length."""
    expert = load_expert(path) if path else None
    if expert is not None and expert.config.num_frames != NUM_FRAMES:
        raise ValueError(
            f"the expert {path!r} sees {expert.config.num_frames} frames and the generator makes {NUM_FRAMES}: train "
            f"another by `preface-hf finetune scratch --task sync`."
        )
    return expert


def build_generator(model: str | Path, arguments: FinetuneArguments) -> PrefAceForLipSync:
    """A new generator on a face encoder, or the one to go on from; `ValueError` where there is neither."""
    torch.manual_seed(arguments.seed)
    frozen = arguments.protocol == "linear"
    if str(model) == SCRATCH:
        size = {"num_frames": NUM_FRAMES, "patch_size": 16}
        return PrefAceForLipSync(PrefAceLipSyncConfig.from_preset("vit-t", freeze_encoder=frozen, **size))
    model = packaged(model)
    if not is_missing(model) and AutoConfig.from_pretrained(model).model_type == PrefAceLipSyncConfig.model_type:
        made: PrefAceForLipSync = PrefAceForLipSync.from_pretrained(model, freeze_encoder=frozen)
        return PrefAceForLipSync(made.config) if arguments.random_weights else made
    encoder = load_encoder(model)
    fields = {name: value for name, value in encoder.model.config.to_dict().items() if name not in OWN}
    fields |= {"image_mean": list(encoder.processor.image_mean), "image_std": list(encoder.processor.image_std)}
    config = PrefAceLipSyncConfig(**fields, num_frames=NUM_FRAMES, freeze_encoder=frozen)
    generator = PrefAceForLipSync(config)
    if not arguments.random_weights:
        generator.preface.load_state_dict(PrefAceModel.from_pretrained(model, num_frames=NUM_FRAMES).state_dict())
    return generator


def train_generator(
    generator: PrefAceForLipSync, expert: PrefAceSyncModel | None, arguments: FinetuneArguments,
    train: LipSyncClips, validation: LipSyncClips, resume: bool,
) -> PrefAceForLipSync:  # fmt: skip
    """The generator with its last weights: those with the least L1 would be of before the expert was heard."""
    steps = arguments.max_steps or STEPS
    settings = training_arguments(arguments, steps, "loss", False)
    settings.load_best_model_at_end, settings.prediction_loss_only = False, True
    trainer = LipSyncTrainer(
        generator, settings, train_dataset=train, eval_dataset=validation, expert=expert,
        adversarial_weight=arguments.adversarial_weight,
        callbacks=[LogLines(Path(arguments.output_dir) / "log.jsonl")],
        optimizers=(build_optimizer(generator, arguments), None),
    )  # fmt: skip
    trained: PrefAceForLipSync = fit(trainer, resume)
    return trained
