"""One media file to rows of the prepared set: a first reading finds the tracks, a second cuts them out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from preface_hf.faces.crops import CROPS, crop_boxes, crop_landmarks
from preface_hf.faces.detection import FrameFaces, detect_faces, given_faces
from preface_hf.faces.landmarkers import Landmarker
from preface_hf.faces.quality import sharpness, track_quality, visibility
from preface_hf.faces.sidecars import read_landmarks
from preface_hf.faces.squares import cut_square
from preface_hf.faces.tracking import MIN_IOU, MIN_SECONDS, Segment, Track, segments
from preface_hf.progress import count_frames
from preface_hf.video.decoding import Video, frame_size, open_video
from preface_hf.video.encoding import VideoEncoder


@dataclass(frozen=True)
class TrackOptions:
    """How tracks are found and cut out.

    crop_size: side of the crops in pixels, even. crop: `smooth`, `fixed` or `per-frame`. detect_every: the detector
    sees every so many frames, the landmark network all. max_seconds: longer tracks go on in another row.
    min_quality: tracks below it are left out, in [0, 1]. max_pixels: larger frames are refused. Raises `ValueError`
    for values that make no sense.
    """

    crop_size: int = 224
    crop: str = "smooth"
    detect_every: int = 1
    max_seconds: float = 60.0
    min_quality: float = 0.0
    max_pixels: int = 50_000_000

    def __post_init__(self) -> None:
        if self.crop_size < 16 or self.crop_size % 2:
            raise ValueError(f"crop size {self.crop_size} is not an even number of at least 16: use 224")
        if self.crop not in CROPS:
            raise ValueError(f"unknown crop {self.crop!r}: choose one of {', '.join(CROPS)}")
        for name in ("detect_every", "max_pixels", "max_seconds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        if not 0 <= self.min_quality <= 1:
            raise ValueError(f"min_quality {self.min_quality} is not within [0, 1]")


@dataclass
class FileReport:
    """What became of one file: a line of `report.jsonl`."""

    source: str
    frames: int = 0
    tracks: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    damage: str | None = None

    def line(self) -> dict[str, Any]:
        """The line. `frames_left_out` are ranges of frames, both ends included, that no track holds."""
        held = np.zeros(self.frames, bool)
        for track in self.tracks:
            held[track["start"] : track["start"] + track["frames"]] = True
        edges = np.flatnonzero(np.diff(np.concatenate([[1], held, [1]]).astype(int)))
        ranges = [[int(first), int(after) - 1] for first, after in edges.reshape(-1, 2)]
        reason = self.damage or ("no face in the frames left out" if ranges else None)
        return {
            "source": self.source,
            "status": "prepared",
            "reason": reason,
            "frames": int(held.sum()),
            "frames_left_out": ranges,
            "tracks": self.tracks,
            "tracks_left_out": self.left_out,
        }


def file_rows(
    file: Path, landmarker: Landmarker | None, options: TrackOptions, report: FileReport
) -> Iterator[dict[str, Any]]:
    """The rows of a file (without instance ids and labels), and what became of it into `report`.

    `landmarker` None reads the landmarks beside the file. Memory does not grow with the length of the video. Raises
    `ValueError` with the reason where the file cannot be decoded, is too large, or shows no face; where it is damaged
    after a first `max_seconds`, what came before is kept and the report says so.
    """
    height, width = frame_size(file)
    if height * width > options.max_pixels:
        raise ValueError(f"its frames of {width}x{height} pixels are over max_pixels={options.max_pixels}: raise it")
    video = open_video(file, "pyav")
    frames = iter(video)
    max_frames = max(1, round(options.max_seconds * video.fps))
    faces, min_iou = find_faces(video, file, landmarker, options)
    try:
        for segment in segments(count_frames(faces), video.fps, max_frames, min_iou):
            report.frames = segment.stop
            report.left_out += [_glimpse(*glimpse, video.fps) for glimpse in segment.glimpses]
            yield from cut_out(segment, islice(frames, segment.stop - segment.start), video.fps, options, report)
    except Exception as error:
        if not report.tracks:
            raise
        report.damage = f"what comes after is lost: {error}"
    if not report.tracks:
        raise ValueError(_nothing(report))


def find_faces(
    video: Video, file: Path, landmarker: Landmarker | None, options: TrackOptions
) -> tuple[Iterator[FrameFaces], float]:
    """The faces of each frame, and the overlap that links them: landmarks that came with the data are trusted."""
    if landmarker is None:
        return given_faces(read_landmarks(file, video.num_frames)), 0.0
    return detect_faces(video, landmarker, options.detect_every), MIN_IOU


def cut_out(
    segment: Segment, frames: Iterator[np.ndarray], fps: float, options: TrackOptions, report: FileReport
) -> Iterator[dict[str, Any]]:
    """The rows of the tracks of a segment, all cut out of one reading of its frames."""
    cutters = [_Cutter(track, fps, options) for track in segment.tracks]
    read = 0
    for read, frame in enumerate(frames, start=1):
        for cutter in cutters:
            cutter.add(segment.start + read - 1, frame)
    if read < segment.stop - segment.start:
        raise ValueError(
            f"only {segment.start + read} of {segment.stop} frames could be read again: copy the file again"
        )
    for cutter in cutters:
        quality, track = cutter.quality(), cutter.track
        about = {"start": track.start, "frames": len(track.boxes), "quality": quality}
        if quality < options.min_quality:
            report.left_out.append({**about, "reason": f"its quality is below min_quality={options.min_quality}"})
            continue
        number = len(report.tracks)
        report.tracks.append({"track": number, **about, "bridged": len(track.boxes) - track.seen})
        yield {
            "video": {"bytes": cutter.encoder.finish(), "path": report.source},
            "landmarks": cutter.landmarks,
            "fps": fps,
            "num_frames": len(track.boxes),
            "start_seconds": track.start / fps,
            "track": number,
            "source": report.source,
            "quality": quality,
        }


class _Cutter:
    """Cuts one track out of frames as they come."""

    def __init__(self, track: Track, fps: float, options: TrackOptions):
        self.track, self.crop_size = track, options.crop_size
        self.boxes = crop_boxes(track, fps, options.crop)
        self.landmarks = crop_landmarks(track, self.boxes, options.crop_size)
        self.encoder = VideoEncoder(fps)
        self.sharp: list[float] = []
        self.size = (1, 1)

    def add(self, index: int, frame: np.ndarray) -> None:
        place = index - self.track.start
        if 0 <= place < len(self.boxes):
            crop = cut_square(frame, self.boxes[place], self.crop_size)
            self.encoder.add(crop)
            self.sharp.append(sharpness(crop, self.landmarks[place]))
            self.size = frame.shape[:2]

    def quality(self) -> float:
        visible = visibility(self.track.boxes, *self.size)
        return track_quality(self.track.landmarks, self.track.scores, visible, np.array(self.sharp))


def _glimpse(start: int, seen: int, fps: float) -> dict[str, Any]:
    needed = math.ceil(MIN_SECONDS * fps)
    return {"start": start, "frames": seen, "reason": f"a face seen in {seen} frames, {needed} are needed"}


def _nothing(report: FileReport) -> str:
    if not report.left_out:
        return "no face found in any frame"
    longest = max(report.left_out, key=lambda track: track["frames"])
    return f"no face stays in sight: {longest['reason']}"
