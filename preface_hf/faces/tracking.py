"""From the faces of frames to tracks: one person through consecutive frames of one shot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from preface_hf.faces.detection import MIN_IOU, Face, FrameFaces
from preface_hf.faces.squares import overlap


# A face this many seconds out of sight is bridged by interpolation; one that is seen for less is no track.
MAX_GAP_SECONDS, MIN_SECONDS = 0.5, 0.2


@dataclass
class Track:
    """One face through consecutive frames `start` … `start + len(boxes) - 1` of a video.

    `boxes` float32 `(frames, 4)` and `landmarks` float32 `(frames, 68, 2)` are in pixels of the video, `scores`
    float32 `(frames,)` are the detector's. `seen` counts the frames in which it was found, not bridged.
    """

    start: int
    boxes: np.ndarray
    landmarks: np.ndarray
    scores: np.ndarray
    seen: int

    @property
    def stop(self) -> int:
        """The index after the last frame of the track."""
        return self.start + len(self.boxes)


@dataclass
class Segment:
    """Frames `start` … `stop - 1` of a video, the tracks in them (by start, then size), and those that were too short
    as (start, frames seen)."""

    start: int
    stop: int
    tracks: list[Track]
    glimpses: list[tuple[int, int]]


@dataclass
class _OpenTrack:
    indices: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)


def segments(faces: Iterable[FrameFaces], fps: float, max_frames: int, min_iou: float = MIN_IOU) -> Iterator[Segment]:
    """The tracks of a video, `max_frames` frames at a time, so that memory does not grow with its length.

    Faces of neighboring frames are linked where they overlap most; gaps of up to half a second are bridged; a cut
    ends all tracks, and so does the end of a segment. A face seen for less than 0.2 seconds is a glimpse.
    """
    linker, start, stop = _Linker(fps, min_iou), 0, 0
    for stop, frame in enumerate(faces, start=1):
        linker.add(stop - 1, frame)
        if stop - start == max_frames:
            yield linker.finish(start, stop, border=True)
            linker, start = _Linker(fps, min_iou), stop
    if stop > start:
        yield linker.finish(start, stop, border=False)


class _Linker:
    """The tracks of one segment as they grow."""

    def __init__(self, fps: float, min_iou: float):
        self.max_gap, self.min_seen = MAX_GAP_SECONDS * fps + 1, int(np.ceil(MIN_SECONDS * fps))
        self.min_iou = min_iou
        self.closed: list[_OpenTrack] = []
        self.live: list[_OpenTrack] = []

    def add(self, index: int, frame: FrameFaces) -> None:
        over = [frame.cut or index - track.indices[-1] > self.max_gap for track in self.live]
        self.closed += [track for track, ended in zip(self.live, over, strict=True) if ended]
        self.live = [track for track, ended in zip(self.live, over, strict=True) if not ended]
        for track, face in _matches(self.live, frame.faces, self.min_iou):
            track.indices.append(index)
            track.faces.append(face)

    def finish(self, start: int, stop: int, border: bool) -> Segment:
        """All tracks of the segment; at a border to another segment a short one may be the end of a long one."""
        tracks = sorted(self.closed + self.live, key=lambda track: (track.indices[0], -_width(track)))
        needed = min(stop - start, self.min_seen)
        kept, glimpses = [], []
        for track in tracks:
            first, last, seen = track.indices[0], track.indices[-1], len(track.indices)
            if seen >= needed or first == start > 0 or (border and last == stop - 1):
                kept.append(_filled(track))
            else:
                glimpses.append((first, seen))
        return Segment(start, stop, kept, glimpses)


def _width(track: _OpenTrack) -> float:
    return float(np.mean([face.box[2] - face.box[0] for face in track.faces]))


def _matches(live: list[_OpenTrack], found: list[Face], min_iou: float) -> list[tuple[_OpenTrack, Face]]:
    """Pairs of track and face by falling overlap; a face without a track opens one in `live`."""
    pairs = [
        (overlap(track.faces[-1].box, face.box), t, f) for t, track in enumerate(live) for f, face in enumerate(found)
    ]
    taken: dict[int, int] = {}
    for share, t, f in sorted(pairs, key=lambda pair: -pair[0]):
        if share >= min_iou and f not in taken and t not in taken.values():
            taken[f] = t
    for f in range(len(found)):
        if f not in taken:
            live.append(_OpenTrack())
            taken[f] = len(live) - 1
    return [(live[t], found[f]) for f, t in taken.items()]


def _filled(track: _OpenTrack) -> Track:
    """A track with its gaps filled by linear interpolation of box, landmarks and score."""
    known = np.array(track.indices)
    times = np.arange(known[0], known[-1] + 1)
    values = np.stack([np.concatenate([face.box, face.landmarks.ravel(), [face.score]]) for face in track.faces])
    filled = np.stack([np.interp(times, known, column) for column in values.T], axis=1).astype(np.float32)
    landmarks = filled[:, 4:-1].reshape(len(times), -1, 2)
    return Track(int(known[0]), filled[:, :4], landmarks, filled[:, -1], len(known))
