"""What turns a clip into one vector: a checkpoint, the same model before training, or its pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch

from preface_hf.files import is_missing, packaged, why_unopened
from preface_hf.modeling import PrefAceModel, PrefAceVideoProcessor
from preface_hf.modeling.modeling_preface import PrefAcePreTrainedModel


# Clips `(batch, frames, height, width, 3)` uint8 to features `(batch, width)` float32.
Encode = Callable[[list[np.ndarray]], np.ndarray]


def best_device() -> str:
    """Where models run outside of training: on a GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class Encoder:
    """A checkpoint on clips that are already cut to its number of frames; `name` is printed in tables."""

    def __init__(self, model: PrefAcePreTrainedModel, processor: PrefAceVideoProcessor, name: str):
        self.device = best_device()
        self.model, self.processor, self.name = model.eval().to(self.device), processor, name

    @property
    def clip(self) -> tuple[int, int]:
        """Frames of a clip, and every how many-th frame of the video they are."""
        return self.processor.num_frames, self.processor.sampling_rate

    @torch.inference_mode()
    def __call__(self, clips: list[np.ndarray]) -> np.ndarray:
        """Clips, uint8 `(frames, height, width, 3)` each, to float32 `(clips, hidden_size)`."""
        # The clips are cut in time already: the processor only resizes and normalizes them.
        batch = self.processor(clips, do_sample_frames=False, return_tensors="pt").to(self.device)
        return self.model(**batch).pooler_output.float().cpu().numpy()


def load_encoder(path: str | Path) -> Encoder:
    """Open a checkpoint folder, a Hub name or `default`; raises `ValueError` if it holds no PrefAce model."""
    path = packaged(path)
    if is_missing(path):
        raise ValueError(
            f"cannot open {str(path)!r} as a model (there is no such folder): give the `final` folder of a run."
        )
    try:
        model = PrefAceModel.from_pretrained(path)
        processor = PrefAceVideoProcessor.from_pretrained(path)
    except (OSError, ValueError, UnpicklingError) as error:
        raise ValueError(
            f"cannot open {str(path)!r} as a model ({why_unopened(error)}): give the `final` folder of a run."
        ) from error
    return Encoder(model, processor, Path(path).name)


def random_encoder(like: Encoder, seed: int = 0) -> Encoder:
    """The same architecture with initial weights drawn from `seed`."""
    with torch.random.fork_rng():  # the caller's own generators stay where they are
        torch.manual_seed(seed)
        return Encoder(PrefAceModel(like.model.config), like.processor, "random encoder")


def pixel_encoder(clips: list[np.ndarray], side: int = 16) -> np.ndarray:
    """The mean frame of each clip at `side`² RGB in [0, 1]: `(batch, side * side * 3)`."""
    frames = torch.stack([torch.from_numpy(clip).float().mean(dim=0) / 255 for clip in clips]).permute(0, 3, 1, 2)
    small = torch.nn.functional.interpolate(frames, size=(side, side), mode="bilinear", antialias=True)
    return small.flatten(1).numpy()  # (batch, 3 * side * side)
