"""LoRA through peft: which layers it adapts, which are trained whole, and the way back from a saved adapter.

Everything else is peft's own: `model.save_pretrained(folder)` writes the adapter alone, `model.merge_and_unload()`
gives the PrefAce model back, a `transformers.Trainer` takes the wrapped model (give it `label_names=["labels"]`).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import preface_hf.modeling
from preface_hf.files import why_unopened
from preface_hf.modeling import PrefAceConfig
from preface_hf.modeling.loading_preface import check_finite


if TYPE_CHECKING:
    from peft import PeftModel

    from preface_hf.modeling import PrefAcePreTrainedModel

# Every linear layer of the encoder's blocks (Hu et al. 2021 adapt queries and values: ("q_proj", "v_proj")).
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2")


def head_modules(model: PrefAcePreTrainedModel) -> list[str]:
    """Names of the modules beside the encoder: new for a task, so trained whole and saved with the adapter."""
    if isinstance(model, preface_hf.modeling.PrefAceModel):
        return []
    # The encoder is the child that is called as the model's prefix; all others are heads.
    heads = [(name, part) for name, part in model.named_children() if name != model.base_model_prefix]
    return [name for name, part in heads if any(True for _ in part.parameters())]


def add_lora(
    model: PrefAcePreTrainedModel,
    rank: int = 8,
    alpha: float = 16,
    dropout: float = 0.0,
    targets: Sequence[str] = LORA_TARGETS,
) -> PeftModel:
    """Wrap an encoder or a model with a head for training by LoRA; the heads are trained whole.

    rank: of the added matrices. alpha: their product is scaled by alpha / rank. dropout: rate before them.
    targets: names of linear layers. Raises `ValueError` for a name that is not in `LORA_TARGETS`, and `ImportError`
    without peft.
    """
    peft = import_peft()
    unknown = [target for target in targets if target not in LORA_TARGETS]
    if unknown or not targets:
        raise ValueError(f"cannot adapt the layers {unknown or '()'}: choose among {', '.join(LORA_TARGETS)}.")
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(targets),
        modules_to_save=head_modules(model) or None,
    )  # fmt: skip
    return peft.get_peft_model(model, config)


def load_lora(folder: str | Path, base: str | Path | None = None, **fields: Any) -> PeftModel:
    """Open an adapter that a LoRA model saved, on its base checkpoint, for inference.

    base: where the base checkpoint is now, if not where it was in training. fields: of the configuration, as given in
    training (`num_labels=7`); `finetune` leaves a `config.json` beside its adapter, which has them all. Raises
    `ValueError` where the adapter is of no PrefAce model, or does not fit the base.
    """
    peft = import_peft()
    config = peft.PeftConfig.from_pretrained(folder)
    # peft writes the class of the model that was adapted into the adapter's configuration
    name = (config.auto_mapping or {}).get("base_model_class", "")
    model_class = getattr(preface_hf.modeling, name, None)
    base = base or config.base_model_name_or_path
    if model_class is None or not base:
        what = f"is of a {name!r} model, not of a PrefAce one" if model_class is None else "does not name its base"
        raise ValueError(f"the adapter in {str(folder)!r} {what}: give a PrefAce adapter and its base=checkpoint.")
    # The base first, then the adapter onto it: heads come from the adapter's file.
    if (Path(folder) / "config.json").is_file():
        fields = {"config": PrefAceConfig.from_pretrained(folder, **fields)}
    model = model_class.from_pretrained(base, **fields)
    try:
        adapted: PeftModel = peft.PeftModel.from_pretrained(model, folder).eval()
    except (RuntimeError, UnpicklingError) as error:
        reason = why_unopened(error)
        raise ValueError(
            f"the adapter in {str(folder)!r} does not fit {str(base)!r} ({reason}): give the base and the fields, "
            f"such as num_labels, that it was trained with."
        ) from error
    check_finite(adapted)
    return adapted


def import_peft() -> Any:
    """The module `peft`; `ImportError` with the command that installs it."""
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        raise ImportError("LoRA needs peft: pip install preface-hf[peft]") from error
