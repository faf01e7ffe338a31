"""From the faces of frames to tracks: one person through consecutive frames of one shot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from preface_hf.faces.detection import MIN_IOU, Face, FrameFaces
from preface_hf.faces.squares import overlap
from preface_hf.video.clock import Clock


# A face this many seconds out of sight is bridged by interpolation; one that is seen for less is no track.
MAX_GAP_SECONDS, MIN_SECONDS = 0.5, 0.2
# Some containers round time stamps to a millisecond: 15 frames at 30 a second are half a second all the same.
ROUNDING = 1.5e-3
# A file whose clock hardly moves must not fill the memory: it is cut as if it had so many frames a second.
MAX_RATE = 240.0


@dataclass
class Track:
    """One face through consecutive frames `start` … `start + len(boxes) - 1` of a video.

    Attributes:
        boxes: float32 `(frames, 4)`, x0, y0, x1, y1 in pixels of the video.
        landmarks: float32 `(frames, 68, 2)`, in pixels of the video.
        scores: float32 `(frames,)`, of the detector.
        seen: frames in which the face was found, not bridged.
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


@dataclass(frozen=True)
class Glimpse:
    """A face that is no track: seen in `frames` frames from `start` on, which are shown for `seconds`."""

    start: int
    frames: int
    seconds: float


@dataclass
class Segment:
    """Frames `start` … `stop - 1` of a video: the tracks in them, by start, then size, and what was too short."""

    start: int
    stop: int
    tracks: list[Track]
    glimpses: list[Glimpse]


@dataclass
class OpenTrack:
    """A track while it grows: the frames that show the face."""

    indices: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)


def segments(
    faces: Iterable[FrameFaces], clock: Clock, max_seconds: float, min_iou: float = MIN_IOU
) -> Iterator[Segment]:
    """The tracks of a video, `max_seconds` at a time, so that memory does not grow with its length.

    Faces of neighboring frames are linked where they overlap most; gaps of up to half a second are bridged; a cut
    ends all tracks, and so does the end of a segment. A face seen for less than 0.2 seconds is a glimpse.

    Args:
        faces: the faces of each frame.
        clock: when these frames are shown.
        max_seconds: a segment ends with the frame that fills it.
        min_iou: faces that overlap less are not the same.
    """
    linker, start, stop = Linker(clock, min_iou), 0, 0
    for stop, frame in enumerate(faces, start=1):
        linker.add(stop - 1, frame)
        full = clock.seconds(start, stop) >= max_seconds - ROUNDING
        if full or stop - start >= max_seconds * MAX_RATE:
            yield linker.finish(start, stop, border=True)
            linker, start = Linker(clock, min_iou), stop
    if stop > start:
        yield linker.finish(start, stop, border=False)


class Linker:
    """The tracks of one segment as they grow."""

    def __init__(self, clock: Clock, min_iou: float):
        self.clock, self.min_iou = clock, min_iou
        self.closed: list[OpenTrack] = []
        self.live: list[OpenTrack] = []

    def add(self, index: int, frame: FrameFaces) -> None:
        """Link the faces of frame `index`; tracks that a cut or a long gap ends take no more."""
        over = [frame.cut or self.is_lost(track, index) for track in self.live]
        self.closed += [track for track, ended in zip(self.live, over, strict=True) if ended]
        self.live = [track for track, ended in zip(self.live, over, strict=True) if not ended]
        for track, face in match_faces(self.live, frame.faces, self.min_iou):
            track.indices.append(index)
            track.faces.append(face)

    def is_lost(self, track: OpenTrack, index: int) -> bool:
        """Whether a track was out of sight for too long before frame `index`."""
        first = track.indices[-1] + 1  # the first frame without it
        return first < index and self.clock.seconds(first, index) > MAX_GAP_SECONDS + ROUNDING

    def finish(self, start: int, stop: int, border: bool) -> Segment:
        """All tracks of the segment; at a border to another segment a short one may be the end of a long one."""
        candidates = sorted(self.closed + self.live, key=lambda track: (track.indices[0], -mean_width(track)))
        # A picture, or a video shorter than the least, must show the face in all its frames.
        needed = min(self.clock.seconds(start, stop), MIN_SECONDS) - ROUNDING
        tracks, glimpses = [], []
        for track in candidates:
            first, last = track.indices[0], track.indices[-1]
            seconds = sum(self.clock.seconds(index, index + 1) for index in track.indices)
            if seconds >= needed or first == start > 0 or (border and last == stop - 1):
                tracks.append(fill_gaps(track, self.clock))
            else:
                glimpses.append(Glimpse(first, len(track.indices), seconds))
        return Segment(start, stop, tracks, glimpses)


def mean_width(track: OpenTrack) -> float:
    """The mean width of a track's boxes, in pixels."""
    return float(np.mean([face.box[2] - face.box[0] for face in track.faces]))


def match_faces(live: list[OpenTrack], faces: list[Face], min_iou: float) -> list[tuple[OpenTrack, Face]]:
    """Pairs of track and face by falling overlap; a face without a track opens one in `live`."""
    pairs = [
        (overlap(track.faces[-1].box, face.box), t, f) for t, track in enumerate(live) for f, face in enumerate(faces)
    ]
    partners: dict[int, int] = {}  # face to track
    for share, t, f in sorted(pairs, key=lambda pair: -pair[0]):
        if share >= min_iou and f not in partners and t not in partners.values():
            partners[f] = t
    for f in range(len(faces)):
        if f not in partners:
            live.append(OpenTrack())
            partners[f] = len(live) - 1
    return [(live[t], faces[f]) for f, t in partners.items()]


def fill_gaps(track: OpenTrack, clock: Clock) -> Track:
    """A track with its gaps filled by linear interpolation in time of box, landmarks and score."""
    first, stop = track.indices[0], track.indices[-1] + 1
    known, times = clock.times[track.indices], clock.times[first:stop]
    values = np.stack([np.concatenate([face.box, face.landmarks.ravel(), [face.score]]) for face in track.faces])
    filled = np.stack([np.interp(times, known, column) for column in values.T], axis=1).astype(np.float32)  # (F, 141)
    landmarks = filled[:, 4:-1].reshape(len(times), -1, 2)
    return Track(first, filled[:, :4], landmarks, filled[:, -1], len(known))
