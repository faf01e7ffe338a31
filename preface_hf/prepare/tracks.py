"""One media file to rows of the prepared set: a first reading finds the tracks, a second cuts them out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from preface_hf.audio.sound import Sound, encode_flac, has_sound
from preface_hf.faces.crops import crop_boxes, crop_landmarks
from preface_hf.faces.detection import FrameFaces, detect_faces, given_faces
from preface_hf.faces.landmarkers import Landmarker
from preface_hf.faces.quality import sharpness, track_quality, visibility
from preface_hf.faces.sidecars import read_landmarks
from preface_hf.faces.squares import cut_square
from preface_hf.faces.tracking import MIN_IOU, MIN_SECONDS, Glimpse, Segment, Track, segments
from preface_hf.prepare.options import TrackOptions
from preface_hf.prepare.records import FileRecord
from preface_hf.progress import count_frames
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import Video, frame_size, open_video
from preface_hf.video.encoding import VideoEncoder


def file_rows(
    file: Path, landmarker: Landmarker | None, options: TrackOptions, record: FileRecord
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, without instance ids and labels. Memory does not grow with the length of the video.

    Args:
        file: a video or an image.
        landmarker: finds the faces; None reads the landmarks beside the file.
        options: how tracks are found and cut out.
        record: what becomes of the file is written into it. Where the file is damaged after its first `max_seconds`,
            the rows that came before stay, and the record says so.

    Raises:
        ValueError: with the reason, where the file cannot be decoded, is too large, or shows no face.
    """
    check_size(file, options.max_pixels)
    video = open_video(file, "pyav")
    record.notes = video.notes  # some come up while the frames are read
    frames, clock = iter(video), Clock.of(video)  # the second reading follows the first a segment behind
    sound = open_sound(file, record) if options.audio else None
    faces, min_iou = find_faces(video, file, landmarker, options)
    try:
        for segment in segments(count_frames(faces), clock, options.max_seconds, min_iou):
            record.frames = segment.stop
            record.left_out += [glimpse_left_out(glimpse) for glimpse in segment.glimpses]
            for row in cut_out(segment, islice(frames, segment.stop - segment.start), clock, options, record):
                yield with_sound(row, sound, clock) if options.audio else row
    except Exception as error:
        if not record.tracks:
            raise
        # Rows that were yielded are written already: the file counts as prepared, with this remark.
        record.damage = f"what comes after is lost: {error}"
    if not record.tracks:
        raise ValueError(reason_for_no_row(record))


def open_sound(file: Path, record: FileRecord) -> Sound | None:
    """The sound of a file; None, with a note in its record, where it has none."""
    if has_sound(file):
        return Sound(file)
    record.notes.append("it has no sound")
    return None


def with_sound(row: dict[str, Any], sound: Sound | None, clock: Clock) -> dict[str, Any]:
    """The row with what is heard while its frames are shown."""
    if sound is None:
        return {**row, "audio": None}
    start = row["start_seconds"]
    first = int(np.searchsorted(clock.times, start))
    samples = sound.cut(start, start + clock.seconds(first, first + row["num_frames"]))
    return {**row, "audio": {"bytes": encode_flac(samples), "path": None}}


def check_size(file: Path, max_pixels: int) -> None:
    """Raise `ValueError` for a file whose frames have more than `max_pixels` pixels."""
    height, width = frame_size(file)
    if height * width > max_pixels:
        raise ValueError(f"its frames of {width}x{height} pixels are over max_pixels={max_pixels}: raise it")


def find_faces(
    video: Video, file: Path, landmarker: Landmarker | None, options: TrackOptions
) -> tuple[Iterator[FrameFaces], float]:
    """The faces of each frame, and the overlap that links them: landmarks that came with the data are trusted."""
    if landmarker is None:
        return given_faces(read_landmarks(file, video.num_frames)), 0.0
    return detect_faces(video, landmarker, options.detect_every), MIN_IOU


def cut_out(
    segment: Segment, frames: Iterator[np.ndarray], clock: Clock, options: TrackOptions, record: FileRecord
) -> Iterator[dict[str, Any]]:
    """The rows of the tracks of a segment, all cut out of one reading of its frames."""
    # All cutters of a segment work at a time, so each frame is decoded once, however many people it shows.
    cutters = [Cutter(track, clock.part(track.start, track.stop), options) for track in segment.tracks]
    stop = segment.start
    for frame in frames:
        for cutter in cutters:
            cutter.add(stop, frame)
        stop += 1
    # The second reading may end early where a file changed or its disk failed in between.
    if stop < segment.stop:
        raise ValueError(f"only {stop} of {segment.stop} frames could be read again: copy the file again")
    for cutter in cutters:
        quality, track = cutter.quality(), cutter.track
        about = {"start": track.start, "frames": len(track.boxes), "quality": quality}
        if quality < options.min_quality:
            record.left_out.append({**about, "reason": f"its quality is below min_quality={options.min_quality}"})
            continue
        # Tracks are numbered by file, without those that are left out.
        number = len(record.tracks)
        record.tracks.append({"track": number, **about, "bridged": len(track.boxes) - track.seen})
        yield {**cutter.row(record.source), "track": number, "source": record.source, "quality": quality}


class Cutter:
    """Cuts one track out of frames as they come; `clock` is that of the track's frames."""

    def __init__(self, track: Track, clock: Clock, options: TrackOptions):
        self.track, self.clock, self.crop_size = track, clock, options.crop_size
        self.boxes = crop_boxes(track, clock.times, options.crop)  # (F, 4)
        self.landmarks = crop_landmarks(track, self.boxes, options.crop_size)  # (F, 68, 2)
        self.encoder = VideoEncoder(clock.fps, clock.offsets)
        # A value a frame; the size of the frames, height and width, is known with the first one.
        self.sharp: list[float] = []
        self.size = (1, 1)

    def add(self, index: int, frame: np.ndarray) -> None:
        """Cut the face out of the frame `(height, width, 3)` with this index in the video, if the track is there."""
        place = index - self.track.start
        if 0 <= place < len(self.boxes):
            crop = cut_square(frame, self.boxes[place], self.crop_size)
            self.encoder.add(crop)
            self.sharp.append(sharpness(crop, self.landmarks[place]))
            self.size = frame.shape[:2]

    def quality(self) -> float:
        """The quality of the track, from 0 to 1, after its last frame."""
        visible = visibility(self.track.boxes, *self.size)
        return track_quality(self.track.landmarks, self.track.scores, visible, np.array(self.sharp))

    def row(self, source: str) -> dict[str, Any]:
        """What the track shows and when."""
        return {
            "video": {"bytes": self.encoder.finish(), "path": source},
            "landmarks": self.landmarks,
            "fps": self.clock.fps,
            "num_frames": len(self.boxes),
            "start_seconds": float(self.clock.times[0]),
            "frame_seconds": self.clock.offsets,
        }


def glimpse_left_out(glimpse: Glimpse) -> dict[str, Any]:
    """The report's entry for a face that was seen too short to be a track."""
    reason = f"a face seen for {glimpse.seconds:.2f} seconds, {MIN_SECONDS} are needed"
    return {"start": glimpse.start, "frames": glimpse.frames, "reason": reason}


def reason_for_no_row(record: FileRecord) -> str:
    """Why a file gave no row."""
    if not record.left_out:
        return "no face found in any frame"
    longest = max(record.left_out, key=lambda track: track["frames"])
    return f"no face stays in sight: {longest['reason']}"
