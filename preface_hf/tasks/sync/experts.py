"""What compares mouths with sound: a trained expert, or the plain measure that it has to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from transformers import AutoConfig

from preface_hf.features.encoders import best_device
from preface_hf.files import is_missing
from preface_hf.modeling import PrefAceSyncConfig, PrefAceSyncModel
from preface_hf.tasks.sync.offsets import LOUDNESS, Offsets, correlated, find_offsets
from preface_hf.tasks.sync.talks import Talk


LEAST_CORRELATION = 0.3  # of mouth opening and loudness, from which a mouth counts as the one that is heard


@dataclass(frozen=True)
class Expert:
    """`compare` gives the distances of a talk, `fits` whether these are of a voice and a mouth that belong together;
    mouths are `size` pixels wide."""

    name: str
    size: int
    compare: Callable[[Talk], Offsets]
    fits: Callable[[Offsets], bool]


def open_expert(model: str | Path | None) -> Expert:
    """The expert of a run, or the plain measure for None; `ValueError` where there is none."""
    if model is None:
        most = float(np.sqrt(2 - 2 * LEAST_CORRELATION))
        return Expert(LOUDNESS, 48, correlated, lambda found: found.distance <= most)
    trained = load_expert(model)
    return Expert(str(model), trained.config.image_size, partial(find_offsets, trained), partial(in_sync, trained))


def in_sync(model: PrefAceSyncModel, found: Offsets) -> bool:
    """Whether the model takes the windows at the best offset for pairs in sync rather than not."""
    column = int(np.nanargmin(found.mean))
    similarity = 1 - np.nanmean(found.distances[:, column] ** 2) / 2
    return bool(similarity * model.logit_scale.item() + model.logit_bias.item() > 0)


def load_expert(model: str | Path) -> PrefAceSyncModel:
    """The expert in a folder or on the Hub; `ValueError` where there is none, or another model."""
    if is_missing(model):
        raise ValueError(
            f"there is no expert in {str(model)!r}: train one by `preface-hf finetune scratch --task sync`."
        )
    kind = AutoConfig.from_pretrained(model).model_type
    if kind != PrefAceSyncConfig.model_type:
        raise ValueError(
            f"{str(model)!r} holds a {kind!r} model and no sync expert: give the run of a `finetune --task sync`, or "
            f"train one: `preface-hf finetune scratch --task sync`."
        )
    expert: PrefAceSyncModel = PrefAceSyncModel.from_pretrained(model)
    return expert.to(best_device())  # type: ignore[arg-type]
