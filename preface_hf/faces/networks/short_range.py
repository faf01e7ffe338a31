"""BlazeFace for short range: the angle and the extent of a face in a crop, and how sure it is of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preface_hf.faces.networks import FOLDER, Network
from preface_hf.faces.squares import overlap
from preface_hf.faces.turned_squares import TurnedSquare, carry


SIZE = 128
# The anchors: on each of these grids (cells a side) so many at each cell's center.
GRIDS = ((16, 2), (8, 6))
# Anchors whose boxes overlap the surest one by this intersection over union are averaged with it.
SAME_FACE = 0.3


@dataclass(frozen=True)
class Find:
    """The face in a square: the square that the mesh wants of it, and the score in [0, 1]."""

    square: TurnedSquare
    score: float


class ShortRange:
    """The network that ships with the package."""

    def __init__(self) -> None:
        self._network = Network(FOLDER / "short.onnx")
        self._anchors = anchors()  # (896, 2)

    def __call__(self, pixels: np.ndarray, square: TurnedSquare) -> Find:
        """The surest face in the pixels uint8 `(128, 128, 3)`, which were cut out as `square`."""
        values = (pixels.transpose(2, 0, 1)[None] / np.float32(127.5)) - np.float32(1)
        offsets, scores = self._network(values)
        offsets, scores = offsets.reshape(-1, 8, 2), scores.ravel()  # (896, 8, 2): center, size, six points
        best = int(scores.argmax())
        near = scores > scores[best] - 3  # in logits; the rest would weigh nothing
        # everything in pixels of the square
        centers = offsets[near, 0] + self._anchors[near] * SIZE
        sizes = offsets[near, 1]
        eyes = offsets[near, 2:4] + self._anchors[near, None] * SIZE
        boxes = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1)
        same = [overlap(box, boxes[near[:best].sum()]) > SAME_FACE for box in boxes]
        chances = 1 / (1 + np.exp(-scores[near].astype(np.float64)))
        weights = chances * same / (chances * same).sum()
        center, size = weights @ centers, weights @ sizes
        right, left = np.tensordot(weights, eyes, 1)  # the subject's; `right` is left in an upright picture
        matrix, step = square.matrix(SIZE), square.side / SIZE
        angle = square.angle + float(np.arctan2(*(left - right)[::-1]))
        # pixel centers: the network counts from the crop's edge
        place = carry(center[None] - 0.5, matrix)[0]
        return Find(TurnedSquare(place, 1.5 * float(size.max()) * step, angle), float(chances.max()))


def anchors() -> np.ndarray:
    """The centers of the anchors in shares of the picture, float64 `(896, 2)`, row by row."""
    found = []
    for cells, count in GRIDS:
        places = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(places, places, indexing="ij")
        found.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), count, axis=0))
    return np.concatenate(found)
