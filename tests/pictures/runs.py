"""Folders of pretraining runs as the pictures read them, written without training."""

from pathlib import Path
from typing import Any

import torch
import yaml

from preface_hf.objectives.base import write_state
from preface_hf.training.arguments import PretrainArguments, build
from preface_hf.training.build import build_model, build_processor
from tests.conftest import tiny


def written_run(folder: Path, prepared: Path, method: str, state: dict[str, Any] | None = None, **settings) -> Path:
    """A run whose one checkpoint and `final` hold a new model, and the checkpoint `state` beside it."""
    given = {**tiny(prepared, method), "output_dir": str(folder), **settings}
    arguments = build(PretrainArguments, given, "test")
    parts = arguments.parts()
    checkpoint = folder / "checkpoints" / "step-00000003"
    checkpoint.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(arguments.resolved()), encoding="utf-8")
    torch.manual_seed(0)
    model = build_model(arguments, parts)
    for place in (checkpoint, folder / "final"):
        model.save_pretrained(place)
        build_processor(parts, model, None).save_pretrained(place)
    write_state(checkpoint, state or {})
    return folder
