"""Draw what a run sees: tubes, attention, tokens, features, and what its method finds alike or fills in.

    python examples/pictures.py RUN SET OUTPUT [--label COLUMN] [--tuned RUN...]

RUN is the folder of `preface-hf pretrain`, SET a prepared set that it was trained on, COLUMN one of its columns. Each
RUN of `--tuned` is a folder of `preface-hf finetune`. The pictures show faces of SET: keep them as you keep the data.
"""

import argparse
from pathlib import Path

import numpy as np
from datasets import load_dataset

from preface_hf import pictures
from preface_hf.data.streams import read_frames
from preface_hf.data.views import sample_indices
from preface_hf.features.encoders import load_encoder
from preface_hf.features.extract import extract
from preface_hf.training.gallery import open_run


# What each method has to show of its own; dino has nothing.
OWN = {
    "preface": ("neighbors", pictures.neighbors_picture),
    "pros": ("prototypes", pictures.prototypes_picture),
    "marlin": ("reconstructions", pictures.reconstructions_picture),
    "videomae": ("reconstructions", pictures.reconstructions_picture),
}


def main(run, data, output, label=None, tuned=()):
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)

    # The first clip of the set: its landmarks and the tubes that follow them, as a strip and as a video.
    row = next(iter(load_dataset(data, split="train", streaming=True)))
    frames, landmarks = read_frames(row, np.arange(row["num_frames"]))
    pictures.tubes_picture(frames, landmarks, row["fps"]).save(folder / "tubes.png")
    (folder / "tubes.mp4").write_bytes(pictures.tubes_video(frames, landmarks, row["fps"]))

    # What the method finds alike, or fills in.
    method = open_run(run).arguments.method
    if method in OWN:
        name, draw = OWN[method]
        draw(run, data).save(folder / f"{name}.png")

    # Where each head of the encoder looks, and how alike its tokens are, on a clip as it was trained on.
    encoder = load_encoder(Path(run) / "final")
    clip = frames[sample_indices(len(frames), *encoder.clip)]
    pixels = encoder.processor([clip], do_sample_frames=False, return_tensors="pt")["pixel_values_videos"]
    pixels = pixels.to(encoder.device)
    maps = pictures.attention_maps(encoder.model, pixels)[0].mean(axis=1)
    pictures.attention_picture(clip[len(clip) // 2], maps).save(folder / "attention.png")
    tubelet = encoder.model.config.tubelet_size
    pictures.tokens_picture(clip[::tubelet], pictures.token_colors(encoder.model, pixels)[0]).save(
        folder / "tokens.png"
    )

    # The features of all clips on a plane.
    if label:
        if not (folder / "features.parquet").exists():
            extract(Path(run) / "final", data, folder / "features.parquet")
        title = f"Features by {label}"
        pictures.features_figure(folder / "features.parquet", label, title=title).savefig(folder / "features.png")

    # Fine-tuned runs: with few and with many labels, and beside each other.
    if tuned:
        pictures.few_labels_figure(tuned).savefig(folder / "few_labels.png")
        pictures.methods_figure(tuned).savefig(folder / "methods.png")
    print("\n".join(str(file) for file in sorted(folder.iterdir()) if file.suffix in (".png", ".mp4")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for required in ("run", "data", "output"):
        parser.add_argument(required)
    parser.add_argument("--label", help="column of SET")
    parser.add_argument("--tuned", nargs="*", default=(), help="folders of fine-tuned runs, of one task")
    main(**vars(parser.parse_args()))
