"""Frames per second of drawing synthetic clips beside decoding a prepared clip of the same size, on one thread.

    OMP_NUM_THREADS=1 python benchmarks/synthetic.py [SIZE ...]

SIZE: sides of a frame in pixels (64 128 224). Every round draws each kind once, one clip after the other, so that a
busy machine slows all alike; printed are the median over the rounds, the slowest and the fastest, in frames per second
of the process's own CPU time. `decode` opens an mp4 as prepared sets hold it, from memory, and reads every frame;
`decode 16` reads 16 frames from its middle, as a training view does.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from preface_hf.synthetic import EXPRESSIONS, draw_clip, draw_fake
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import encode_video


NUM_FRAMES, ROUNDS = 32, 15


def kinds(person: int, size: int) -> dict[str, tuple[Callable[[], object], int]]:
    """What is timed, and how many frames each gives."""
    clip = EXPRESSIONS[person % 8], person, NUM_FRAMES, size
    video = encode_video(draw_clip(person, *clip).frames, 25.0)
    middle = range(NUM_FRAMES // 4, NUM_FRAMES // 4 + 16)
    return {
        "draw": (lambda: draw_clip(person, *clip), NUM_FRAMES),
        "draw, parsing": (lambda: draw_clip(person, *clip, parsing=True), NUM_FRAMES),
        "draw, sound": (lambda: draw_clip(person, *clip, sound=True), NUM_FRAMES),
        "draw, both": (lambda: draw_clip(person, *clip, sound=True, parsing=True), NUM_FRAMES),
        "draw a fake": (lambda: draw_fake(person, person + 500, *clip), NUM_FRAMES),
        "decode": (lambda: open_video(video).frames(range(NUM_FRAMES)), NUM_FRAMES),
        "decode 16": (lambda: open_video(video).frames(middle), 16),
    }


def main(sizes: list[int]) -> None:
    for size in sizes:
        speeds: dict[str, list[float]] = {}
        for person in range(-1, ROUNDS):  # the first round warms up
            for name, (make, frames) in kinds(abs(person), size).items():
                started = time.process_time()
                make()
                if person >= 0:
                    speeds.setdefault(name, []).append(frames / (time.process_time() - started))
        for name, values in speeds.items():
            print(
                f"{size:4d} px  {name:14s} {np.median(values):7.0f} frames/s ({min(values):.0f} to {max(values):.0f})"
            )


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [64, 128, 224])
