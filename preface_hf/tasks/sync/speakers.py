"""`sync`: by how much the sound of a video is late, and who of the faces in sight speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from preface_hf.audio.sound import Sound, has_sound
from preface_hf.faces.crops import mouth_boxes
from preface_hf.faces.detection import MIN_IOU, detect_faces
from preface_hf.faces.landmarkers import Landmarker, load_landmarker, resolve_landmarker
from preface_hf.faces.squares import one_opencv_thread
from preface_hf.faces.tracking import Segment, segments
from preface_hf.files import check_path
from preface_hf.modeling.sync_preface import FPS, log_mels
from preface_hf.progress import count_frames
from preface_hf.tasks.sync.experts import Expert, open_expert
from preface_hf.tasks.sync.offsets import MOST_OFFSET, Offsets
from preface_hf.tasks.sync.talks import Talk, cut_mouths, is_silent, mouth_openings, steady_places
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import Video, open_video


SEGMENT_SECONDS = 60.0  # a face in sight for longer is another row


@dataclass
class Speaker:
    """One face of a video.

    Attributes:
        source: the video.
        track: the number of the face, by its start, the larger first.
        start_seconds, end_seconds: when it is in sight.
        box: where the face is on the mean, x0, y0, x1, y1 in pixels.
        offset: frames, at 25 a second, by which the sound is late; below 0 it is early. None where the face is in
            sight too short to tell.
        offset_seconds: the same in seconds.
        confidence: the median of the distances over offsets minus the least (SyncNet's).
        distance: the least.
        speaks: whether this face is the one that is heard: it fits the sound, and better than any face beside it.
        expert: whose distances these are.
        reason: why there is no offset.
    """

    source: str
    track: int
    start_seconds: float
    end_seconds: float
    box: list[float]
    offset: int | None = None
    offset_seconds: float | None = None
    confidence: float | None = None
    distance: float | None = None
    speaks: bool = False
    expert: str = ""
    reason: str | None = None


def sync(
    src: str | Path, model: str | Path | None = None, *, landmarker: str = "auto", weights: str | Path | None = None
) -> list[Speaker]:
    """The audio-visual offset of every face of a video, and who speaks.

    Args:
        src: a video with sound, of any frame and sample rate: both are read by their time stamps.
        model: an expert of `finetune --task sync`; None compares how far mouths are open with how loud it is.
        landmarker, weights: how faces are found, as of `prepare`.

    Raises `ValueError` for a video without sound, with silence alone, or without a face that stays in sight.
    """
    file = Path(src)
    check_path(file)
    video = open_video(file, "pyav")
    if not has_sound(file):
        raise ValueError(f"{file} has no sound: give a video with speech in it.")
    expert = open_expert(model)
    finder = load_landmarker(resolve_landmarker(landmarker, weights), weights)
    if finder is None:
        raise ValueError("--landmarker given has no points of a new video: leave it out.")
    rows, silent = [], True
    with one_opencv_thread():
        for number, (speaker, talk) in enumerate(talks_of(file, video, finder, expert.size)):
            speaker.track, speaker.source = number, str(src)
            silent = silent and is_silent(talk)
            rows.append((speaker, heard(speaker, talk, expert)))
    if not rows:
        raise ValueError(f"no face stays in sight in {file}: give a video that shows who speaks.")
    if silent:
        raise ValueError(f"{file} is silent while a face is in sight: give a video with speech in it.")
    choose_speakers(rows, expert)
    return [speaker for speaker, _ in rows]


def talks_of(file: Path, video: Video, finder: Landmarker, size: int) -> Iterator[tuple[Speaker, Talk]]:
    """Every face of a video that stays in sight, and its talk; half a second of sound more at both ends."""
    # The video is read twice at once: detection is a segment ahead, the second reading cuts out the mouths.
    clock, again, sound = Clock.of(video), iter(video), Sound(file)
    faces = count_frames(detect_faces(video, finder))
    for segment in segments(faces, clock, SEGMENT_SECONDS, MIN_IOU):
        yield from talks_in(segment, islice(again, segment.stop - segment.start), clock, sound, size)


def talks_in(
    segment: Segment, frames: Iterator[np.ndarray], clock: Clock, sound: Sound, size: int
) -> Iterator[tuple[Speaker, Talk]]:
    """The faces of a segment, all cut out of one reading of its frames."""
    parts = [clock.part(track.start, track.start + len(track.boxes)) for track in segment.tracks]
    boxes = [mouth_boxes(track.landmarks, part.times) for track, part in zip(segment.tracks, parts, strict=True)]
    mouths: list[list[np.ndarray]] = [[] for _ in boxes]
    for index, frame in enumerate(frames, start=segment.start):
        for track, places, cut in zip(segment.tracks, boxes, mouths, strict=True):
            if 0 <= index - track.start < len(places):
                cut.extend(cut_mouths([frame], places[index - track.start][None], size))
    margin = MOST_OFFSET / FPS
    for track, part, cut in zip(segment.tracks, parts, mouths, strict=True):
        start, stop, places = float(part.times[0]), float(part.ends[-1]), steady_places(part)
        mels = log_mels(sound.cut(start - margin, stop + margin))
        talk = Talk(np.stack(cut)[places], mels, mouth_openings(track.landmarks)[places], MOST_OFFSET)
        yield Speaker("", 0, start, stop, track.boxes.mean(axis=0).round(1).tolist()), talk


def heard(speaker: Speaker, talk: Talk, expert: Expert) -> Offsets | None:
    """What the expert says of a talk, which goes into `speaker`; None where it is too short."""
    speaker.expert = expert.name
    try:
        found = expert.compare(talk)
    except ValueError as error:
        speaker.reason = str(error)
        return None
    speaker.offset, speaker.offset_seconds = found.offset, found.offset / FPS
    speaker.confidence, speaker.distance = found.confidence, found.distance
    return found


def choose_speakers(rows: Sequence[tuple[Speaker, Offsets | None]], expert: Expert) -> None:
    """Set `speaks` of the faces that fit the sound better than chance, and than any face in sight meanwhile."""
    for speaker, found in rows:
        if found is not None and expert.fits(found):
            rivals = [
                other.confidence or 0.0
                for other, _ in rows
                if other is not speaker
                and other.start_seconds < speaker.end_seconds
                and other.end_seconds > speaker.start_seconds
            ]
            speaker.speaks = (speaker.confidence or 0.0) > max(rivals, default=-1.0)


def as_json(rows: Sequence[Speaker]) -> str:
    """A list of objects."""
    return json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1)


def print_speakers(rows: Sequence[Speaker]) -> None:
    """A table with a line for each face."""
    table = Table()
    for name in ("face", "seconds", "at x, y", "offset", "confidence", "distance", "speaks"):
        table.add_column(name, justify="right")
    for row in rows:
        x, y = (row.box[0] + row.box[2]) / 2, (row.box[1] + row.box[3]) / 2
        said = [row.reason or "", "", ""]
        if row.offset is not None and row.offset_seconds is not None:
            said = [f"{row.offset:+d} ({row.offset_seconds:+.2f} s)", f"{row.confidence:.2f}", f"{row.distance:.2f}"]
        seconds = f"{row.start_seconds:.1f}–{row.end_seconds:.1f}"
        table.add_row(str(row.track), seconds, f"{x:.0f}, {y:.0f}", *said, "yes" if row.speaks else "")
    Console(width=110, markup=False, highlight=False).print(table)
