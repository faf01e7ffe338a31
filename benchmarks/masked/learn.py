"""Can a masked autoencoder learn real clips by heart, and what does it make of a face of which no part is seen?

    OMP_NUM_THREADS=1 python benchmarks/masked/learn.py METHOD SET OUT [KEY=VALUE...]

Pretrains METHOD (marlin or videomae) by its packaged laptop settings on the split train of SET (sets.py), without
flips and random crops, into OUT; KEY=VALUE changes a setting, such as max_steps=100 or objective.adversarial_weight=0.
Started again, it continues. Prints for the splits train and test the squared error on hidden cubes over new windows
and masks, that of each cube's mean color, that of the mean training cube of each place, and how often no token of
eyes, nose, mouth and hair was visible; draws such clips into OUT/train.png and OUT/test.png: original, seen,
reconstructed, a frame of each tubelet.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from preface_hf.data.masked_clips import MaskConfig, MaskStream, token_regions
from preface_hf.data.masking import PART_CODES
from preface_hf.data.opening import as_mixture, open_prepared
from preface_hf.data.order import rows_in_order
from preface_hf.data.streams import read_frames
from preface_hf.data.views import resting_box, sample_indices
from preface_hf.modeling import PrefAceForPreTraining, PrefAceVideoProcessor
from preface_hf.objectives.base import by_channel
from preface_hf.objectives.masked.cubes import cubes, mean_color_error, normalized, reconstruct
from preface_hf.training.arguments import PretrainArguments, build, config_path
from preface_hf.training.build import pixel_scale
from preface_hf.training.loop import pretrain


MASKS = range(1000, 1020)  # epochs that no run reaches: each gives a clip another window and mask
SHOWN, SIDE = 12, 96  # clips of a picture, pixels of a frame of it


def settings_of(method: str, data: str, out: str, changes: tuple[str, ...]) -> PretrainArguments:
    settings = yaml.safe_load(config_path(f"{method}-laptop").read_text(encoding="utf-8"))
    settings |= {"data": data, "output_dir": out}
    for assignment in ["views.flip_probability=0", "views.global_scale=[1.0, 1.0]", *changes]:
        key, _, value = assignment.partition("=")
        *sections, name = key.split(".")
        place = settings
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = yaml.safe_load(value)
    return build(PretrainArguments, settings, f"{method}-laptop")


def samples(arguments: PretrainArguments, split: str) -> list[list[tuple[torch.Tensor, torch.Tensor, bool]]]:
    """Of every row of a split: clips uint8 `(T, 3, S, S)`, masks `(N,)`, whether they hide all tokens of parts."""
    data, views = as_mixture(open_prepared(arguments.data, split)), arguments.parts().views
    stream = MaskStream(data, views, 1, arguments.seed)
    drawn = []
    for row in data.reader().rows(rows_in_order(data.counts, np.arange(data.num_rows))):
        turns = []
        for epoch in MASKS:
            clip, mask = stream.sample(epoch, row)
            hidden = bool(mask[np.isin(regions_of(stream, epoch, row, views), PART_CODES)].all())
            turns.append((clip, torch.from_numpy(mask), hidden))
        drawn.append(turns)
    return drawn


def regions_of(stream: MaskStream, epoch: int, row: dict[str, Any], views: MaskConfig) -> np.ndarray:
    """Codes of the regions of the tokens of the clip that the stream samples of `row` in `epoch`, `(N,)`."""
    rng = stream.generator(epoch, row)  # as in the stream's `sample`
    indices = sample_indices(int(row["num_frames"]), views.num_frames, views.sampling_rate, rng)
    frames, landmarks = read_frames(row, indices)
    rng.uniform()  # no flip
    box = resting_box(frames, views.global_scale, rng)
    return token_regions(landmarks, box, views).ravel()


@torch.inference_mode()
def errors(
    model: PrefAceForPreTraining, arguments: PretrainArguments, drawn: list[Any], mean: torch.Tensor, scale: Any
) -> np.ndarray:
    """Of the model, of the mean color and of the `mean` `(N, P)` of the training cubes, for each row `(rows, 3)`."""
    channels, raw = model.config.num_channels, arguments.parts().objective.targets == "raw"
    center, deviation = by_channel(scale)
    table = []
    for turns in drawn:
        clips = torch.stack([clip for clip, _, _ in turns]).float() / 255
        masks = torch.stack([mask for _, mask, _ in turns])
        predicted = model((clips - center) / deviation, masks).reconstruction
        targets = goals(clips, model, raw)[masks].unflatten(0, (len(clips), -1))
        typical = mean.expand(len(clips), -1, -1)[masks].unflatten(0, (len(clips), -1))
        of_typical = (typical - targets).square().mean()
        table.append([(predicted - targets).square().mean(), mean_color_error(targets, channels), of_typical])
    return np.array(table, dtype=np.float64)


def goals(clips: torch.Tensor, model: PrefAceForPreTraining, raw: bool) -> torch.Tensor:
    """What is predicted of clips `(B, T, C, S, S)` in [0, 1], `(B, N, P)`."""
    cut = cubes(clips, model.config)
    return cut if raw else normalized(cut, model.config.num_channels)


def draw(model: PrefAceForPreTraining, arguments: PretrainArguments, drawn: list[Any], scale: Any) -> Image.Image:
    """Clips of which no part is seen, spread over the set, each with a line for each of the panels."""
    rows, side = [], SIDE // model.config.image_size * model.config.image_size
    for number in np.linspace(0, len(drawn) - 1, min(SHOWN, len(drawn))).round().astype(int):
        chosen = next((turn for turn in drawn[number] if turn[2]), None)
        if chosen is None:
            continue
        panels = reconstruct(model, arguments.parts().objective, chosen[0], chosen[1], scale)
        strips = [panel[:: model.config.tubelet_size].permute(2, 0, 3, 1).flatten(1, 2) for panel in panels.values()]
        picture = Image.fromarray(torch.cat(strips).numpy())
        frames = picture.width // model.config.image_size
        rows.append(picture.resize((frames * side, len(strips) * side), Image.Resampling.NEAREST))
    columns = 4
    width, height = rows[0].size
    sheet = Image.new("RGB", (columns * (width + 8), -(-len(rows) // columns) * (height + 8)), "white")
    for number, picture in enumerate(rows):
        sheet.paste(picture, (number % columns * (width + 8), number // columns * (height + 8)))
    return sheet


def main(method: str, data: str, out: str, *changes: str) -> None:
    arguments = settings_of(method, data, out, changes)
    final = Path(out) / "final"
    if not final.exists():
        final = pretrain(arguments, resume=Path(out).exists())
    model = PrefAceForPreTraining.from_pretrained(final).eval()
    scale = pixel_scale(PrefAceVideoProcessor.from_pretrained(final))
    drawn = {split: samples(arguments, split) for split in ("train", "test")}
    raw = arguments.parts().objective.targets == "raw"
    seen = torch.stack([clip for turns in drawn["train"] for clip, _, _ in turns]).float() / 255
    mean = goals(seen, model, raw).mean(dim=0)
    print("| clips | error | mean color | mean cube of the place | below the mean color | parts all hidden |")
    print("|---|---|---|---|---|---|")
    for split, turns in drawn.items():
        table = errors(model, arguments, turns, mean, scale)
        below = int((table[:, 0] < table[:, 1]).sum())
        hidden = 100 * np.mean([turn[2] for row in turns for turn in row])
        cells = " | ".join(f"{value:.4f}" for value in table.mean(axis=0))
        print(f"| {split}, {len(turns)} | {cells} | {below} of {len(turns)} | {hidden:.0f} % of masks |", flush=True)
        draw(model, arguments, turns, scale).save(Path(out) / f"{split}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
