"""Landmark error on annotated images: mean point error over the distance of the outer eye corners.

    python benchmarks/landmarks.py FOLDER [--weights DIR] [--roll 0 30 60 90]

FOLDER holds `.jpg` images with `.pts` landmarks beside them (68 points). Without --weights the built-in landmarker is
measured. --roll turns each picture about its face by so many degrees first.
"""

import argparse
from pathlib import Path

import numpy as np

from preface_hf.faces.landmarkers import Landmarker, load_landmarker
from preface_hf.faces.sidecars import read_pts
from preface_hf.faces.squares import import_cv2
from preface_hf.video.decoding import open_video


# A face whose box's center is farther from the annotated one's than this share of its extent is somebody else's.
FAR = 0.5


def turned(frame: np.ndarray, points: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The picture turned about the face, in a frame that holds all of it, and the points in it."""
    if not degrees:
        return frame, points
    cv2 = import_cv2()
    height, width = frame.shape[:2]
    matrix = cv2.getRotationMatrix2D(tuple(map(float, points.mean(axis=0))), degrees, 1.0)
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ matrix[:, :2].T + matrix[:, 2]
    matrix[:, 2] -= corners.min(axis=0)
    size = np.ceil(np.ptp(corners, axis=0)).astype(int)
    return cv2.warpAffine(frame, matrix, tuple(size.tolist())), points @ matrix[:, :2].T + matrix[:, 2]


def errors_of(landmarker: Landmarker, frame: np.ndarray, true: np.ndarray) -> np.ndarray | None:
    """The error of each point `(68,)`; None where the annotated face is not found."""
    boxes = landmarker.detect(frame)
    if not len(boxes):
        return None
    # pictures show several people: the annotated one's box is meant
    off = np.abs((boxes[:, :2] + boxes[:, 2:4]) / 2 - true.mean(axis=0)).max(axis=1)
    if off.min() > FAR * np.ptp(true, axis=0).max():
        return None
    (points,) = landmarker.landmarks([frame], [boxes[off.argmin(), :4]])
    return np.linalg.norm(points - true, axis=1) / np.linalg.norm(true[36] - true[45])


def main(folder: Path, landmarker: Landmarker, roll: float) -> None:
    errors: dict[str, list[np.ndarray]] = {}
    missed = []
    for file in sorted(folder.rglob("*.pts")):
        frame, true = turned(next(iter(open_video(file.with_suffix(".jpg")))), read_pts(file), roll)
        error = errors_of(landmarker, frame, true)
        if error is None:
            missed.append(file.name)
        else:
            errors.setdefault(file.relative_to(folder).parts[0], []).append(error)
    print(f"{landmarker.name}, turned by {roll:g} degrees")
    for name, values in [*errors.items(), ("all", [error for some in errors.values() for error in some])]:
        points = np.stack(values)
        images = points.mean(axis=1)
        print(
            f"  {name}: {len(points)} images, mean {points.mean():.2%}, inner 51 {points[:, 17:].mean():.2%}, jaw "
            f"{points[:, :17].mean():.2%}; of images: median {np.median(images):.2%}, standard deviation "
            f"{images.std():.2%}, 90th percentile {np.quantile(images, 0.9):.2%}, max {images.max():.1%}"
        )
    print(f"  not found: {len(missed)} {' '.join(missed)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--roll", type=float, nargs="+", default=[0.0])
    arguments = parser.parse_args()
    finder = load_landmarker("auto", arguments.weights)
    for degrees in arguments.roll:
        main(arguments.folder, finder, degrees)
