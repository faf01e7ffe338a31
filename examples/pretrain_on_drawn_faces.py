"""Pretrain ProS on faces that are drawn, so without a picture of anyone (the paper's synthetic scenario).

    python examples/pretrain_on_drawn_faces.py OUTPUT_DIR

A quarter of an hour on two cores. The settings are those of `preface-hf pretrain --config pros-synthetic`.
"""

import sys
from pathlib import Path

from preface_hf.features.probe import print_probes, probe
from preface_hf.prepare.run import prepare
from preface_hf.synthetic import EXPRESSIONS, ClipSpec, write_synthetic
from preface_hf.training.arguments import load_arguments
from preface_hf.training.loop import pretrain


def main(output_dir: str, people: int = 600, max_steps: int | None = None) -> None:
    folder = Path(output_dir)

    # 1. short clips of people with one expression each; the last tenth are for the probe, with four expressions each
    train, test = range(people - people // 10), range(people - people // 10, people)
    clips = [ClipSpec(p, EXPRESSIONS[p % 8], p, "train", num_frames=8, size=96) for p in train]
    clips += [ClipSpec(p, EXPRESSIONS[k], 10 * p + k, "test", num_frames=8, size=96) for p in test for k in range(4)]
    write_synthetic(folder / "videos", clips, workers=2)

    # 2. a prepared set: the landmarks lie beside the videos
    prepare(folder / "videos", folder / "set", landmarker="given", crop_size=64, workers=2)

    # 3. stills of every clip, and a model that is saved in run/final
    flags = {"data": str(folder / "set"), "output_dir": str(folder / "run"), "max_steps": max_steps}
    model = pretrain(load_arguments("pros-synthetic", flags))

    # 4. what its features tell of people and expressions that it never saw
    print_probes([probe(model, folder / "set", "expression", split="test", group="identity", folds=3)])


if __name__ == "__main__":
    main(*sys.argv[1:2])
