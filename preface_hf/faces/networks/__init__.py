"""Three small networks that ship with the package: they find faces and their points without a download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from preface_hf.faces.squares import import_cv2


FOLDER = Path(__file__).parent


class Network:
    """A network that OpenCV runs on its CPU threads.

    OpenCV gives the points of onnxruntime to 1e-6, and was ten times as fast on some processors.
    """

    def __init__(self, file: Path):
        cv2 = import_cv2()
        quiet(cv2)
        self._network = cv2.dnn.readNetFromONNX(str(file))
        self._outputs = self._network.getUnconnectedOutLayersNames()

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        """The outputs for an input float32 `(n, 3, height, width)`, the largest first."""
        self._network.setInput(pixels)
        outputs = [np.asarray(output) for output in self._network.forward(self._outputs)]
        return sorted(outputs, key=lambda output: -output.size)


def quiet(cv2: Any) -> None:
    """Keep OpenCV from printing that it tries its older reader, or that it has no use for a target."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
