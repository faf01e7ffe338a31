"""Everything that draws. The names below are one call each, and loaded when first used.

`*_picture` gives a Pillow image, `*_figure` a figure of matplotlib, `*_video` the bytes of an mp4. Some read the
folder of a run: they lie beside what reads it, in rooms further down, and are offered here.
"""

import importlib
from typing import Any


HOMES = {
    "attention_maps": "preface_hf.pictures.maps",
    "attention_picture": "preface_hf.pictures.maps",
    "comparison_figure": "preface_hf.pictures.scores",
    "confusion_figure": "preface_hf.pictures.charts",
    "contact_sheet": "preface_hf.pictures.sheets",
    "faces_picture": "preface_hf.pictures.faces",
    "features_figure": "preface_hf.pictures.plane",
    "few_labels_figure": "preface_hf.tasks.results.comparing",
    "methods_figure": "preface_hf.tasks.results.comparing",
    "neighbors_picture": "preface_hf.training.gallery",
    "prototypes_picture": "preface_hf.training.gallery",
    "reconstructions_picture": "preface_hf.training.gallery",
    "shares_figure": "preface_hf.pictures.scores",
    "timeline_figure": "preface_hf.pictures.timeline",
    "token_colors": "preface_hf.pictures.maps",
    "tokens_picture": "preface_hf.pictures.maps",
    "tubes_picture": "preface_hf.pictures.tubes",
    "tubes_video": "preface_hf.pictures.tubes",
    "Score": "preface_hf.pictures.scores",
}

__all__ = list(HOMES)


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'preface_hf.pictures' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
