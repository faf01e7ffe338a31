"""Faces of a run's report: the tubes of some clips as they are trained on, and neighbors in the FaceFeat Cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from preface_hf.data.opening import Mixture
from preface_hf.data.order import rows_in_order
from preface_hf.data.row_groups import open_parquet
from preface_hf.data.streams import ViewStream, read_frames
from preface_hf.objectives.facefeat_cache import nearest_entries
from preface_hf.pictures.sheets import tube_strips
from preface_hf.training.arguments import PretrainArguments
from preface_hf.training.checkpoint import saved_objective


CLIPS, INSTANCES, NEIGHBORS = 3, 6, 5  # shown on a page
FACE = 96  # pixels of a face on it


@dataclass
class Clip:
    """A clip and its tubes, each as a name and a strip of frames."""

    name: str
    strips: list[tuple[str, Image.Image]]


@dataclass
class Face:
    """The middle frame of an instance; `similarity` is the cosine of its entry and the one asked for, if another."""

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


def tubes(data: Mixture, arguments: PretrainArguments) -> list[Clip]:
    """The tubes of some clips, as the run cuts them in its first epoch."""
    stream = ViewStream(data, arguments.view_config(), arguments.batch_size, arguments.seed)
    rows = map(Faces(data).row, spread(CLIPS, data.num_rows))
    return [Clip(row["name"], tube_strips(stream.views(0, row))) for row in rows]


def nearest(data: Mixture, checkpoint: Path) -> list[list[Face]]:
    """Some instances, each with the nearest others by the FaceFeat Cache of `checkpoint`, nearest first.

    Raises `ValueError` where the cache has another number of instances than `data`.
    """
    _, entries = saved_objective(checkpoint)
    if len(entries) != data.num_rows:
        raise ValueError(
            f"the FaceFeat Cache of {checkpoint} has {len(entries)} instances, the data {data.num_rows}: give the set "
            f"that the run was trained on."
        )
    asked, faces = spread(INSTANCES, data.num_rows), Faces(data)
    found = nearest_entries(entries, entries[asked], NEIGHBORS + 1)
    rows = []
    for instance, ids, similarities in zip(asked, *(values.tolist() for values in found), strict=True):
        others = [pair for pair in zip(ids, similarities, strict=True) if pair[0] != instance][:NEIGHBORS]
        rows.append([faces.face(instance), *(faces.face(*pair) for pair in others)])
    return rows
