"""preface_hf: PrefAce, self-supervised models of faces in video for the Hugging Face ecosystem.

Importing it registers the models with transformers' Auto classes; the names below are loaded when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from preface_hf.registration import register_when_transformers_is_there


if TYPE_CHECKING:
    from preface_hf.modeling import (
        PrefAceConfig,
        PrefAceForLandmarkDetection,
        PrefAceForLipSync,
        PrefAceForPreTraining,
        PrefAceForVideoClassification,
        PrefAceLipSyncConfig,
        PrefAceModel,
        PrefAceSyncConfig,
        PrefAceSyncModel,
        PrefAceVideoProcessor,
    )
    from preface_hf.objectives.cache.facefeat_cache import FaceFeatCache

__version__ = "0.2.0"

_HOMES = {
    "PrefAceConfig": "preface_hf.modeling",
    "PrefAceModel": "preface_hf.modeling",
    "PrefAceForPreTraining": "preface_hf.modeling",
    "PrefAceForVideoClassification": "preface_hf.modeling",
    "PrefAceForLandmarkDetection": "preface_hf.modeling",
    "PrefAceForLipSync": "preface_hf.modeling",
    "PrefAceLipSyncConfig": "preface_hf.modeling",
    "PrefAceSyncConfig": "preface_hf.modeling",
    "PrefAceSyncModel": "preface_hf.modeling",
    "PrefAceVideoProcessor": "preface_hf.modeling",
    "FaceFeatCache": "preface_hf.objectives.cache.facefeat_cache",
}

__all__ = [
    "FaceFeatCache",
    "PrefAceConfig",
    "PrefAceForLandmarkDetection",
    "PrefAceForLipSync",
    "PrefAceForPreTraining",
    "PrefAceForVideoClassification",
    "PrefAceLipSyncConfig",
    "PrefAceModel",
    "PrefAceSyncConfig",
    "PrefAceSyncModel",
    "PrefAceVideoProcessor",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'preface_hf' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


register_when_transformers_is_there()
