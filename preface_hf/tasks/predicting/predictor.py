"""A fine-tuned checkpoint on the windows of a video: probabilities, numbers, or the points of every frame."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

from preface_hf.faces.squares import from_square
from preface_hf.features.encoders import Encoder
from preface_hf.files import is_missing, packaged, why_unopened
from preface_hf.modeling import (
    PrefAceConfig,
    PrefAceForLandmarkDetection,
    PrefAceForVideoClassification,
    PrefAceVideoProcessor,
)
from preface_hf.modeling.loading_preface import check_weights
from preface_hf.modeling.video_inputs_preface import clip_indices
from preface_hf.video.windows import Window


HEADS: dict[str, Any] = {
    model.__name__: model for model in (PrefAceForVideoClassification, PrefAceForLandmarkDetection)
}


class Predictor(Encoder):
    """An encoder with a trained head. Called with clips it gives `(clips, names)`, or `(clips, frames, points, 2)` in
    pixels of the model's input where it finds landmarks."""

    @property
    def finds_landmarks(self) -> bool:
        """Whether it gives points rather than scores."""
        return isinstance(self.model, PrefAceForLandmarkDetection)

    @property
    def problem(self) -> str:
        """What its scores are: of one label, of labels each by itself, or numbers."""
        # A model that was trained by a loop of its own may not say.
        several = self.model.config.num_labels > 1
        return self.model.config.problem_type or ("single_label_classification" if several else "regression")

    @property
    def names(self) -> list[str]:
        """What its outputs are called, in their order."""
        return [str(self.model.config.id2label[number]) for number in range(self.model.config.num_labels)]

    @property
    def clip(self) -> tuple[int, int]:
        """As of `Encoder`; for landmarks a window holds all its frames, as each of them has points of its own."""
        frames, rate = super().clip
        return (frames * rate, 1) if self.finds_landmarks else (frames, rate)

    @torch.inference_mode()
    def __call__(self, clips: list[np.ndarray]) -> np.ndarray:
        """Clips, uint8 `(frames, height, width, 3)` each, to float32."""
        if self.finds_landmarks:
            return self._points(clips)
        batch = self.processor(clips, do_sample_frames=False, return_tensors="pt").to(self.device)
        logits = self.model(**batch).logits.float()  # (clips, names)
        if self.problem == "single_label_classification":
            logits = logits.softmax(dim=-1)
        elif self.problem == "multi_label_classification":
            logits = logits.sigmoid()
        return logits.cpu().numpy()

    def _points(self, clips: list[np.ndarray]) -> np.ndarray:
        # The model has learned from every `rate`-th frame: so many clips that interleave show it every frame.
        rate = self.processor.sampling_rate
        parts = [clip[phase::rate] for clip in clips for phase in range(rate)]
        batch = self.processor(parts, do_sample_frames=False, return_tensors="pt").to(self.device)
        points = self.model(**batch).landmarks.float().cpu()  # (clips * rate, frames, points, 2)
        return points.unflatten(0, (-1, rate)).transpose(1, 2).flatten(1, 2).numpy()

    def in_source(self, points: np.ndarray, window: Window) -> np.ndarray:
        """Points `(sampled frames, points, 2)` in pixels of the model's input to pixels of the video, one set for each
        of the window's frames: `(frames, points, 2)`."""
        count = window.stop - window.start
        # A short window shows frames more than once: their points are averaged.
        shown = clip_indices(count, len(points), 1)
        mean = np.zeros((count, *points.shape[1:]), np.float32)
        np.add.at(mean, shown, points)
        mean /= np.bincount(shown, minlength=count)[:, None, None]
        mean = self._in_crop(mean, *window.frames.shape[1:3])
        if window.squares is None:
            return mean
        side = window.frames.shape[2]
        return np.stack([from_square(*pair, side) for pair in zip(mean, window.squares, strict=True)])

    def _in_crop(self, points: np.ndarray, height: int, width: int) -> np.ndarray:
        """Points in pixels of the model's input to those of the frame that the processor made it of."""
        processor, shape = self.processor, np.array([width, height])
        resized = shape
        if processor.do_resize:
            size = processor.size
            edge = size["shortest_edge"]
            resized = (shape * (edge / shape.min())).round() if edge else np.array([size["width"], size["height"]])
        if processor.do_center_crop:
            points = points + (resized - [processor.crop_size["width"], processor.crop_size["height"]]) // 2
        return ((points + 0.5) * (shape / resized) - 0.5).astype(np.float32)


def load_predictor(run: str | Path) -> Predictor:
    """Open a fine-tuned checkpoint: a folder, a Hub name or `default`; `ValueError` where it is none, or has no head
    that was trained."""
    run = packaged(run, "landmarks")
    problem = f"cannot open {str(run)!r} as a fine-tuned model"
    if is_missing(run):
        raise ValueError(f"{problem} (there is no such folder): give the folder that fine-tuning has saved.")
    try:
        named = PrefAceConfig.from_pretrained(run).architectures
        if not named:
            raise Untrained(
                f"{str(run)!r} holds no model yet: its fine-tuning has not ended, so give its command with --resume."
            )
        if named[0] not in HEADS:
            raise Untrained(f"{str(run)!r} holds {named[0]}, which has no head that predicts: fine-tune it first.")
        model, info = HEADS[named[0]].from_pretrained(run, output_loading_info=True)
        if lost := sorted(name for name in info["missing_keys"] if not name.startswith("preface.")):
            raise Untrained(f"{str(run)!r} holds no {lost[0]}, a weight of the head: fine-tune it first.")
        check_weights(model, info["missing_keys"])
        return Predictor(model, PrefAceVideoProcessor.from_pretrained(run), Path(run).name)
    except Untrained:
        raise
    except (OSError, ValueError, UnpicklingError) as error:
        raise ValueError(f"{problem} ({why_unopened(error)}): give the folder that fine-tuning has saved.") from error


class Untrained(ValueError):
    """A checkpoint that is whole, but of an encoder alone."""
