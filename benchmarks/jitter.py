"""How steady are the crops? Acceleration of the crop's center, smooth and fixed crops beside per-frame ones.

    python benchmarks/jitter.py FOLDER [--weights DIR] [--frames N]

Every video below FOLDER, its first N frames (100); without --weights by the built-in landmarker. Prints the median
over tracks of the median acceleration (pixels of the video per frame²), its share of per-frame crops', how many frames
have a landmark outside their crop, and which videos show no face.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np

from preface_hf.faces.crops import CROPS, crop_boxes, crop_landmarks
from preface_hf.faces.detection import detect_faces
from preface_hf.faces.landmarkers import Landmarker, load_landmarker
from preface_hf.faces.squares import one_opencv_thread
from preface_hf.faces.tracking import segments
from preface_hf.recipes import folder
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video


def accelerations(boxes: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff((boxes[:, :2] + boxes[:, 2:]) / 2, n=2, axis=0), axis=1)


def main(source: Path, landmarker: Landmarker, frames: int) -> None:
    pixels: dict[str, list[float]] = {crop: [] for crop in CROPS}
    outside, total, videos, without = dict.fromkeys(CROPS, 0), 0, 0, []
    for item in folder(source, "video").items:
        try:
            video = open_video(source / item.source, "pyav")
            clock = Clock.of(video)
            (segment,) = segments(detect_faces(islice(video, frames), landmarker), clock, float("inf"))
        except ValueError as error:
            print(f"left out: {item.source}: {error}")
            continue
        videos += 1
        if not segment.tracks:
            without.append(item.source)
        for track in segment.tracks:
            total += len(track.boxes)
            for crop in CROPS:
                boxes = crop_boxes(track, clock.times[track.start : track.stop], crop)
                landmarks = crop_landmarks(track, boxes, 224)
                outside[crop] += int(((landmarks < -0.5) | (landmarks > 223.5)).any(axis=(1, 2)).sum())
                if len(boxes) > 4:
                    pixels[crop].append(float(np.median(accelerations(boxes))))
    print(f"{landmarker.name}: {videos} videos, {len(pixels['smooth'])} tracks, {total} frames; no track in {without}")
    for crop in CROPS:
        ratio = np.array(pixels[crop]) / np.array(pixels["per-frame"])
        print(
            f"{crop}: median {np.median(pixels[crop]):.3f} pixels/frame², {np.median(ratio):.3f} of per-frame (90th "
            f"percentile {np.quantile(ratio, 0.9):.3f}); a landmark outside the crop in {outside[crop]} frames"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--frames", type=int, default=100)
    arguments = parser.parse_args()
    with one_opencv_thread():
        main(arguments.folder, load_landmarker("auto", arguments.weights), arguments.frames)
