"""What a model says of the rows of a set, and how good that is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from preface_hf.files import replacing
from preface_hf.progress import rows_shown
from preface_hf.tasks.rows.clips import LabeledClips
from preface_hf.tasks.rows.labels import LabelSpace
from preface_hf.tasks.rows.splits import files_left_out


# The score that checkpoints and strengths are chosen by, and whether more is better.
PRIMARY = {
    "expression": ("war", True),
    "attributes": ("mean_auc", True),
    "deepfake": ("auc", True),
    "landmarks": ("nme", False),
}


@torch.inference_mode()
def run_model(model: torch.nn.Module, clips: LabeledClips, batch_size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Logits (or points) and labels of all clips, in their order: float32 `(clips, …)` each."""
    device = next(model.parameters()).device
    found, truths = [], []
    batches = DataLoader(clips, batch_size)  # type: ignore[arg-type]
    for batch in rows_shown(batches, "scoring", len(batches)):
        output = model.eval()(pixel_values_videos=batch["pixel_values_videos"].to(device))
        found.append(output["landmarks" if clips.labels.kind == "landmarks" else "logits"].float().cpu())
        truths.append(batch["labels"].float())
    return torch.cat(found).numpy(), torch.cat(truths).numpy()


def by_row(labels: LabelSpace, outputs: np.ndarray, truths: np.ndarray, windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `(rows, names)`, the mean over a row's windows, and its labels; points are as they are."""
    if labels.kind == "landmarks":
        return outputs, truths
    # A row's windows follow each other.
    logits = torch.as_tensor(np.asarray(outputs), dtype=torch.float64).unflatten(0, (-1, windows))
    chances = logits.sigmoid() if labels.is_multilabel else logits.softmax(-1)
    return chances.mean(1).numpy(), np.asarray(truths)[::windows]


def score(
    labels: LabelSpace,
    chances: np.ndarray,
    truths: np.ndarray,
    groups: Sequence[str] | None = None,
    videos: Sequence[str] | None = None,
    samples: int = 0,
    threshold: float = 0.5,
) -> dict[str, Any]:
    """The metrics of a task of what [`by_row`] returns; intervals of `samples` draws of `groups`. `threshold` is that
    of fakes."""
    from preface_hf.metrics.attributes import Attributes
    from preface_hf.metrics.classes import Classes
    from preface_hf.metrics.fakes import Fakes
    from preface_hf.metrics.landmarks import Landmarks

    more = {"groups": groups, "samples": samples}
    if labels.kind == "landmarks":
        points, truths, places = faces(chances, truths)
        more["groups"] = None if groups is None else [groups[place] for place in places]
        return Landmarks().compute(predictions=points.tolist(), references=truths.tolist(), **more)
    if labels.is_multilabel:
        return Attributes().compute(predictions=chances, references=truths, **more)
    if labels.kind == "deepfake":
        fake = labels.names.index("fake")
        return Fakes().compute(
            predictions=chances[:, fake], references=(truths == fake).astype(int), videos=videos, threshold=threshold,
            **more,
        )  # fmt: skip
    return Classes().compute(predictions=chances.argmax(-1), references=truths, **more)


def fake_threshold(labels: LabelSpace, chances: np.ndarray, truths: np.ndarray, videos: Sequence[str]) -> float:
    """The probability from which on a video counts as fake, as these rows have it; 0.5 of other tasks. On people or
    cameras that training has not seen all scores may lie on one side of 0.5."""
    if labels.kind != "deepfake":
        return 0.5
    from preface_hf.metrics.fakes import best_threshold

    fake = labels.names.index("fake")
    _, first, places = np.unique(videos, return_index=True, return_inverse=True)
    means = np.bincount(places, chances[:, fake]) / np.bincount(places)
    return best_threshold(means, (truths[first] == fake).astype(int))


def faces(points: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Points `(faces, 68, 2)` found and true, and the row of each, of `(rows, T, 68, 2)`: every frame of a video is a
    face, a still one face, the mean over the frames that repeat it."""
    found, right, places = [], [], []
    for place, (guess, truth) in enumerate(zip(points, truths, strict=True)):
        still = (truth == truth[0]).all()
        found += [guess.mean(0)] if still else list(guess)
        right += [truth[0]] if still else list(truth)
        places += [place] * (1 if still else len(truth))
    return np.stack(found), np.stack(right), places


def metrics_of(clips: LabeledClips, labels: LabelSpace) -> Callable[[Any], dict[str, Any]]:
    """A `compute_metrics` for `Trainer`: the scores of the rows of `clips`, whose windows are averaged."""

    def compute(found: Any) -> dict[str, Any]:
        scores = score(labels, *by_row(labels, found.predictions, found.label_ids, clips.windows))
        # The Trainer logs numbers.
        return {name: v for name, v in scores.items() if not isinstance(v, list) and name != "threshold"}

    return compute


def write_scores(
    folder: Path,
    name: str,
    clips: LabeledClips,
    found: tuple[np.ndarray, np.ndarray],
    groups: Sequence[str],
    samples: int,
    threshold: float | None = 0.5,
) -> dict[str, Any]:
    """Write `scores-NAME.json`, with intervals, and `predictions-NAME.jsonl`, a line a row; returns the scores.

    Args:
        folder: of the run.
        name: of the part.
        clips: its clips.
        found: of [`by_row`].
        groups: who is seen in each row.
        samples: draws for the intervals.
        threshold: probability from which on a video counts as fake; `None`: the best one on these rows, which is then
            in the scores.
    """
    rows = clips.rows[:: clips.windows]
    sources = [clips.table[row]["source"] for row in rows]
    if threshold is None:
        threshold = fake_threshold(clips.labels, *found, sources)
    scores = score(clips.labels, *found, groups, sources, samples, threshold)
    scores |= {"left_out": clips.left_out, "files_left_out": files_left_out(clips.data)}
    with replacing(folder / f"scores-{name}.json") as file:
        file.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    with replacing(folder / f"predictions-{name}.jsonl") as file, file.open("w", encoding="utf-8") as lines:
        for place, row in enumerate(rows):
            known = {"source": sources[place], "track": clips.table[row]["track"], "group": str(groups[place])}
            lines.write(json.dumps(known | prediction(clips.labels, found[0][place], found[1][place])) + "\n")
    return scores


def prediction(labels: LabelSpace, chances: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """What a line says of a row: its label and the probability of each name, or its error and points."""
    if labels.kind == "landmarks":
        from preface_hf.metrics.landmarks import face_sizes

        points, right, _ = faces(chances[None], truth[None])
        errors = np.linalg.norm(points - right, axis=-1).mean(1) / face_sizes(right, "ocular")
        return {"error": float(errors.mean()), "points": points[0].tolist(), "truth": right[0].tolist()}
    scores = dict(zip(labels.names, map(float, chances), strict=True))
    if labels.is_multilabel:
        return {"label": {name: int(value) for name, value in zip(labels.names, truth, strict=True)}, "scores": scores}
    return {"label": labels.names[int(truth)], "scores": scores}
