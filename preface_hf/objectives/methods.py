"""The pretraining methods by name: everything that a run, its plan and its report ask of one.

A new method is one file with its settings and its objective (`base.Objective`), and one entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from preface_hf.data.masked_clips import MaskConfig, MaskStream, TubeMaskConfig
from preface_hf.data.still_views import StillConfig
from preface_hf.data.streams import ClipStream, CropStream, StillStream, ViewStream
from preface_hf.data.views import TubeConfig, ViewConfig
from preface_hf.modeling import PrefAceConfig
from preface_hf.objectives.base import Groups, Neighbors, Objective, Terms
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
from preface_hf.objectives.pros import ProsObjective, ProsObjectiveConfig, pros_costs, prototype_faces


# Of each head that a student may have, the fields of the model's configuration that give its weights their shapes.
HEADS = {
    "projector": ("projector_hidden_size", "projector_output_size"),
    "prototypes": ("projector_output_size", "num_prototypes"),
    "facefeat_projector": ("projector_hidden_size", "facefeat_size"),
    "decoder": (
        "decoder_hidden_size",
        "decoder_num_hidden_layers",
        "decoder_num_attention_heads",
        "decoder_intermediate_size",
    ),
}


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
        groups: which clips a model sorts together, if it does; see [`prototype_faces`].
        reconstruct: what a model makes of a clip with a mask, if it has a decoder; see [`reconstruct`].
        model: fields of the model's configuration, over those of its size.
    """

    student: str
    config: type[Any]
    views: type[TubeConfig] | type[MaskConfig]
    stream: type[ClipStream]
    objective: Callable[..., Objective]
    costs: Callable[[PrefAceConfig, Any, Any, bool, int], Costs]
    terms: Callable[[PrefAceConfig], Terms]
    all_weights_train: Callable[[Any], bool]
    model: Mapping[str, Any] = field(default_factory=dict)
    publish: tuple[str, ...] = ("teacher", "student")
    neighbors: Callable[[Path, Any], Neighbors] | None = None
    groups: Callable[..., Groups] | None = None
    reconstruct: Callable[..., dict[str, Any]] | None = None

    @property
    def heads(self) -> tuple[str, ...]:
        """Fields of the model's configuration that give the weights of the student's heads their shapes."""
        fields = [HEADS[name] for name in PrefAceConfig(pretraining_method=self.student).pretraining_heads]
        return tuple(dict.fromkeys(name for some in fields for name in some))


MARLIN = Method(
    student="marlin",
    config=MarlinObjectiveConfig,
    views=MaskConfig,
    stream=MaskStream,
    objective=MarlinObjective,
    costs=marlin_costs,
    terms=masked_terms,
    all_weights_train=lambda config: True,
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
        groups=prototype_faces,
        model={"num_frames": 2, "num_prototypes": 1024},  # a still is the shortest clip there is (K: not stated, MSN)
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
