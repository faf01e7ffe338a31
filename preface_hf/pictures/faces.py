"""Faces of a set beside each other, with how alike a model finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from preface_hf.data.opening import Mixture
from preface_hf.data.order import rows_in_order
from preface_hf.data.row_groups import open_parquet
from preface_hf.data.streams import read_frames
from preface_hf.objectives.base import Neighbors
from preface_hf.pictures.words import MARGIN, NOTE, WORD, fitted, font, headed


INSTANCES, NEIGHBORS = 6, 5  # shown at once
FACE = 96  # pixels of a face
GAP, BREAK = 6, 14  # between faces, and behind the one that others are compared with
LINE, HEADING = WORD + 3, NOTE + 7


@dataclass
class Face:
    """The middle frame of an instance; `similarity` is its cosine with what it stands beside, if anything."""

    name: str
    picture: Image.Image
    similarity: float | None = None


class Faces:
    """Rows of prepared sets by instance id, read one by one."""

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


def faces_picture(title: str, note: str, rows: Sequence[tuple[str, list[Face]]]) -> Image.Image:
    """Rows of faces below a title and a note, each face with its cosine and its name.

    Args:
        title: of the picture.
        note: what is to be known of it, in a sentence or two.
        rows: what stands above each row (may be empty), and its faces; the one that others are compared with has no
            similarity and comes first.
    """
    heading = HEADING if any(name for name, _ in rows) else 0
    step = heading + FACE + 2 * LINE + GAP
    width = 2 * MARGIN + BREAK + max((len(faces) for _, faces in rows), default=1) * (FACE + GAP)
    picture, draw, top = headed(title, note, width, len(rows) * step)
    for number, (name, faces) in enumerate(rows):
        y = top + number * step
        draw.text((MARGIN, y), name, fill="black", font=font(NOTE))
        for column, face in enumerate(faces):
            x = MARGIN + column * (FACE + GAP) + (BREAK if column and faces[0].similarity is None else 0)
            put_face(picture, draw, face, x, y + heading)
    return picture


def put_face(picture: Image.Image, draw: Any, face: Face, x: int, y: int) -> None:
    """A face with its words below it."""
    picture.paste(face.picture.resize((FACE, FACE)), (x, y))
    said = "asked for" if face.similarity is None else f"{face.similarity:.3f}"
    draw.text((x, y + FACE), said, fill="black", font=font(WORD))
    draw.text((x, y + FACE + LINE - 1), fitted(face.name, WORD - 2, FACE), fill="#555555", font=font(WORD - 2))
