"""What travels with a checkpoint. Import these names from `preface_hf`."""

from .configuration_preface import PrefAceConfig
from .modeling_preface import PrefAceModel, PrefAceModelOutput, PrefAcePreTrainedModel
from .pretraining_preface import PrefAceForPreTraining, PrefAceForPreTrainingOutput
from .video_processing_preface import PrefAceVideoProcessor


__all__ = [
    "PrefAceConfig",
    "PrefAceForPreTraining",
    "PrefAceForPreTrainingOutput",
    "PrefAceModel",
    "PrefAceModelOutput",
    "PrefAcePreTrainedModel",
    "PrefAceVideoProcessor",
]
