"""The `face-alignment` package as a landmarker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from preface_hf.faces.squares import resized


DETECTORS = ("sfd", "blazeface", "retinaface", "yunet", "scrfd", "dlib")
# The detector sees a larger frame with its long side at this many pixels.
DETECTION_SIDE = 640


class FaceAlignmentLandmarker:
    """The `face-alignment` package: one of its detectors and the FAN network, downloaded by it at first use.

    `device` None is the first CUDA device where there is one, else the CPU (about a second a face). On an accelerator
    the network runs in bfloat16 and 16 faces at once. Raises `ValueError` where the package or its networks are out
    of reach.
    """

    name = "face-alignment"

    def __init__(self, detector: str = "sfd", device: str | None = None):
        if detector not in DETECTORS:
            raise ValueError(f"unknown detector face-alignment:{detector}: choose one of {', '.join(DETECTORS)}")
        try:
            import face_alignment
            import torch
        except ImportError as error:
            raise ValueError(
                "the face-alignment package is not installed: pip install 'preface-hf[face-alignment]'"
            ) from error
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        # on a CPU without matrix units bfloat16 takes three times as long, and batches gain nothing
        self.batch_size, dtype = (1, torch.float32) if device == "cpu" else (16, torch.bfloat16)
        try:
            self._aligner = face_alignment.FaceAlignment(
                face_alignment.LandmarksType.TWO_D,
                device=device,
                dtype=dtype,
                flip_input=False,
                face_detector=detector,
                compile=False,
            )
        except OSError as error:
            raise ValueError(
                f"face-alignment cannot fetch its networks ({error}): start it once with a network, they are kept in "
                "$TORCH_HOME/hub/checkpoints"
            ) from error
        except ImportError as error:
            raise ValueError(f"the detector face-alignment:{detector} needs more ({error}): install it") from error

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Faces, float32 `(faces, 5)`; see `Landmarker`."""
        small, factor = resized(frame, min(DETECTION_SIDE, max(frame.shape[:2])))
        faces = np.array(self._aligner.face_detector.detect_from_image(small.copy()), np.float32).reshape(-1, 5)
        return faces / np.array([factor] * 4 + [1], np.float32)

    def landmarks(self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> np.ndarray:
        """Points, float32 `(n, 68, 2)`; see `Landmarker`. The package's own, which gives whole pixels."""
        from face_alignment.utils import crop, get_preds_fromhm

        places = [self._place(box) for box in boxes]
        pixels = np.stack([crop(frame, *place) for frame, place in zip(frames, places, strict=True)])
        # a batch at a time: pixels (n, 256, 256, 3), maps (n, 68, 64, 64)
        starts = range(0, len(pixels), self.batch_size)
        maps = np.concatenate([self._heat_maps(pixels[start : start + self.batch_size]) for start in starts])
        found = [get_preds_fromhm(one[None], *place) for one, place in zip(maps, places, strict=True)]
        return np.concatenate([points for _, points, _ in found]).astype(np.float32)

    def _place(self, box: np.ndarray) -> tuple[np.ndarray, float]:
        """Center in pixels and scale of the crop that the package makes of a box."""
        from face_alignment.utils import CENTER_Y_OFFSET

        x0, y0, x1, y1 = (float(value) for value in box[:4])
        # the formulas of the package's `get_landmarks_from_image`
        center = np.array([(x0 + x1) / 2, (y0 + y1) / 2 - CENTER_Y_OFFSET * (y1 - y0)])
        return center, (x1 - x0 + y1 - y0) / self._aligner.face_detector.reference_scale

    def _heat_maps(self, pixels: np.ndarray) -> np.ndarray:
        """From crops, uint8 `(n, 256, 256, 3)`, to a map for every point, float32 `(n, 68, 64, 64)`."""
        import torch

        inputs = torch.from_numpy(pixels.transpose(0, 3, 1, 2) / np.float32(255))
        # the package has cuDNN choose by speed, and processes would not choose alike
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True):
            maps: Any = self._aligner.face_alignment_net(inputs.to(self._aligner.device, self._aligner.dtype))[-1]
        return maps.float().cpu().numpy()
