"""Opening what `finetune` saved."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from transformers import AutoConfig

import preface_hf
from preface_hf.files import is_missing, why_unopened


HEADS = ("PrefAceForVideoClassification", "PrefAceForLandmarkDetection")


def open_finetuned(run: str | Path) -> tuple[Any, Any]:
    """The model of a folder or Hub name, in evaluation mode, and its processor; `ValueError` where it has no head."""
    if is_missing(run):
        raise ValueError(f"cannot open {str(run)!r} as a fine-tuned model: there is no such folder.")
    try:
        names = AutoConfig.from_pretrained(run).architectures or []
        head = next((name for name in names if name in HEADS), None)
        if head is None:
            raise ValueError("it has no head for a task: fine-tune it first, by `preface-hf finetune`")
        model = getattr(preface_hf, head).from_pretrained(run)
        processor = preface_hf.PrefAceVideoProcessor.from_pretrained(run)
    except (OSError, ValueError, UnpicklingError) as error:
        raise ValueError(f"cannot open {str(run)!r} as a fine-tuned model ({why_unopened(error)}).") from error
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), processor
