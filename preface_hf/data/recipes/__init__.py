"""Recipes: which media a source holds, and their labels. A recipe is `recipe(src, media) -> Listing`.

A new data set is one function in the file of its kind and one line in `RECIPES`; docs/recipes.md lists them all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .acted_sets import crema_d, mead, ravdess
from .attribute_sets import celeba, lfw, lfwa
from .base import MEDIA, Item, Label, Listing, media_root, split_hash, subject_split
from .deepfake_sets import dfdc, faceforensics
from .expression_sets import ck_plus, fer2013
from .expression_stills import affectnet, raf_db
from .folder import METADATA, SIDECARS, folder
from .hub import hub
from .landmark_sets import three_hundred_w, wflw
from .mosei import cmu_mosei
from .speech_sets import grid, lrs2
from .table import table
from .video_sets import celebv_hq, voxceleb2, youtube_faces


RECIPES: dict[str, Callable[[Path, str], Listing]] = {
    "folder": folder,
    "csv": table,
    "hub": hub,
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
