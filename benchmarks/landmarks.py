"""Landmark error on annotated images: mean point error over the distance of the outer eye corners.

    python benchmarks/landmarks.py FOLDER WEIGHTS

FOLDER holds `.jpg` images with `.pts` landmarks beside them (68 points); WEIGHTS as for `preface-hf prepare`.
"""

import sys
from pathlib import Path

import numpy as np

from preface_hf.faces.landmarkers import OnnxLandmarker
from preface_hf.faces.sidecars import read_pts
from preface_hf.video.decoding import open_video


def main(folder: str, weights: str) -> None:
    landmarker, errors, missed = OnnxLandmarker(weights), {}, 0
    for file in sorted(Path(folder).rglob("*.pts")):
        true, frame = read_pts(file), next(iter(open_video(file.with_suffix(".jpg"))))
        boxes = landmarker.detect(frame)
        if not len(boxes):
            missed += 1
            continue
        # pictures show several people: the annotated one's box is meant
        nearest = np.abs((boxes[:, :2] + boxes[:, 2:4]) / 2 - true.mean(axis=0)).sum(axis=1).argmin()
        (points,) = landmarker.landmarks([frame], [boxes[nearest, :4]])
        error = np.linalg.norm(points - true, axis=1).mean() / np.linalg.norm(true[36] - true[45])
        errors.setdefault(file.relative_to(folder).parts[0], []).append(error)
    everything = np.concatenate(list(errors.values()))
    for name, values in [*errors.items(), ("all", everything)]:
        mean, median, high = np.mean(values), np.median(values), np.quantile(values, 0.9)
        print(f"{name}: {len(values)} images, mean {mean:.2%}, median {median:.2%}, 90th percentile {high:.2%}")
    print(f"no face found in {missed}")


if __name__ == "__main__":
    main(*sys.argv[1:])
