"""Look at what is tracked: four frames of every video below FOLDER, with boxes, numbers and landmarks of its tracks.

    python benchmarks/tracks.py FOLDER OUT [--weights DIR] [--detect-every K] [--frames N]

Takes the first N frames of each video (all); without --weights by the built-in landmarker. Writes sheets of 20 videos
as OUT/sheet-00.png … and prints a line for each video: frames, tracks, frames that no track holds. The sheets show
whoever is in the videos: do not publish them.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from preface_hf.faces.crops import crop_boxes
from preface_hf.faces.detection import detect_faces
from preface_hf.faces.landmarkers import Landmarker, load_landmarker
from preface_hf.faces.squares import one_opencv_thread
from preface_hf.faces.tracking import Track, segments
from preface_hf.recipes import folder
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video


SHOWN, HEIGHT, WIDTH, CAPTION, PER_LINE, PER_SHEET = 4, 180, 190, 14, 2, 20
COLORS = ("#ffd400", "#00c8ff", "#3ddc3d", "#ff4fb0", "#ff8c1a", "#b070ff")


def find_tracks(
    file: Path, landmarker: Landmarker, detect_every: int, most: int | None
) -> tuple[list[Track], int, Clock]:
    video = open_video(file, "pyav")
    clock = Clock.of(video)
    parts = list(segments(detect_faces(islice(video, most), landmarker, detect_every), clock, 60))
    return [track for part in parts for track in part.tracks], parts[-1].stop, clock


def strip(name: str, file: Path, tracks: list[Track], frames: int, clock: Clock) -> Image.Image:
    picture = Image.new("RGB", (SHOWN * WIDTH, HEIGHT + CAPTION), "white")
    ImageDraw.Draw(picture).text((2, 1), f"{name[-70:]}  {frames} frames, {len(tracks)} tracks", fill="black")
    chosen = np.linspace(0, frames - 1, SHOWN).round().astype(int)
    wanted = set(chosen.tolist())
    shown = {i: frame for i, frame in enumerate(islice(open_video(file, "pyav"), frames)) if i in wanted}
    crops = [crop_boxes(track, clock.times[track.start : track.stop]) for track in tracks]
    for place, index in enumerate(chosen.tolist()):
        picture.paste(draw(shown[index], index, tracks, crops), (place * WIDTH, CAPTION))
    return picture


def draw(frame: np.ndarray, index: int, tracks: list[Track], crops: list[np.ndarray]) -> Image.Image:
    factor = min((WIDTH - 2) / frame.shape[1], (HEIGHT - 2) / frame.shape[0])
    tile = Image.fromarray(frame).resize([max(1, round(side * factor)) for side in frame.shape[1::-1]])
    pen = ImageDraw.Draw(tile)
    for number, (track, boxes) in enumerate(zip(tracks, crops, strict=True)):
        if track.start <= index < track.stop:
            color, at = COLORS[number % len(COLORS)], index - track.start
            pen.rectangle([float(value) for value in track.boxes[at] * factor], outline=color)
            pen.rectangle([float(value) for value in boxes[at] * factor], outline="#808080")
            pen.point([tuple(point) for point in (track.landmarks[at] * factor).tolist()], fill="#ffffff")
            pen.text((float(track.boxes[at][0] * factor) + 2, float(track.boxes[at][1] * factor)), str(number), color)
    return tile


def main(root: Path, out: Path, landmarker: Landmarker, detect_every: int, most: int | None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    videos = [item.source for item in folder(root, "video").items]
    for page, first in enumerate(range(0, len(videos), PER_SHEET)):
        names = videos[first : first + PER_SHEET]
        size = (PER_LINE * SHOWN * WIDTH, -(-len(names) // PER_LINE) * (HEIGHT + CAPTION))
        sheet = Image.new("RGB", size, "white")
        for place, name in enumerate(names):
            with one_opencv_thread():
                tracks, frames, clock = find_tracks(root / name, landmarker, detect_every, most)
            held = {index for track in tracks for index in range(track.start, track.stop)}
            print(f"{name}: {frames} frames, {len(tracks)} tracks, {frames - len(held)} frames without", flush=True)
            left, top = place % PER_LINE * SHOWN * WIDTH, place // PER_LINE * (HEIGHT + CAPTION)
            sheet.paste(strip(name, root / name, tracks, frames, clock), (left, top))
        sheet.save(out / f"sheet-{page:02d}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--detect-every", type=int, default=1)
    parser.add_argument("--frames", type=int)
    options = parser.parse_args()
    main(options.folder, options.out, load_landmarker("auto", options.weights), options.detect_every, options.frames)
