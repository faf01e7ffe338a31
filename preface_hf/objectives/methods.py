"""The pretraining methods by name: everything that a run, its plan and its report ask of one.

A new method is one file with its settings and its objective (`base.Objective`), and one entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from preface_hf.data.masked_clips import MaskConfig, MaskStream, TubeMaskConfig
from preface_hf.data.still_views import StillConfig
from preface_hf.data.streams import ClipStream, CropStream, StillStream, ViewStream
from preface_hf.data.views import TubeConfig, ViewConfig
from preface_hf.modeling import PrefAceConfig
from preface_hf.objectives.base import Neighbors, Objective, Terms
from preface_hf.objectives.collapse import self_distillation_terms
from preface_hf.objectives.costs import Costs
from preface_hf.objectives.dino import DinoObjective, DinoObjectiveConfig, dino_costs
from preface_hf.objectives.masked.cubes import reconstruct
from preface_hf.objectives.masked.marlin import MarlinObjective, MarlinObjectiveConfig, marlin_costs
from preface_hf.objectives.masked.videomae import (
    VideoMAEObjective,
    VideoMAEObjectiveConfig,
    masked_terms,
    videomae_costs,
)
from preface_hf.objectives.preface import PrefAceObjective, PrefAceObjectiveConfig, cache_neighbors, preface_costs
from preface_hf.objectives.pros import ProsObjective, ProsObjectiveConfig, pros_costs


@dataclass(frozen=True)
class Method:
    """What a method is made of.

    Attributes:
        student: the `pretraining_method` whose heads the student has.
        config: the settings of the section `objective`, a dataclass with defaults.
        views: the settings of the section `views`, likewise.
        stream: makes batches of what the objective takes.
        objective: makes the [`Objective`]; for its arguments see [`TeacherObjective`].
        costs: what a step costs, of (model, views, config, mixed precision, instances).
        terms: how a report shows what is logged.
        all_weights_train: whether every weight of the student has a gradient with these settings, which DDP asks.
        publish: whose weights a run can end with; the first is the default.
        neighbors: which instances a checkpoint finds alike, if it has a vector for each.
        reconstruct: what a model makes of a clip with a mask, if it has a decoder; see [`reconstruct`].
        stills: whether it sees a frame of a clip, not its time: its model is then made for the shortest clip.
        heads: fields of the model's configuration that give the weights of the heads their shapes.
    """

    student: str
    config: type[Any]
    views: type[TubeConfig] | type[MaskConfig]
    stream: type[ClipStream]
    objective: Callable[..., Objective]
    costs: Callable[[PrefAceConfig, Any, Any, bool, int], Costs]
    terms: Callable[[PrefAceConfig], Terms]
    all_weights_train: Callable[[Any], bool]
    heads: tuple[str, ...]
    stills: bool = False
    publish: tuple[str, ...] = ("teacher", "student")
    neighbors: Callable[[Path, Any], Neighbors] | None = None
    reconstruct: Callable[..., dict[str, Any]] | None = None


PROTOTYPES = ("projector_hidden_size", "projector_output_size", "num_prototypes")
DECODER = (
    "decoder_hidden_size",
    "decoder_num_hidden_layers",
    "decoder_num_attention_heads",
    "decoder_intermediate_size",
)

MARLIN = Method(
    student="marlin",
    config=MarlinObjectiveConfig,
    views=MaskConfig,
    stream=MaskStream,
    objective=MarlinObjective,
    costs=marlin_costs,
    terms=masked_terms,
    all_weights_train=lambda config: True,
    heads=DECODER,
    publish=("student",),
    reconstruct=reconstruct,
)

DINO = Method(
    student="dino",
    config=DinoObjectiveConfig,
    views=TubeConfig,
    stream=CropStream,
    objective=DinoObjective,
    costs=dino_costs,
    terms=self_distillation_terms,
    all_weights_train=lambda config: True,
    heads=PROTOTYPES,
)

METHODS = {
    "preface": Method(
        student="preface",
        config=PrefAceObjectiveConfig,
        views=ViewConfig,
        stream=ViewStream,
        objective=PrefAceObjective,
        costs=preface_costs,
        terms=self_distillation_terms,
        # L_ID alone reaches the projector of the cache: without it that projector has no gradient.
        all_weights_train=lambda config: bool(config.instance_weight),
        heads=(*PROTOTYPES, "facefeat_size"),
        neighbors=cache_neighbors,
    ),
    # On stills, with a loss of its own.
    "pros": replace(
        DINO,
        student="pros",
        config=ProsObjectiveConfig,
        views=StillConfig,
        stream=StillStream,
        objective=ProsObjective,
        costs=pros_costs,
        stills=True,
    ),
    "dino": DINO,
    "marlin": MARLIN,
    # Without the critic, on other masks.
    "videomae": replace(
        MARLIN,
        student="videomae",
        config=VideoMAEObjectiveConfig,
        views=TubeMaskConfig,
        objective=VideoMAEObjective,
        costs=videomae_costs,
    ),
}
