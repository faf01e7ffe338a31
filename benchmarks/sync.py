"""Whether `sync` finds by how much sound was moved, and who of two people side by side is heard.

    python benchmarks/sync.py VIDEO... [--model EXPERT] [--seed N]

The sound of each video is moved by -10 to 10 frames, drawn from the seed, and each is put beside the next one with the
sound of one of the two. The files are made in a temporary folder, the picture encoded anew for pairs only.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from preface_hf.audio.sound import SAMPLE_RATE, read_sound
from preface_hf.synthetic.writing import add_sound
from preface_hf.tasks.sync.speakers import sync
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import encode_video


def moved(source: Path, target: Path, frames: int) -> Path:
    """A video whose sound comes `frames` frames of 25 a second later, by its time stamps."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        kept = (read.streams.video[0], read.streams.audio[0])
        streams = {stream.index: written.add_stream_from_template(stream) for stream in kept}
        # Both are put off by a second, so that no stamp is below 0.
        for packet in read.demux(*kept):
            if packet.size:
                late = Fraction(frames, 25) if packet.stream.type == "audio" else 0
                ticks = round((1 + late) / packet.time_base)
                packet.pts, packet.dts = (None if t is None else t + ticks for t in (packet.pts, packet.dts))
                packet.stream = streams[packet.stream.index]
                written.mux(packet)
    return target


def paired(sources: tuple[Path, Path], target: Path, heard: int) -> Path:
    """Two videos side by side, with the sound of one of them."""
    videos = [open_video(source, "pyav") for source in sources]
    count = min(video.num_frames for video in videos)
    frames = (np.concatenate(pair, axis=1) for _, *pair in zip(range(count), *videos, strict=False))
    samples = read_sound(sources[heard], 0.0, count / videos[heard].fps) / 32768
    target.write_bytes(add_sound(encode_video(frames, videos[heard].fps), samples, SAMPLE_RATE))
    return target


def main(files: list[Path], model: str | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors: Counter[int] = Counter()
    right = 0
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            late = int(rng.integers(-10, 11))
            row = sync(moved(file, Path(folder) / "moved.mkv", late), model)[0]
            errors[(row.offset or 0) - late] += 1
        for pair in pairwise(files):
            heard = int(rng.integers(2))
            rows = sorted(sync(paired(pair, Path(folder) / "pair.mp4", heard), model), key=lambda row: row.box[0])
            best = max(rows, key=lambda row: row.confidence or 0.0)
            right += best is rows[0 if heard == 0 else -1]
    near = sum(count for error, count in errors.items() if abs(error) <= 1)
    print(f"{near} of {len(files)} within a frame; errors {dict(sorted(errors.items()))}", flush=True)
    print(f"{right} of {len(files) - 1} pairs: the right one has the higher confidence", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    main(arguments.videos, arguments.model, arguments.seed)
