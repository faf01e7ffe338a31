"""The faces of each frame: by detector and landmark network, or from landmarks that came with the data."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from preface_hf.faces.cuts import CutFinder
from preface_hf.faces.landmarkers import Landmarker
from preface_hf.faces.squares import overlap


# Faces narrower than this many pixels of the video are left aside.
MIN_WIDTH = 16
# A face is the same as in the detection before where their boxes overlap by this intersection over union.
MIN_IOU = 0.3


@dataclass
class Face:
    """One face in one frame: box `(4,)` x0, y0, x1, y1 and landmarks `(68, 2)`, both in pixels of the frame, and the
    detector's score in [0, 1]."""

    box: np.ndarray
    landmarks: np.ndarray
    score: float = 1.0


@dataclass
class FrameFaces:
    """The faces of one frame, largest first, and whether a new shot begins with it."""

    faces: list[Face] = field(default_factory=list)
    cut: bool = False


# Boxes `(4,)` with their scores; those of one frame, with the frame and whether a new shot begins with it.
Boxes = list[tuple[np.ndarray, float]]
FrameBoxes = tuple[np.ndarray, Boxes, bool]


def detect_faces(frames: Iterable[np.ndarray], landmarker: Landmarker, detect_every: int = 1) -> Iterator[FrameFaces]:
    """The faces of each frame.

    With `detect_every` k, the detector sees every k-th frame and the first and last of each shot; between two
    detections of the same faces their boxes are interpolated, and the landmark network sees every frame. Holds
    `detect_every` + `landmarker.batch_size` frames at most; which of them go through the network together, the frames
    alone decide.
    """
    block: list[FrameBoxes] = []
    for boxes in find_boxes(frames, landmarker, detect_every):
        block.append(boxes)
        if len(block) == landmarker.batch_size:
            yield from find_landmarks(block, landmarker)
            block = []
    yield from find_landmarks(block, landmarker)


def find_boxes(frames: Iterable[np.ndarray], landmarker: Landmarker, detect_every: int) -> Iterator[FrameBoxes]:
    """The boxes of each frame, detected or interpolated; see `detect_faces`."""
    finder = CutFinder()
    interval: list[np.ndarray] = []  # the frames since the last detection
    before: Boxes = []
    cut = False
    for frame in frames:
        new_shot = finder(frame)
        # The last frame of a shot is detected too, so that nothing is interpolated over a cut.
        if interval and (new_shot or len(interval) == detect_every):
            before = yield from interval_boxes(interval, before, landmarker, cut)
            interval, cut = [], False
        if new_shot:
            before, cut = [], True
        interval.append(frame)
        if not before:  # while there is no face, every frame is searched
            before = yield from interval_boxes(interval, before, landmarker, cut)
            interval, cut = [], False
    if interval:
        yield from interval_boxes(interval, before, landmarker, cut)


def interval_boxes(
    interval: list[np.ndarray], before: Boxes, landmarker: Landmarker, cut: bool
) -> Generator[FrameBoxes, None, Boxes]:
    """The boxes of the frames since the last detection, the last of them detected anew; returns its boxes.

    Where somebody came, went or moved far, the detector sees the frames between as well.
    """
    boxes = detect(interval[-1], landmarker)
    pairs = [(old, new) for old in before for new in boxes if overlap(old[0], new[0]) >= MIN_IOU]
    same_faces = len(pairs) == len(before) == len(boxes)
    for number, frame in enumerate(interval[:-1], start=1):
        part = number / len(interval)  # of the way from the last detection to this one
        between = [(old[0] + part * (new[0] - old[0]), min(old[1], new[1])) for old, new in pairs]
        yield frame, between if same_faces else detect(frame, landmarker), False
    yield interval[-1], boxes, cut
    return boxes


def detect(frame: np.ndarray, landmarker: Landmarker) -> Boxes:
    """Boxes `(4,)` and scores of the faces of a frame, largest first."""
    found = landmarker.detect(frame)
    widths = found[:, 2] - found[:, 0]
    order = [index for index in np.argsort(-widths, kind="stable") if widths[index] >= MIN_WIDTH]
    return [(found[index, :4], float(found[index, 4])) for index in order]


def find_landmarks(block: list[FrameBoxes], landmarker: Landmarker) -> Iterator[FrameFaces]:
    """The faces of a few frames, the landmarks of all of them found at once."""
    frames = [frame for frame, found, _ in block for _ in found]
    boxes = [box for _, found, _ in block for box, _ in found]
    points = iter(landmarker.landmarks(frames, boxes) if boxes else ())
    for _, found, cut in block:
        yield FrameFaces([Face(box, next(points), score) for box, score in found], cut)


def given_faces(landmarks: np.ndarray) -> Iterator[FrameFaces]:
    """The face of each frame from landmarks `(frames, 68, 2)` that came with the data; none where one is NaN."""
    for points in landmarks:
        known = bool(np.isfinite(points).all())
        box = np.concatenate([points.min(axis=0), points.max(axis=0)])
        yield FrameFaces([Face(box, points)] if known else [])
