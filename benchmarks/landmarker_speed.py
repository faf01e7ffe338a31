"""Time per frame of two landmarkers on the same frames, in turn: the built-in one beside `onnx`.

    OMP_NUM_THREADS=1 python benchmarks/landmarker_speed.py WEIGHTS FOLDER... [--frames N]

N frames (5) spread over the first 100 of every video below the folders. WEIGHTS as for `preface-hf prepare`. Both get
each frame, the order changing from frame to frame; processor time on one thread.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path

import numpy as np

from preface_hf.faces.landmarkers import Landmarker, load_landmarker
from preface_hf.faces.squares import one_opencv_thread
from preface_hf.recipes import folder
from preface_hf.video.decoding import open_video


FIRST = 100


def milliseconds(landmarker: Landmarker, frame: np.ndarray) -> tuple[float, float, int]:
    """Of the detector and of the landmarks of all faces; the number of faces."""
    start = time.process_time()
    boxes = landmarker.detect(frame)
    detected = time.process_time()
    landmarker.landmarks([frame] * len(boxes), list(boxes))
    return 1000 * (detected - start), 1000 * (time.process_time() - detected), len(boxes)


def main(weights: str, source: Path, count: int) -> np.ndarray:
    """Times of each frame `(frames, 2 landmarkers, detector and landmarks and faces)`."""
    finders = load_landmarker("builtin"), load_landmarker("onnx", weights)
    times = []
    for item in folder(source, "video").items:
        try:
            video = open_video(source / item.source, "pyav")
            step = max(1, min(video.num_frames, FIRST) // count)
            frames = list(islice(video, 0, FIRST, step))[:count]
        except ValueError as error:
            print(f"left out: {item.source}: {error}")
            continue
        for number, frame in enumerate(frames):
            order = (0, 1) if number % 2 else (1, 0)
            found = {which: milliseconds(finders[which], frame) for which in order}
            times.append([found[0], found[1]])
    return np.array(times)


def show(name: str, times: np.ndarray) -> None:
    total = times[..., 0] + times[..., 1]
    ratio = total[:, 0] / total[:, 1]
    median = np.median(times, axis=0)
    low, high = np.quantile(ratio, [0.1, 0.9])
    faces = times[..., 2].sum(axis=0).astype(int).tolist()
    sums = total.sum(axis=0)
    print(
        f"{name}: {len(times)} frames, faces {faces}; ms builtin {median[0, 0]:.1f} + {median[0, 1]:.1f}, onnx "
        f"{median[1, 0]:.1f} + {median[1, 1]:.1f}; ratio of sums {sums[0] / sums[1]:.2f}, median "
        f"{np.median(ratio):.2f} (10th to 90th percentile {low:.2f} to {high:.2f})",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=5)
    arguments = parser.parse_args()
    with one_opencv_thread():
        measured = {place.name: main(arguments.weights, place, arguments.frames) for place in arguments.folders}
    for place, values in measured.items():
        show(place, values)
    show("all", np.concatenate(list(measured.values())))
