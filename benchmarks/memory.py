"""Does memory stay flat on long videos? Memory of `preface-hf prepare` on a minute and on an hour of a repeated clip.

    OMP_NUM_THREADS=1 python benchmarks/memory.py [MINUTES] [SIDE] [WEIGHTS]

A drawn clip of 10 seconds, SIDE pixels wide and high (360), is repeated, packet by packet, to 1 minute and to MINUTES
(60). The landmarks lie beside it; with WEIGHTS they are found by the onnx landmarker. Prints the anonymous memory
(RssAnon, MB) of the process after each quarter of its time and at its highest, and the time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from preface_hf.synthetic import draw_clip
from preface_hf.video.encoding import encode_video


FPS, SECONDS = 25, 10


def repeated(folder: Path, minutes: float, side: int) -> Path:
    """A folder with one video of so many minutes, and its landmarks."""
    clip = draw_clip(0, "happiness", 0, FPS * SECONDS, side, FPS)
    times = round(minutes * 60 / SECONDS)
    once = folder / f"once-{minutes:g}.mp4"
    once.write_bytes(encode_video(clip.frames, FPS))
    place = folder / f"src-{minutes:g}"
    place.mkdir()
    with av.open(str(once)) as source, av.open(str(place / "long.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        length = round(SECONDS / source.streams.video[0].time_base)
        for turn in range(times):
            source.seek(0)
            for packet in source.demux(video=0):
                if packet.size:
                    packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                    packet.stream = stream
                    target.mux(packet)
    np.save(place / "long.npy", np.tile(clip.landmarks, (times, 1, 1)))
    return place


def measure(src: Path, out: Path, weights: str | None) -> tuple[list[int], float]:
    """MB of anonymous memory after each quarter and at its highest, and seconds of `prepare`."""
    finder = ["--weights", weights, "--detect-every", "5"] if weights else ["--landmarker", "given"]
    command = [sys.executable, "-m", "preface_hf", "prepare", str(src), str(out), *finder]
    started, samples = time.time(), []
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1])
    while process.poll() is None:
        lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
        samples += [int(line.split()[1]) // 1024 for line in lines if line.startswith("RssAnon")]
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    quarters = [samples[len(samples) * quarter // 4 - 1] for quarter in (1, 2, 3, 4)]
    return [*quarters, max(samples)], time.time() - started


def main(minutes: str = "60", side: str = "360", weights: str | None = None) -> None:
    print("| video | 1/4 | 1/2 | 3/4 | end | highest | seconds |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for length in (1.0, float(minutes)):
            src = repeated(Path(folder), length, int(side))
            memory, seconds = measure(src, Path(folder) / f"out-{length:g}", weights)
            cells = " | ".join(f"{value} MB" for value in memory)
            print(f"| {length:g} min, {side}x{side} | {cells} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
