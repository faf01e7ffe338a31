"""The windows of a corpus: of the rows of a prepared set, or of videos with or without their faces cut out first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from preface_hf.data.checking import check_frames, check_row
from preface_hf.data.opening import open_splits
from preface_hf.data.shards import read_rows
from preface_hf.faces.crops import crop_boxes
from preface_hf.faces.detection import MIN_IOU, detect_faces
from preface_hf.faces.landmarkers import Landmarker
from preface_hf.faces.squares import cut_square
from preface_hf.faces.tracking import segments
from preface_hf.features.encoders import Encoder
from preface_hf.files import check_path
from preface_hf.progress import count_frames
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import Video, open_video
from preface_hf.video.windows import Window, windows


# The crops of a segment are held: 900 frames of 224² pixels are 135 MB a face.
SEGMENT_SECONDS = 30.0
# Columns of a prepared set that its features go without.
DROPPED = ("video", "audio", "landmarks", "num_frames", "frame_seconds")
WINDOW_FIELDS = [
    pa.field("start_seconds", pa.float64()),
    pa.field("end_seconds", pa.float64()),
    pa.field("num_frames", pa.int64()),
]

# A row without its feature, and the window that it describes.
Described = tuple[dict[str, Any], Window]
# The name of a source, and its windows.
Source = tuple[str, Iterator[Described]]


class FaceTrack(NamedTuple):
    """One face of a video from frame `start` on: its crops, and what was cut out and the face itself as boxes
    `(frames, 4)` in pixels of the video; without boxes the frames are those of the video."""

    start: int
    frames: Iterable[np.ndarray]
    squares: np.ndarray | None = None
    faces: np.ndarray | None = None


@dataclass
class Corpus:
    """The files to take features of, as paths below `root`; `prepared` where they are shards of a prepared set.

    `left_out` holds `source` and `reason` of media that were found and cannot be taken."""

    root: Path
    files: list[str]
    prepared: bool
    left_out: list[dict[str, str]] = field(default_factory=list)


def open_corpus(src: Path) -> Corpus:
    """What `src`, a video, a folder of videos or a prepared set, holds; raises `ValueError` where it is nothing."""
    check_path(src)
    if is_prepared(src):
        open_splits(src)  # refuses what is not whole
        shards = [f"data/{file.name}" for file in (src / "data").glob("*.parquet")]
        return Corpus(src, sorted(shards, key=lambda name: (split_of(name) != "train", name)), prepared=True)
    if any((src / name).is_file() for name in ("prepare.yaml", "curate.yaml")):
        raise ValueError(f"{str(src)!r} is a prepared set without shards in its folder data: copy the set again.")
    from preface_hf.recipes import folder

    listing = folder(src, media="auto")
    rows = [row for row in listing.aside if row["status"] == "left out"]
    left_out = [{"source": row["source"], "reason": row["reason"]} for row in rows]
    root = src if src.is_dir() else src.parent
    return Corpus(root, [item.source for item in listing.items], prepared=False, left_out=left_out)


def is_prepared(src: Path) -> bool:
    """Whether `src` is a prepared set, whose rows are face crops."""
    return any((src / "data").glob("*.parquet"))


def count_sources(corpus: Corpus) -> int:
    """How many videos, or rows of a prepared set, there are to take features of."""
    if not corpus.prepared:
        return len(corpus.files)
    return sum(pq.read_metadata(corpus.root / file).num_rows for file in corpus.files)


def split_of(shard: str) -> str:
    """The split that a shard `data/<split>-00000-of-00001.parquet` belongs to."""
    return Path(shard).name.rsplit("-", 3)[0]


def row_schema(corpus: Corpus) -> pa.Schema:
    """The columns of a row without its feature."""
    if not corpus.prepared:
        return pa.schema([pa.field("source", pa.string()), pa.field("track", pa.int64()), *WINDOW_FIELDS])
    columns = [field for field in pq.read_schema(corpus.root / corpus.files[0]) if field.name not in DROPPED]
    # The start of the window takes the place of the start of the row.
    kept = [field for field in columns if field.name != "start_seconds"]
    return pa.schema([*kept, pa.field("split", pa.string()), *WINDOW_FIELDS])


def sources(corpus: Corpus, file: str, encoder: Encoder, finder: Landmarker | None) -> Iterator[Source]:
    """What can fail by itself: the rows of a shard, or a video as a whole."""
    if not corpus.prepared:
        yield file, video_windows(corpus.root, file, encoder, finder)
        return
    for row in read_rows(corpus.root / file):
        yield row["source"], row_windows({**row, "split": split_of(file)}, encoder)


def row_windows(row: dict[str, Any], encoder: Encoder) -> Iterator[Described]:
    """Windows of a row of a prepared set, with the row's own columns."""
    kept = {key: value for key, value in row.items() if key not in DROPPED}
    check_row(row)
    video = open_video(row["video"]["bytes"], "pyav")
    check_frames(row, video.num_frames)
    clock = row_clock(row, video.num_frames)
    for window in windows(count_frames(video), *encoder.clip):
        yield describe(kept, window, clock), window


def row_clock(row: dict[str, Any], num_frames: int) -> Clock:
    """When the `num_frames` frames of a row of a prepared set are shown, in seconds of the clock of its source.

    Raises `ValueError` where the row has times for another number of frames.
    """
    offsets = row.get("frame_seconds")
    if not offsets:  # evenly spaced, or prepared by a release that took all videos to be so
        return Clock.steady(num_frames, row["fps"], row["start_seconds"])
    if len(offsets) != num_frames:
        raise ValueError(f"frame_seconds has {len(offsets)} values for {num_frames} frames: prepare the set again")
    return Clock(row["start_seconds"] + np.array(offsets), row["fps"])


def video_windows(root: Path, source: str, encoder: Encoder, finder: Landmarker | None) -> Iterator[Described]:
    """Windows of a video, or of every face in it where there is a `finder`."""
    video = open_video(root / source, "pyav")
    clock = Clock.of(video)
    # Without a landmarker the whole video is one track, from its first frame on.
    whole = [FaceTrack(0, count_frames(video))]
    for number, track in enumerate(whole if finder is None else face_tracks(video, clock, finder, encoder)):
        for window in windows(track.frames, *encoder.clip):
            window.first, part = track.start + window.start, slice(window.start, window.stop)
            if track.squares is not None and track.faces is not None:
                window.squares, window.faces = track.squares[part], track.faces[part]
            yield describe({"source": source, "track": number}, window, clock, track.start), window


def face_tracks(video: Video, clock: Clock, finder: Landmarker, encoder: Encoder) -> Iterator[FaceTrack]:
    """The face tracks with their crops at the encoder's size; `ValueError` where there is none.

    Half a minute of crops is held at a time: a longer track goes on as another.
    """
    # The video is read twice at once: detection is a segment ahead, the second reading cuts out its faces.
    again, size, found = iter(video), encoder.model.config.image_size, False
    faces = count_frames(detect_faces(video, finder))
    for segment in segments(faces, clock, SEGMENT_SECONDS, MIN_IOU):
        boxes = [crop_boxes(track, clock.times[track.start : track.stop]) for track in segment.tracks]
        crops: list[list[np.ndarray]] = [[] for _ in boxes]
        for index, frame in enumerate(islice(again, segment.stop - segment.start), start=segment.start):
            for track, places, cut in zip(segment.tracks, boxes, crops, strict=True):
                if track.start <= index < track.stop:
                    cut.append(cut_square(frame, places[index - track.start], size))
        for track, places, cut in zip(segment.tracks, boxes, crops, strict=True):
            found = True
            yield FaceTrack(track.start, cut, places, track.boxes)
    if not found:
        raise ValueError("no face stays in sight")


def describe(row: dict[str, Any], window: Window, clock: Clock, first: int = 0) -> dict[str, Any]:
    """`row` with the seconds of the window; the first frame of all windows is frame `first` of `clock`."""
    return {
        **row,
        "start_seconds": float(clock.times[first + window.start]),
        "end_seconds": float(clock.ends[first + window.stop - 1]),
        "num_frames": window.stop - window.start,
    }
