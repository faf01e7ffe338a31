"""Faces of a run: what its clips look like in training, what its model makes of them, and which it finds alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from preface_hf.data.opening import Mixture, open_mixture
from preface_hf.data.streams import read_frames
from preface_hf.data.views import plain_view
from preface_hf.modeling import PrefAceForPreTraining, PrefAceVideoProcessor
from preface_hf.objectives.base import Groups
from preface_hf.objectives.methods import METHODS
from preface_hf.pictures.faces import Face, Faces, faces_picture, nearest, spread
from preface_hf.pictures.sheets import Clip, clip_strip, strips_picture, tube_strips
from preface_hf.training.arguments import Parts, PretrainArguments, build, with_new_names
from preface_hf.training.build import pixel_scale
from preface_hf.training.checkpoint import latest_checkpoint, saved_settings


CLIPS = 3  # shown at once
SORTED = 256  # instances of which groups are made
Data = str | Path | Mapping[str, float] | Mixture | None


@dataclass(frozen=True)
class OpenRun:
    """A run of pretraining: its folder, `config.yaml`, and what that says."""

    folder: Path
    settings: dict[str, Any]
    arguments: PretrainArguments
    parts: Parts

    def mixture(self, data: Data = None) -> Mixture:
        """The sets that it was trained on, or `data` where they lie elsewhere now."""
        data = str(data) if isinstance(data, Path) else data
        return data if isinstance(data, Mixture) else open_mixture(data or self.arguments.data)

    def checkpoint(self, what: str) -> Path:
        """The latest checkpoint of a method that has `what`; `ValueError` where there is none."""
        if getattr(self.parts.method, what) is None:
            known = [name for name, method in METHODS.items() if getattr(method, what)]
            raise ValueError(
                f"a run of {self.arguments.method} has no {what} to show: give one of {' or '.join(known)}."
            )
        found = latest_checkpoint(self.folder / "checkpoints")
        if found is None:
            raise ValueError(
                f"{str(self.folder)!r} has no checkpoint yet: wait until step {self.arguments.save_steps}."
            )
        return found


def open_run(run: str | Path) -> OpenRun:
    """Open the folder of a run, which may still be running; `ValueError` where it holds none."""
    folder = Path(run)
    if not (folder / "config.yaml").exists():
        raise ValueError(f"{str(folder)!r} holds no run (no config.yaml): give the --output-dir of one.")
    settings = saved_settings(folder)
    arguments = build(PretrainArguments, with_new_names(settings), str(folder / "config.yaml"))
    return OpenRun(folder, settings, arguments, arguments.parts())


def neighbors_picture(run: str | Path, data: Data = None) -> Image.Image:
    """Some faces of a PrefAce run, each with the nearest others in its FaceFeat Cache and their cosines.

    Args:
        run: the run's `output_dir`.
        data: the set or sets it was trained on, where they are not where they were.

    Raises `ValueError` if `run` holds no such run, or `data` is not what it was trained on.
    """
    opened = open_run(run)
    checkpoint, parts = opened.checkpoint("neighbors"), opened.parts
    assert parts.method.neighbors is not None
    neighbors = parts.method.neighbors(checkpoint, parts.objective)
    rows = nearest(opened.mixture(data), neighbors)
    return faces_picture(neighbors.title, neighbors.note, [("", faces) for faces in rows])


def reconstructions_picture(run: str | Path, data: Data = None) -> Image.Image:
    """Some clips of a run of a masked autoencoder: as they are, as the student sees them, and as it fills them.

    Args:
        run: the run's `output_dir`.
        data: the set or sets it was trained on, where they are not where they were.

    Raises `ValueError` if `run` holds no such run.
    """
    opened = open_run(run)
    checkpoint = opened.checkpoint("reconstruct")
    clips = reconstructions(opened.mixture(data), opened.arguments, opened.parts, checkpoint)
    views = opened.parts.views
    note = f"{views.mask_ratio:.0%} of the tokens are hidden ({views.mask_strategy}): gray. Model: {checkpoint.name}."
    # Such a model is told the mean of what it is to fill, so that the picture is better than what it knows.
    if opened.parts.objective.targets == "normalized":
        note += " Color and contrast of each hidden token are those of the original: the model predicts its texture."
    return strips_picture("Clips, hidden in part and reconstructed", note, clips)


def prototypes_picture(run: str | Path, data: Data = None) -> Image.Image:
    """The prototypes of a ProS run that most faces are nearest to, each with its nearest faces and their cosines.

    Args:
        run: the run's `output_dir`.
        data: the set or sets it was trained on, where they are not where they were.

    Raises `ValueError` if `run` holds no such run.
    """
    opened = open_run(run)
    checkpoint = opened.checkpoint("groups")
    groups, rows = grouped(opened.mixture(data), opened.arguments, opened.parts, checkpoint)
    return faces_picture(groups.title, groups.note, rows)


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
