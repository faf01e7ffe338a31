"""BlazeFace for short range: the angle and the extent of a face in a crop, and how sure the network is of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preface_hf.faces.networks import FOLDER, Network
from preface_hf.faces.squares import overlap
from preface_hf.faces.turned_squares import TurnedSquare, carry


SIZE = 128
# The anchors: (cells a side, anchors at the center of each cell), 512 and 384 of them.
GRIDS = ((16, 2), (8, 6))
# Anchors are averaged with the surest one where their boxes overlap by this intersection over union, unless they are
# so many logits less sure that they would weigh nothing.
SAME_FACE, MARGIN = 0.3, 3.0
# The square that the mesh is to see: its side in the longer side of the network's box.
MESH_SIDE = 1.5


@dataclass(frozen=True)
class Find:
    """The face in a square: the square that the mesh is to see, turned as the face is, and the score in [0, 1]."""

    square: TurnedSquare
    score: float


class ShortRange:
    """The network that ships with the package."""

    def __init__(self) -> None:
        self._network = Network(FOLDER / "short.onnx")
        self._anchors = anchors()

    def __call__(self, pixels: np.ndarray, square: TurnedSquare) -> Find:
        """The surest face in pixels uint8 `(128, 128, 3)`, which were cut out as `square`."""
        values = pixels.transpose(2, 0, 1)[None] / np.float32(127.5) - np.float32(1)
        offsets, scores = self._network(values)  # (1, 896, 16), (1, 896, 1)
        face = surest(offsets.reshape(-1, 8, 2).astype(np.float64), scores.ravel(), self._anchors)
        center, size, right_eye, left_eye = face[:4]
        x, y = left_eye - right_eye  # the subject's left is on the right of an upright picture
        # the network counts from the crop's edge, a square's matrix from the centers of pixels
        place = carry(center[None] - 0.5, square.matrix(SIZE))[0]
        side = MESH_SIDE * float(size.max()) * square.side / SIZE
        score = 1 / (1 + np.exp(-float(scores.max())))
        return Find(TurnedSquare(place, side, square.angle + float(np.arctan2(y, x))), score)


def surest(offsets: np.ndarray, scores: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The surest face, averaged with the anchors that see the same one: `(8, 2)` center, size, then six points (eyes,
    nose, mouth, ears) in pixels of the crop.

    Args:
        offsets: what each anchor says, `(anchors, 8, 2)`, relative to its place but for the size.
        scores: how sure it is, a logit, `(anchors,)`.
        places: centers of the anchors in shares of the picture, `(anchors, 2)`.
    """
    near = np.flatnonzero(scores >= scores.max() - MARGIN)
    faces = offsets[near]  # (near, 8, 2)
    points = [0, *range(2, 8)]
    faces[:, points] += SIZE * places[near, None]
    centers, halves = faces[:, 0], faces[:, 1] / 2
    boxes = np.concatenate([centers - halves, centers + halves], axis=1)
    best = boxes[scores[near].argmax()]
    same = np.array([overlap(box, best) > SAME_FACE for box in boxes])
    weights = same / (1 + np.exp(-scores[near].astype(np.float64)))
    if not weights.any():  # boxes without an area
        weights = (scores[near] == scores.max()).astype(np.float64)
    return np.tensordot(weights / weights.sum(), faces, 1)


def anchors() -> np.ndarray:
    """The centers of the anchors in shares of the picture, row by row, float64 `(896, 2)`."""
    found = []
    for cells, count in GRIDS:
        places = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(places, places, indexing="ij")
        found.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), count, axis=0))
    return np.concatenate(found)
