"""From the frames of a video to one face: link detections into a track, cut a square crop that moves smoothly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from .landmarkers import Landmarker
from .landmarks import CHIN, region_centres, square_boxes
from .squares import cut_square, to_square


# A face is linked to the one before it when their boxes overlap by this intersection over union.
MIN_IOU = 0.3
# A face this many seconds out of sight is bridged by interpolation; one that is seen for less is no track.
MAX_GAP_SECONDS, MIN_SECONDS = 0.5, 0.2
# Faces narrower than this share of the frame's largest are left aside.
MIN_SHARE = 0.4
# The crop: side in face extents (the longer side of the landmarks' bounding box), centre raised to take in the hair,
# room kept about landmarks and hair, and the width in time of the smoothing of its centre.
CROP_SIDE, CROP_RAISE, CROP_ROOM, SMOOTH_SECONDS = 2.0, 0.33, 1.1, 0.3


@dataclass
class Face:
    """One face in one frame: box `(4,)` x0, y0, x1, y1 and landmarks `(68, 2)`, both in pixels of the frame."""

    box: np.ndarray
    landmarks: np.ndarray


@dataclass
class Track:
    """One face through consecutive frames `start` … `start + len(boxes) - 1` of a video.

    `boxes` float32 `(frames, 4)` and `landmarks` float32 `(frames, 68, 2)` are in pixels of the video.
    """

    start: int
    boxes: np.ndarray
    landmarks: np.ndarray

    @property
    def stop(self) -> int:
        """The index after the last frame of the track."""
        return self.start + len(self.boxes)


@dataclass
class _OpenTrack:
    indices: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)

    @property
    def score(self) -> float:
        """Frames times width: the longest and largest face is the one to keep."""
        return float(sum(face.box[2] - face.box[0] for face in self.faces))


def detect_faces(frames: Iterable[np.ndarray], landmarker: Landmarker) -> Iterator[list[Face]]:
    """The faces of each frame, largest first, without those much smaller than the largest."""
    for frame in frames:
        boxes = landmarker.detect(frame)[:, :4]
        widths = boxes[:, 2] - boxes[:, 0]
        order = [index for index in np.argsort(-widths) if widths[index] >= MIN_SHARE * widths.max()]
        yield [Face(boxes[index], landmarker.landmarks(frame, boxes[index])) for index in order]


def given_faces(landmarks: np.ndarray) -> Iterator[list[Face]]:
    """The face of each frame from landmarks `(frames, 68, 2)` that came with the data; none where one is NaN."""
    for points in landmarks:
        known = bool(np.isfinite(points).all())
        yield [Face(np.concatenate([points.min(axis=0), points.max(axis=0)]), points)] if known else []


def find_track(faces: Iterable[list[Face]], fps: float, min_iou: float = MIN_IOU) -> Track:
    """The longest and largest face track through the frames of a video.

    Faces of neighbouring frames are linked where they overlap most; gaps of up to half a second are bridged. Raises
    `ValueError` where no face is found, or only for an instant.
    """
    tracks, num_frames = _link(faces, fps, min_iou)
    if not tracks:
        raise ValueError("no face found in any frame")
    best = max(tracks, key=lambda track: track.score)
    seen, needed = len(best.indices), min(num_frames, int(np.ceil(MIN_SECONDS * fps)))
    if seen < needed:
        raise ValueError(f"no face stays in sight: the longest is seen in {seen} frames, {needed} are needed")
    return _filled(best)


def _link(faces: Iterable[list[Face]], fps: float, min_iou: float) -> tuple[list[_OpenTrack], int]:
    closed: list[_OpenTrack] = []
    live: list[_OpenTrack] = []
    count = 0
    for count, found in enumerate(faces, start=1):
        index = count - 1
        closed += [track for track in live if index - track.indices[-1] > MAX_GAP_SECONDS * fps + 1]
        live = [track for track in live if index - track.indices[-1] <= MAX_GAP_SECONDS * fps + 1]
        for track, face in _matches(live, found, min_iou):
            track.indices.append(index)
            track.faces.append(face)
    return closed + live, count


def _matches(live: list[_OpenTrack], found: list[Face], min_iou: float) -> list[tuple[_OpenTrack, Face]]:
    """Pairs of track and face by falling overlap; a face without a track opens one in `live`."""
    pairs = [
        (_iou(track.faces[-1].box, face.box), t, f) for t, track in enumerate(live) for f, face in enumerate(found)
    ]
    taken: dict[int, int] = {}
    for overlap, t, f in sorted(pairs, key=lambda pair: -pair[0]):
        if overlap >= min_iou and f not in taken and t not in taken.values():
            taken[f] = t
    for f in range(len(found)):
        if f not in taken:
            live.append(_OpenTrack())
            taken[f] = len(live) - 1
    return [(live[t], found[f]) for f, t in taken.items()]


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    return common / (float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - common)


def _filled(track: _OpenTrack) -> Track:
    """A track with its gaps filled by linear interpolation of box and landmarks."""
    known = np.array(track.indices)
    times = np.arange(known[0], known[-1] + 1)
    values = np.stack([np.concatenate([face.box, face.landmarks.ravel()]) for face in track.faces])
    filled = np.stack([np.interp(times, known, column) for column in values.T], axis=1).astype(np.float32)
    return Track(int(known[0]), filled[:, :4], filled[:, 4:].reshape(len(times), -1, 2))


def crop_boxes(track: Track, fps: float) -> np.ndarray:
    """Square boxes `(frames, 4)` in pixels of the video that hold the face, hair included.

    One side through the track; the centre is smoothed over time, so the crop glides and never jitters.
    """
    hair = region_centres(track.landmarks, "hair")
    low, high = track.landmarks.min(axis=1), track.landmarks.max(axis=1)
    extents = (high - low).max(axis=1)
    up = hair - track.landmarks[:, CHIN]
    up /= np.linalg.norm(up, axis=1, keepdims=True) + 1e-6
    centres = smooth((low + high) / 2 + CROP_RAISE * extents[:, None] * up, SMOOTH_SECONDS * fps)
    reach = np.maximum(np.abs(np.minimum(low, hair) - centres), np.abs(np.maximum(high, hair) - centres)).max(axis=1)
    side = max(CROP_SIDE * np.median(extents), 2 * CROP_ROOM * np.percentile(reach, 98))
    return square_boxes(centres, float(side))


def smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth `(frames, channels)` over its first axis: about each frame a line is fitted with Gaussian weights.

    `sigma` is in frames. Unlike a plain average this does not lag behind a moving face at the two ends.
    """
    count = len(values)
    if count == 1:
        return values
    radius = int(np.ceil(3 * sigma))
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)

    def total(series: np.ndarray, power: int) -> np.ndarray:
        return np.convolve(series, (kernel * offsets**power)[::-1], mode="full")[radius : radius + count]

    s0, s1, s2 = (total(np.ones(count), power) for power in range(3))
    lines = [(s2 * total(column, 0) - s1 * total(column, 1)) / (s0 * s2 - s1**2) for column in values.T]
    return np.stack(lines, axis=1)


def crop_frames(frames: Iterable[np.ndarray], track: Track, boxes: np.ndarray, crop_size: int) -> Iterator[np.ndarray]:
    """Cut `boxes` (of `crop_boxes`) out of all frames of the track's video: uint8 `(crop_size, crop_size, 3)` each.

    Raises `ValueError` where the video ends before the track.
    """
    done = 0
    for index, frame in enumerate(frames):
        if index >= track.stop:
            break
        if index >= track.start:
            yield cut_square(frame, boxes[index - track.start], crop_size)
            done += 1
    if done < len(boxes):
        raise ValueError(f"only {done} of the track's {len(boxes)} frames could be read again: copy the file again")


def crop_landmarks(track: Track, boxes: np.ndarray, crop_size: int) -> np.ndarray:
    """The landmarks of a track in pixels of its crops, float32 `(frames, 68, 2)`."""
    return np.stack([to_square(points, box, crop_size) for points, box in zip(track.landmarks, boxes, strict=True)])
