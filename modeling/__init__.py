"""What travels with a checkpoint. Import these names from `preface_hf`."""

from .configuration_preface import PRESETS, PrefAceConfig
from .lipsync_preface import PrefAceForLipSync, PrefAceForLipSyncOutput, PrefAceLipSyncConfig
from .modeling_preface import (
    PrefAceForLandmarkDetection,
    PrefAceForVideoClassification,
    PrefAceLandmarkDetectionOutput,
    PrefAceModel,
    PrefAceModelOutput,
    PrefAcePreTrainedModel,
)
from .pretraining_preface import PrefAceForPreTraining, PrefAceForPreTrainingOutput
from .sync_preface import PrefAceSyncConfig, PrefAceSyncModel, PrefAceSyncOutput
from .video_processing_preface import PrefAceVideoProcessor


__all__ = [
    "PRESETS",
    "PrefAceConfig",
    "PrefAceForLandmarkDetection",
    "PrefAceForLipSync",
    "PrefAceForLipSyncOutput",
    "PrefAceForPreTraining",
    "PrefAceForPreTrainingOutput",
    "PrefAceForVideoClassification",
    "PrefAceLandmarkDetectionOutput",
    "PrefAceLipSyncConfig",
    "PrefAceModel",
    "PrefAceModelOutput",
    "PrefAcePreTrainedModel",
    "PrefAceSyncConfig",
    "PrefAceSyncModel",
    "PrefAceSyncOutput",
    "PrefAceVideoProcessor",
]
