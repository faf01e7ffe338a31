"""The landmarker that needs nothing else: YuNet, BlazeFace and MediaPipe's face mesh, which ship with the package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preface_hf.faces.landmarks import NUM_LANDMARKS
from preface_hf.faces.networks import face_mesh, short_range
from preface_hf.faces.networks.yunet import DETECTION_SIDES, YuNet
from preface_hf.faces.turned_squares import Surroundings, TurnedSquare, carry, cut_turned, square_about


# Where YuNet is not as sure as this of any face, it also sees the picture turned; there it has to be as sure.
SURE_SCORE = 0.8

# The mesh sees a face twice: upright in YuNet's box (side and shift downwards in the longer side of the box), then in
# the square about the first points, turned as they are (side in their extent).
FIRST_SIDE, FIRST_DOWN, SECOND_SIDE = 1.25, 0.06, 1.5
# The mesh fits an upright face to whatever it sees. A fit is taken for right where the mesh is this sure of the first
# crop (logit) and its second look moves the points by no more than this share of the distance of the eyes. One alone
# does not tell: of faces turned by 45 degrees some pass the first, of those turned by 90 some the second.
MIN_FLAG, MAX_MOVE = 11.0, 0.05
# Else BlazeFace looks for the face at four angles, in a square of this side in the longer side of YuNet's box. That
# takes three to four times as long; few faces of real videos need it (benchmarks/results/2026-11-26-builtin.md).
SEARCH_SIDE, SEARCH_ANGLES = 1.6, (0.0, np.pi / 2, -np.pi / 2, np.pi)


@dataclass(frozen=True)
class Fit:
    """The mesh of a face: points `(468, 2)` in pixels of its surroundings, and how sure the network is (a logit)."""

    points: np.ndarray
    flag: float

    def angle(self) -> float:
        """How far the line of the eyes is turned, in radians."""
        x, y = self.points[face_mesh.LEFT_EYE] - self.points[face_mesh.RIGHT_EYE]
        return float(np.arctan2(y, x))

    def move(self, before: Fit) -> float:
        """The mean distance to the points of a fit before, in distances of the eyes."""
        eyes = np.linalg.norm(self.points[face_mesh.LEFT_EYE] - self.points[face_mesh.RIGHT_EYE])
        return float(np.linalg.norm(self.points - before.points, axis=1).mean() / max(eyes, 1e-6))


class BuiltinLandmarker:
    """A landmarker of networks under Apache-2.0, see `preface_hf/faces/networks/NOTICE`.

    Faces may be turned by any angle. Raises `ValueError` where OpenCV is missing.
    """

    name = "builtin"
    batch_size = 1  # OpenCV takes as long for a face whether 1, 4 or 16 come at once

    def __init__(self) -> None:
        self._yunet = YuNet()
        self._mesh = face_mesh.FaceMesh()
        self._short_range = short_range.ShortRange()

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Faces, float32 `(faces, 5)`; see `Landmarker`."""
        faces = self._yunet(frame)
        if len(faces) and faces[:, 4].max() >= SURE_SCORE:
            return faces
        turned = self._yunet.turned(frame, DETECTION_SIDES[0])
        return distinct(np.concatenate([faces, turned[turned[:, 4] >= SURE_SCORE]]))

    def landmarks(self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> np.ndarray:
        """Points, float32 `(n, 68, 2)`; see `Landmarker`."""
        points = [self._points(frame, box) for frame, box in zip(frames, boxes, strict=True)]
        return np.array(points, np.float32).reshape(-1, NUM_LANDMARKS, 2)

    def _points(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        around = Surroundings(frame, box, face_mesh.SIZE)
        side = float(max(box[2] - box[0], box[3] - box[1])) / around.block
        center = around.inside((box[:2] + box[2:4]) / 2)
        first = self._fit(around, TurnedSquare(center + [0, FIRST_DOWN * side], FIRST_SIDE * side))
        second = self._fit_again(around, first)
        if first.flag < MIN_FLAG or second.move(first) > MAX_MOVE:
            second = self._search(around, center, side, second)
        return face_mesh.to_ibug(around.outside(second.points))

    def _search(self, around: Surroundings, center: np.ndarray, side: float, known: Fit) -> Fit:
        """The mesh where BlazeFace finds the face at one of four angles; `known` where the mesh is surer of that."""
        squares = [TurnedSquare(center, SEARCH_SIDE * side, angle) for angle in SEARCH_ANGLES]
        crops = [cut_turned(around.pixels, square, short_range.SIZE) for square in squares]
        finds = [self._short_range(crop, square) for crop, square in zip(crops, squares, strict=True)]
        for find in sorted(finds, key=lambda find: -find.score):
            fit = self._fit_again(around, self._fit(around, find.square))
            # the surest find may be upside down; the mesh knows
            if fit.flag >= MIN_FLAG:
                return self._fit_again(around, fit)
            known = max(known, fit, key=lambda fit: fit.flag)
        return known

    def _fit(self, around: Surroundings, square: TurnedSquare) -> Fit:
        points, flags = self._mesh(cut_turned(around.pixels, square, face_mesh.SIZE)[None])
        return Fit(carry(points[0], square.matrix(face_mesh.SIZE)), float(flags[0]))

    def _fit_again(self, around: Surroundings, fit: Fit) -> Fit:
        """The mesh in the upright square about the points of a fit."""
        return self._fit(around, square_about(fit.points, fit.angle(), SECOND_SIDE))


def distinct(faces: np.ndarray) -> np.ndarray:
    """Of boxes with scores `(n, 5)` of one face, the surest: where the center of one lies in the other."""
    kept: list[np.ndarray] = []
    for face in faces[np.argsort(-faces[:, 4], kind="stable")]:
        if not any(holds(face, other) or holds(other, face) for other in kept):
            kept.append(face)
    return np.array(kept, np.float32).reshape(-1, 5)


def holds(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether the center of the other box lies in the box."""
    center = (other[:2] + other[2:4]) / 2
    return bool((box[:2] <= center).all() and (center <= box[2:4]).all())
