"""FID: how far generated pictures are from real ones as a whole, in the features of a network that it names."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import datasets
import evaluate
import numpy as np
import torch

from preface_hf.files import packaged


PICTURE = datasets.Sequence(datasets.Sequence(datasets.Sequence(datasets.Value("uint8"))))
BATCH = 32
LEAST = 2  # pictures of each kind


class FID(evaluate.Metric):
    """Frechet distance of the features of pictures (Heusel et al. 2017), by torchmetrics.

    Predictions and references are generated and real pictures, uint8 `(n, height, width, 3)`, as many of one as of the
    other, which need not be pairs. One of two networks makes the features, and `features` of the result names it:

    * `inception`: file of the weights that published FIDs are of (torch-fidelity's `weights-inception-2015-12-05`).
    * `encoder`: where these are not at hand, a PrefAce checkpoint, a folder, Hub name or `default`. Such values
      compare with others of the same checkpoint only.

    `fid` is 0 for the same pictures. Few pictures make it larger: compare equal `count`s.
    Raises `ValueError` without a network, with both, or for fewer than 2 pictures.
    """

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"predictions": PICTURE, "references": PICTURE})
        return evaluate.MetricInfo(description="Frechet distance of features.", citation="", features=features)

    def _compute(
        self, predictions: Sequence[Any], references: Sequence[Any], inception: Any = None, encoder: Any = None
    ) -> dict[str, Any]:
        from torchmetrics.image.fid import FrechetInceptionDistance

        if (inception is None) == (encoder is None):
            raise ValueError(
                "FID needs one network of features: give inception=FILE of its weights, or encoder=CHECKPOINT, which "
                "is another measure and is named as such."
            )
        found, real = (pictures_of(pictures) for pictures in (predictions, references))
        if inception is not None:
            measure: Any = FrechetInceptionDistance(2048, feature_extractor_weights_path=weights_file(inception))
            name = f"Inception v3 ({Path(inception).name})"
        else:
            measure = FrechetInceptionDistance(EncoderFeatures(encoder))
            name = f"PrefAce encoder {encoder}, no Inception"
        with torch.inference_mode():
            for pictures, is_real in ((found, False), (real, True)):
                for part in pictures.split(BATCH):
                    measure.update(part, real=is_real)
            value = float(measure.compute())
        return {"fid": value, "features": name, "count": len(found)}


def pictures_of(pictures: Sequence[Any]) -> torch.Tensor:
    """Pictures uint8 `(n, 3, height, width)`; `ValueError` for other shapes, and fewer than two."""
    values = np.asarray(pictures, np.uint8)
    if values.ndim != 4 or values.shape[3] != 3 or len(values) < LEAST:
        raise ValueError(f"pictures of shape {values.shape} have no FID: give uint8 (2 or more, height, width, 3).")
    return torch.from_numpy(values).permute(0, 3, 1, 2).contiguous()


def weights_file(file: str | Path) -> str:
    """The file of Inception's weights; `ValueError` where it is missing, or what reads it is."""
    if find_spec("torch_fidelity") is None:
        raise ValueError("FID by Inception needs torch-fidelity: pip install torch-fidelity, or give encoder=.")
    if not Path(file).is_file():
        raise ValueError(f"there is no file {str(file)!r} of Inception's weights: give one, or encoder=CHECKPOINT.")
    return str(file)


class EncoderFeatures(torch.nn.Module):
    """The pooled features of a PrefAce encoder of stills, each shown for the frames of one tubelet."""

    def __init__(self, checkpoint: str | Path):
        super().__init__()
        from preface_hf.modeling import PrefAceModel, PrefAceVideoProcessor

        checkpoint = packaged(checkpoint)
        self.model = PrefAceModel.from_pretrained(checkpoint).eval()
        processor = PrefAceVideoProcessor.from_pretrained(checkpoint)
        self.mean, self.std = (torch.tensor(v)[:, None, None] for v in (processor.image_mean, processor.image_std))
        self.num_features = self.model.config.hidden_size

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Features `(n, D)` of uint8 `(n, 3, height, width)`."""
        config = self.model.config
        pixels = torch.nn.functional.interpolate(
            pictures.float() / 255, size=(config.image_size,) * 2, mode="bilinear", antialias=True
        )
        clips = ((pixels - self.mean) / self.std)[:, None].expand(-1, config.tubelet_size, -1, -1, -1)
        found: torch.Tensor = self.model(clips).pooler_output
        return found
