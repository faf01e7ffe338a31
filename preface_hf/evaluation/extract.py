"""Features of videos of any length: a parquet file with a row for every window of every face."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import load_dataset
from rich.progress import track as progress

from preface_hf.data.crops import crop_boxes
from preface_hf.data.decoding import Video, open_video
from preface_hf.data.detection import MIN_IOU, detect_faces
from preface_hf.data.landmarkers import Landmarker, load_landmarker
from preface_hf.data.recipes import folder
from preface_hf.data.squares import cut_square
from preface_hf.data.tracking import segments
from preface_hf.evaluation.encoders import Encoder, load_encoder
from preface_hf.evaluation.windows import Window, windows


SEGMENT_SECONDS = 30.0

# A row without its feature, and the window that it describes.
Described = tuple[dict[str, Any], Window]


def extract(
    model: str | Path,
    src: str | Path,
    out: str | Path,
    *,
    landmarker: str = "onnx",
    weights: str | Path | None = None,
    batch_size: int = 8,
) -> dict[str, int]:
    """Write one feature per window of every video in `src` to the parquet file `out`.

    Args:
        model: checkpoint folder or Hub name.
        src: a video, a folder of videos, or a prepared set (then its other columns go along).
        out: columns `source`, `track`, `start_seconds`, `end_seconds`, `num_frames` (of the video, in the window) and
            `feature` (`hidden_size` numbers). The last window of a video may be short: no frame is left out.
        landmarker, weights: find, track and crop the face first. Without `weights` the onnx back end is not asked, and
            frames are taken as they are: right for videos that are face crops.
        batch_size: windows a forward pass.

    Returns:
        Counts: `rows`, `sources`, `left_out`. What was left out stands with its reason in `<out>.report.jsonl`.

    Raises `ValueError` if `out` exists, or if nothing in `src` gave a feature.
    """
    target, src = Path(out), Path(src)
    if target.exists():
        raise ValueError(f"{str(target)!r} exists: choose another name, or delete it.")
    encoder = load_encoder(model)
    left_out: list[dict[str, str]] = []
    if (src / "data").is_dir() and list((src / "data").glob("*.parquet")):
        items = prepared_windows(src, encoder)
    else:
        finder = load_landmarker(landmarker, weights) if weights or landmarker != "onnx" else None
        items = video_windows(src, encoder, finder, left_out)
    counts = write(items, encoder, target, batch_size)
    target.with_name(target.name + ".report.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in left_out), encoding="utf-8"
    )
    if not counts["rows"]:
        reason = f": {left_out[0]['source']}: {left_out[0]['reason']}" if left_out else ""
        raise ValueError(f"no feature came out of {str(src)!r}{reason}; give videos that show a face.")
    return {**counts, "left_out": len(left_out)}


def prepared_windows(path: Path, encoder: Encoder) -> Iterator[Described]:
    """Windows of every row of every split, with the row's own columns."""
    for split, rows in load_dataset(str(path), streaming=True).items():
        for row in rows:
            video = open_video(row["video"]["bytes"], "pyav")
            kept = {key: value for key, value in row.items() if key not in ("video", "landmarks", "num_frames")}
            for window in windows(video, *encoder.clip):
                yield describe({**kept, "split": split}, window, row["fps"], row["start_seconds"]), window


def video_windows(
    src: Path, encoder: Encoder, finder: Landmarker | None, left_out: list[dict[str, str]]
) -> Iterator[Described]:
    """Windows of every video below `src`; a file that gives none is added to `left_out` with its reason."""
    listing = folder(src, media="auto")
    root = src if src.is_dir() else src.parent
    for item in progress(listing.items, description="extract"):
        try:
            video = open_video(root / item.source, "pyav")
            tracks = [(0, iter(video))] if finder is None else face_tracks(video, finder, encoder)
            for number, (start, frames) in enumerate(tracks):
                for window in windows(frames, *encoder.clip):
                    row = {"source": item.source, "track": number}
                    yield describe(row, window, video.fps, start / video.fps), window
        except (ValueError, OSError) as error:
            left_out.append({"source": item.source, "reason": str(error)})


def face_tracks(video: Video, finder: Landmarker, encoder: Encoder) -> Iterator[tuple[int, list[np.ndarray]]]:
    """For each face track its first frame and its crops at the encoder's size; `ValueError` where there is none.

    Half a minute of crops is held at a time: a longer track goes on as another.
    """
    again, size, found = iter(video), encoder.model.config.image_size, False
    faces = detect_faces(video, finder)
    for segment in segments(faces, video.fps, max(1, round(SEGMENT_SECONDS * video.fps)), MIN_IOU):
        boxes = [crop_boxes(track, video.fps) for track in segment.tracks]
        crops: list[list[np.ndarray]] = [[] for _ in boxes]
        for index, frame in enumerate(islice(again, segment.stop - segment.start), start=segment.start):
            for track, places, cut in zip(segment.tracks, boxes, crops, strict=True):
                if track.start <= index < track.stop:
                    cut.append(cut_square(frame, places[index - track.start], size))
        for track, cut in zip(segment.tracks, crops, strict=True):
            found = True
            yield track.start, cut
    if not found:
        raise ValueError("no face stays in sight")


def describe(row: dict[str, Any], window: Window, fps: float, offset: float) -> dict[str, Any]:
    """`row` with the place of the window in its video, in seconds."""
    return {
        **row,
        "start_seconds": offset + window.start / fps,
        "end_seconds": offset + window.stop / fps,
        "num_frames": window.stop - window.start,
    }


def write(items: Iterator[Described], encoder: Encoder, target: Path, batch_size: int) -> dict[str, int]:
    """Encode in batches and write row group by row group; `target` appears when it is whole."""
    building, writer, rows, sources = target.with_name(f".building-{target.name}"), None, 0, set()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        while block := list(islice(items, batch_size)):
            features = encoder([window.frames for _, window in block])
            table = pa.Table.from_pylist([row for row, _ in block])
            values = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
            table = table.append_column("feature", values)
            # a column without a value so far may still get one: text holds whatever comes
            fields = [
                field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in table.schema
            ]
            writer = writer or pq.ParquetWriter(building, pa.schema(fields))
            writer.write_table(table.cast(writer.schema))
            rows += len(block)
            sources |= {row["source"] for row, _ in block}
    finally:
        if writer:
            writer.close()
    if writer:
        building.rename(target)
    return {"rows": rows, "sources": len(sources)}
