"""Features of a face video, window by window.

    python examples/video_features.py MODEL VIDEO

MODEL is a run's `final` folder or a Hub name. VIDEO shows one face, cropped (`preface-hf extract --weights` crops
by itself).
"""

import sys

from preface_hf.features.encoders import load_encoder
from preface_hf.video.decoding import open_video
from preface_hf.video.windows import windows


def main(model: str, path: str) -> None:
    encoder = load_encoder(model)
    video = open_video(path)
    for window in windows(video, *encoder.clip):
        feature = encoder([window.frames])[0]
        start, end = window.start / video.fps, window.stop / video.fps
        print(f"{start:6.2f} s to {end:6.2f} s: {feature.shape} {feature[:4].round(3)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
