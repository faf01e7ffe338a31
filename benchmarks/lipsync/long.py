"""Memory and time of `preface-hf lipsync` on a long video, and whether its frames keep their times.

    OMP_NUM_THREADS=1 python benchmarks/lipsync/long.py GENERATOR FOLDER

Draws a talking face of 60 seconds, 1280x720, into FOLDER, and lets it speak its own sound: 10 seconds of it, then all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from preface_hf.audio.sound import SAMPLE_RATE
from preface_hf.faces.squares import import_cv2
from preface_hf.synthetic import draw_clip
from preface_hf.synthetic.writing import add_sound
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import encode_video


HEIGHT, WIDTH, DRAWN, FPS = 720, 1280, 180, 25


def draw(folder: Path, seconds: int) -> Path:
    """A talking face in the middle of a gray picture."""
    file = folder / f"{seconds}.mp4"
    if not file.exists():
        clip = draw_clip(5, "neutral", 5, seconds * FPS, DRAWN, FPS, sound=True)
        cv2, side = import_cv2(), (WIDTH - HEIGHT) // 2
        large = (cv2.resize(frame, (HEIGHT, HEIGHT), interpolation=cv2.INTER_CUBIC) for frame in clip.frames)
        frames = (np.pad(frame, ((0, 0), (side, side), (0, 0)), constant_values=90) for frame in large)
        assert clip.audio is not None
        file.write_bytes(add_sound(encode_video(frames, FPS), clip.audio, SAMPLE_RATE))
    return file


def main(generator: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    print("| video | peak memory (MB) | wall and processor seconds a second of video | largest error of a time (s) |")
    print("|---|---|---|---|")
    for seconds in (10, 60):
        video, out = draw(folder, seconds), folder / f"{seconds}-spoken.mp4"
        started = time.monotonic()
        call = subprocess.Popen(
            [sys.executable, "-m", "preface_hf", "-q", "lipsync", generator, str(video), str(video), str(out)]
        )
        _, status, used = os.wait4(call.pid, 0)
        took = time.monotonic() - started
        if status:
            raise SystemExit("the command failed")
        before, after = open_video(video, "pyav"), open_video(out, "pyav")
        error = np.abs(before.times - after.times).max() if before.num_frames == after.num_frames else np.nan
        rates = f"{took / seconds:.2f}, {(used.ru_utime + used.ru_stime) / seconds:.2f}"
        print(f"| {seconds} s | {used.ru_maxrss / 1024:.0f} | {rates} | {error:.4f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
