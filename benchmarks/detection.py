"""How many faces the detector finds at each of its two scales, and what that costs.

    python benchmarks/detection.py FOLDER... [--frames N]

N frames (6) spread over every video below the folders, or every image where there is no video. `more` are the faces
of the large scale that the small one has not, `fewer` those that only the small one has; `largest` says how wide the
widest of `more` is in the small picture.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path

import numpy as np

from preface_hf.faces.detection import MIN_IOU, MIN_WIDTH
from preface_hf.faces.networks.yunet import DETECTION_SIDES, YuNet
from preface_hf.faces.squares import import_cv2, overlap
from preface_hf.recipes import folder
from preface_hf.video.decoding import open_video


def only_in(one: np.ndarray, other: np.ndarray) -> list[np.ndarray]:
    return [box for box in one if all(overlap(box[:4], known[:4]) < MIN_IOU for known in other)]


def main(source: Path, frames: int) -> None:
    detector, files = YuNet(), folder(source).items
    faces, times, more, fewer = [0, 0], [[], []], [], []
    for item in files:
        video = open_video(source / item.source)
        for frame in islice(video, 0, None, max(1, video.num_frames // frames)):
            found = []
            for scale, side in enumerate(DETECTION_SIDES):
                start = time.perf_counter()
                boxes = detector.at(frame, side)
                times[scale].append(1000 * (time.perf_counter() - start))
                found.append(boxes[boxes[:, 2] - boxes[:, 0] >= MIN_WIDTH])
                faces[scale] += len(found[scale])
            small = DETECTION_SIDES[0] / max(frame.shape[:2])
            more += [small * (box[2] - box[0]) for box in only_in(found[1], found[0])]
            fewer += only_in(found[0], found[1])
    print(
        f"{source.name}: {len(files)} files, {len(times[0])} frames; faces {faces[0]} and {faces[1]}, "
        f"more {len(more)} (largest {max(more, default=0):.0f}), fewer {len(fewer)}; ms {np.median(times[0]):.1f} and "
        f"{np.median(times[1]):.1f}",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=6)
    arguments = parser.parse_args()
    import_cv2().setNumThreads(1)
    for place in arguments.folders:
        main(place, arguments.frames)
