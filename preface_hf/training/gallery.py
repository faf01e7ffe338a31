"""Faces of a run's report: the tubes of some clips as they are trained on, and what it finds alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from preface_hf.data.opening import Mixture
from preface_hf.data.order import rows_in_order
from preface_hf.data.row_groups import open_parquet
from preface_hf.data.streams import read_frames
from preface_hf.data.views import plain_view
from preface_hf.modeling import PrefAceForPreTraining, PrefAceVideoProcessor
from preface_hf.objectives.base import Groups, Neighbors
from preface_hf.pictures.sheets import clip_strip, tube_strips
from preface_hf.training.arguments import Parts, PretrainArguments
from preface_hf.training.build import pixel_scale


CLIPS, INSTANCES, NEIGHBORS = 3, 6, 5  # shown on a page
SORTED = 256  # instances of which groups are made
FACE = 96  # pixels of a face on it


@dataclass
class Clip:
    """A clip and its tubes, each as a name and a strip of frames."""

    name: str
    strips: list[tuple[str, Image.Image]]


@dataclass
class Face:
    """The middle frame of an instance; `similarity` is its cosine with the one beside it, if another."""

    name: str
    picture: Image.Image
    similarity: float | None = None


class Faces:
    """Rows of the sets of a run by instance id, read one by one."""

    def __init__(self, data: Mixture):
        self.data, self.reader = data, data.reader()

    def row(self, instance: int) -> dict[str, Any]:
        """The row with its `name`: instance and source."""
        draw = next(rows_in_order(self.data.counts, np.array([instance])))
        file, number = self.reader.groups[draw.group]
        name = str(instance)
        # The reader gives the columns of training; `source` is none of them, and read by itself.
        with open_parquet(file) as opened:
            if "source" in opened.schema_arrow.names:
                source = opened.read_row_group(number, columns=["source"])["source"][draw.row].as_py()
                name = f"{name} · {source}"
        return {**self.reader.rows([draw])[0], "name": name}

    def face(self, instance: int, similarity: float | None = None) -> Face:
        """Its middle frame."""
        row = self.row(instance)
        frame = read_frames(row, np.array([int(row["num_frames"]) // 2]))[0][0]
        return Face(row["name"], Image.fromarray(frame).resize((FACE, FACE), Image.Resampling.LANCZOS), similarity)


def spread(count: int, total: int) -> list[int]:
    """`count` of the numbers below `total`, evenly spread (all where there are fewer)."""
    return sorted(set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()))


def tubes(data: Mixture, arguments: PretrainArguments, parts: Parts) -> list[Clip]:
    """The tubes of some clips, as the run cuts them in its first epoch."""
    stream: Any = parts.method.stream(data, parts.views, arguments.batch_size, arguments.seed)
    rows = map(Faces(data).row, spread(CLIPS, data.num_rows))
    return [Clip(row["name"], tube_strips(stream.views(0, row))) for row in rows]


def reconstructions(data: Mixture, arguments: PretrainArguments, parts: Parts, checkpoint: Path) -> list[Clip]:
    """Some clips with the masks of the first epoch: whole, as the student sees them, and as it fills them."""
    if parts.method.reconstruct is None:
        return []
    stream: Any = parts.method.stream(data, parts.views, arguments.batch_size, arguments.seed)
    model = PrefAceForPreTraining.from_pretrained(checkpoint).eval()
    processor = PrefAceVideoProcessor.from_pretrained(checkpoint)
    clips = []
    for row in map(Faces(data).row, spread(CLIPS, data.num_rows)):
        clip, mask = stream.sample(0, row)
        panels = parts.method.reconstruct(model, parts.objective, clip, torch.from_numpy(mask), pixel_scale(processor))
        clips.append(Clip(row["name"], [(name, clip_strip(panel)) for name, panel in panels.items()]))
    return clips


def grouped(
    data: Mixture, arguments: PretrainArguments, parts: Parts, checkpoint: Path
) -> tuple[Groups, list[tuple[str, list[Face]]]]:
    """How the model that a checkpoint publishes sorts some instances, and the groups as faces."""
    if parts.method.groups is None:
        raise ValueError(f"the method {arguments.method} sorts no faces: ask for those of another.")
    published = checkpoint / str(arguments.publish)  # the student has no folder of its own
    model = PrefAceForPreTraining.from_pretrained(published if published.exists() else checkpoint).eval()
    pixels = pixel_scale(PrefAceVideoProcessor.from_pretrained(checkpoint))
    instances, faces = spread(SORTED, data.num_rows), Faces(data)
    rows = map(faces.row, instances)
    clips = [
        plain_view(read_frames(row, parts.views.frames_of(int(row["num_frames"])))[0], parts.views.global_size)
        for row in rows
    ]
    groups = parts.method.groups(model, torch.stack(clips), pixels)
    return groups, [(name, [faces.face(instances[i], cosine) for i, cosine in row]) for name, row in groups.rows]


def nearest(data: Mixture, neighbors: Neighbors) -> list[list[Face]]:
    """Some instances, each with the nearest others, nearest first.

    Raises `ValueError` where `neighbors` knows another number of instances than `data` has.
    """
    if neighbors.count != data.num_rows:
        raise ValueError(
            f"{neighbors.place} has {neighbors.count} instances, the data {data.num_rows}: give the set that the run "
            f"was trained on."
        )
    instances, faces = spread(INSTANCES, data.num_rows), Faces(data)
    # One more than is shown, as an instance is mostly its own nearest.
    found = neighbors.nearest(instances, NEIGHBORS + 1)  # of ids and similarities (n, NEIGHBORS + 1)
    rows = []
    for instance, ids, similarities in zip(instances, *(values.tolist() for values in found), strict=True):
        others = [pair for pair in zip(ids, similarities, strict=True) if pair[0] != instance][:NEIGHBORS]
        rows.append([faces.face(instance), *(faces.face(*pair) for pair in others)])
    return rows
