"""How steady are the crops? Acceleration of the crop's center, smooth and fixed crops beside per-frame ones.

    python benchmarks/jitter.py FOLDER WEIGHTS [FRAMES]

Every video below FOLDER, its first FRAMES frames (100); WEIGHTS as for `preface-hf prepare`. Prints the median over
tracks of the median acceleration (pixels of the video per frame², in crop sides to compare videos of other sizes as
well), and how many frames have a landmark outside their crop.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import numpy as np

from preface_hf.faces.crops import CROPS, crop_boxes, crop_landmarks
from preface_hf.faces.detection import detect_faces
from preface_hf.faces.landmarkers import OnnxLandmarker
from preface_hf.faces.tracking import segments
from preface_hf.recipes import folder
from preface_hf.video.decoding import open_video


def accelerations(boxes: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff((boxes[:, :2] + boxes[:, 2:]) / 2, n=2, axis=0), axis=1)


def main(source: str, weights: str, frames: str = "100") -> None:
    landmarker = OnnxLandmarker(weights)
    pixels: dict[str, list[float]] = {crop: [] for crop in CROPS}
    outside, total, videos = dict.fromkeys(CROPS, 0), 0, 0
    for item in folder(Path(source)).items:
        try:
            video = open_video(Path(source) / item.source)
            (segment,) = segments(detect_faces(islice(video, int(frames)), landmarker), video.fps, int(frames))
        except ValueError as error:
            print(f"left out: {item.source}: {error}")
            continue
        videos += 1
        for track in segment.tracks:
            total += len(track.boxes)
            for crop in CROPS:
                boxes = crop_boxes(track, video.fps, crop)
                landmarks = crop_landmarks(track, boxes, 224)
                outside[crop] += int(((landmarks < -0.5) | (landmarks > 223.5)).any(axis=(1, 2)).sum())
                if len(boxes) > 4:
                    pixels[crop].append(float(np.median(accelerations(boxes))))
    print(f"{videos} videos, {len(pixels['smooth'])} tracks, {total} frames")
    for crop in CROPS:
        ratio = np.array(pixels[crop]) / np.array(pixels["per-frame"])
        print(
            f"{crop}: median {np.median(pixels[crop]):.3f} pixels/frame², {np.median(ratio):.3f} of per-frame (90th "
            f"percentile {np.quantile(ratio, 0.9):.3f}); a landmark outside the crop in {outside[crop]} frames"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
