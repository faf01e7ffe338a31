"""How near is `prepare` to the work nobody can spare it, and what do two workers bring? Reading likewise.

    python benchmarks/prepare.py FOLDER [--weights DIR] [--limit N]

Without --weights by the built-in landmarker. Takes N (all) videos spread evenly over those below FOLDER, and measures
on one thread, one after the other: decoding alone, the detector alone and the landmark network alone on what it found;
then the whole of `prepare` with one worker and with two. Two copies of that work at the same time show what the
machine's cores give.
Reading: rows of the prepared set with all frames decoded, beside decoding the same bytes from memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from io import StringIO
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from datasets import load_dataset

from preface_hf.faces.landmarkers import load_landmarker
from preface_hf.faces.squares import one_opencv_thread
from preface_hf.prepare.run import prepare
from preface_hf.recipes import folder
from preface_hf.video.decoding import open_video


def lower_bounds(files: list[str], weights: str | None) -> tuple[float, float, float, int, int]:
    """Seconds of decoding, detector and landmark network; frames and faces."""
    landmarker, seconds, frames, faces = load_landmarker("auto", weights), np.zeros(3), 0, 0
    with one_opencv_thread():
        for file in files:
            video = iter(open_video(file))
            while True:
                start = time.perf_counter()
                frame = next(video, None)
                decoded = time.perf_counter()
                seconds[0] += decoded - start
                if frame is None:
                    break
                found = landmarker.detect(frame)
                detected = time.perf_counter()
                if len(found):
                    landmarker.landmarks([frame] * len(found), list(found[:, :4]))
                seconds[1:] += detected - decoded, time.perf_counter() - detected
                frames, faces = frames + 1, faces + len(found)
    return float(seconds[0]), float(seconds[1]), float(seconds[2]), frames, faces


def whole(src: Path, weights: str | None, workers: int) -> tuple[float, Path]:
    """Seconds of a whole `prepare`, and where the set lies."""
    out = Path(tempfile.mkdtemp()) / "set"
    start = time.perf_counter()
    with redirect_stdout(StringIO()):
        prepare(src, out, weights=weights, workers=workers)
    return time.perf_counter() - start, out


def reading(out: Path) -> tuple[float, float]:
    """Seconds of reading all rows with their frames, and of decoding the same bytes from memory."""
    rows = load_dataset(str(out), split="train", streaming=True)
    start = time.perf_counter()
    for row in rows.with_format("numpy"):
        open_video(row["video"]["bytes"]).frames(range(row["num_frames"]))
    read = time.perf_counter() - start
    held = [(row["video"]["bytes"], row["num_frames"]) for row in rows]
    start = time.perf_counter()
    for video, count in held:
        open_video(video).frames(range(count))
    return read, time.perf_counter() - start


def main(source: Path, weights: str | None, limit: int | None) -> None:
    names = [item.source for item in folder(source, "video").items]
    chosen = np.unique(np.linspace(0, len(names) - 1, limit or len(names)).round().astype(int))
    src = Path(tempfile.mkdtemp())
    for index in chosen:
        (src / f"{index:05d}{Path(names[index]).suffix}").symlink_to((source / names[index]).resolve())
    files = sorted(map(str, src.iterdir()))
    for _ in range(2):  # the first round also warms the disk's cache
        decode, detect, points, frames, faces = lower_bounds(files, weights)
        total = decode + detect + points
        print(f"{len(files)} videos, {frames} frames, {faces} faces found", flush=True)
        print(f"decode {decode:.1f} s, detector {detect:.1f} s, landmark network {points:.1f} s: {total:.1f} s")
        one, out = whole(src, weights, 1)
        print(f"prepare, 1 worker: {one:.1f} s, {frames / one:.1f} frames/s; bounds over whole {total / one:.2f}")
        two, _ = whole(src, weights, 2)
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            start = time.perf_counter()
            list(pool.map(lower_bounds, [files[::2], files[1::2]], [weights] * 2))
            halves = time.perf_counter() - start
        print(f"prepare, 2 workers: {two:.1f} s, {one / two:.2f} times as fast; the bounds alone in 2 processes")
        print(f"{total / halves:.2f} times as fast", flush=True)
        read, bare = reading(out)
        print(f"reading the set {read:.2f} s, bare decoding {bare:.2f} s: {bare / read:.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    main(options.folder, options.weights, options.limit)
