"""The set of real clips that a masked autoencoder learns by heart: the first two seconds of many videos.

    OMP_NUM_THREADS=1 python benchmarks/masked/sets.py FACES OUT

FACES holds folders of videos. OUT/videos gets the starts, OUT/set the prepared faces (72 pixels, built-in landmarker),
one video in seven as the split `test`, which training does not see.
"""

from __future__ import annotations

import sys
from pathlib import Path

from preface_hf.prepare.run import prepare
from preface_hf.video.decoding import VIDEO_SUFFIXES, open_video
from preface_hf.video.encoding import encode_video


FOLDERS = (
    "voxceleb2_pcavs", "hdtf_sadtalker", "liveportrait_driving", "talking_misc", "marlin_clips", "mead_eamm",
    "grid_lipnet_samples",
)  # fmt: skip
SECONDS = 2


def start_of(file: Path) -> bytes:
    """The first seconds of a video, as an mp4."""
    video = open_video(file, "pyav")
    frames = video.frames(range(min(video.num_frames, round(SECONDS * video.fps))))
    even = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    return encode_video(even, video.fps)


def main(faces: str, out: str) -> None:
    videos = Path(out) / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS:
        found = sorted(f for f in (Path(faces) / folder).rglob("*") if f.suffix in VIDEO_SUFFIXES)
        for file in found:
            target = videos / f"{folder}-{file.stem}.mp4"
            if not target.exists():
                target.write_bytes(start_of(file))
    prepare(videos, Path(out) / "set", crop_size=72, test_fraction=1 / 7, preview=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
