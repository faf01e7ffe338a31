"""Recipes: which media a source holds, and their labels. A recipe is `recipe(src, media) -> Listing`.

A new data set is one function in the file of its kind and one line in `_LAYOUTS`; docs/recipes.md lists them all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from preface_hf.recipes.acted_sets import crema_d, mead, ravdess
from preface_hf.recipes.attribute_sets import celeba, lfw, lfwa
from preface_hf.recipes.base import (
    MEDIA,
    SIDECARS,
    Item,
    Label,
    Listing,
    media_root,
    split_hash,
    subject_split,
    with_free_names,
    with_left_out,
)
from preface_hf.recipes.csv_table import table
from preface_hf.recipes.deepfake_sets import dfdc, faceforensics
from preface_hf.recipes.expression_sets import affectnet, ck_plus, fer2013, raf_db
from preface_hf.recipes.folder import METADATA, folder
from preface_hf.recipes.hub import hub
from preface_hf.recipes.landmark_sets import three_hundred_w, wflw
from preface_hf.recipes.speech_sets import grid, lrs2
from preface_hf.recipes.video_sets import celebv_hq, cmu_mosei, voxceleb2, youtube_faces


# Of data sets in the layout of their owners.
_LAYOUTS: dict[str, Callable[[Path, str], Listing]] = {
    "youtube-faces": youtube_faces,
    "voxceleb2": voxceleb2,
    "celebv-hq": celebv_hq,
    "cmu-mosei": cmu_mosei,
    "faceforensics": faceforensics,
    "dfdc": dfdc,
    "lrs2": lrs2,
    "grid": grid,
    "crema-d": crema_d,
    "ravdess": ravdess,
    "mead": mead,
    "ck-plus": ck_plus,
    "fer2013": fer2013,
    "raf-db": raf_db,
    "affectnet": affectnet,
    "celeba": celeba,
    "lfw": lfw,
    "lfwa": lfwa,
    "300w": three_hundred_w,
    "wflw": wflw,
}
# `folder` and `csv` list what they pass over themselves, `hub` walks no folder; `with_left_out` does it for the rest.
_ALL: dict[str, Callable[[Path, str], Listing]] = {
    "folder": folder,
    "csv": table,
    "hub": hub,
    **{name: with_left_out(recipe) for name, recipe in _LAYOUTS.items()},
}
RECIPES = {name: with_free_names(recipe) for name, recipe in _ALL.items()}

__all__ = [
    "MEDIA",
    "METADATA",
    "RECIPES",
    "SIDECARS",
    "Item",
    "Label",
    "Listing",
    "folder",
    "media_root",
    "split_hash",
    "subject_split",
]
