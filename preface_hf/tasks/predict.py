"""What a fine-tuned model says of the faces in videos, window by window and face by face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from preface_hf.faces.landmarkers import Landmarker, load_landmarker, resolve_landmarker
from preface_hf.faces.squares import one_opencv_thread
from preface_hf.features.sources import Corpus, open_corpus, sources
from preface_hf.files import check_path, replacing
from preface_hf.progress import rows_shown
from preface_hf.tasks.predicting.overlay import Scene, write_overlay
from preface_hf.tasks.predicting.predictions import Prediction, as_text, format_of
from preface_hf.tasks.predicting.predictor import Predictor, load_predictor
from preface_hf.video.windows import Window, window_mean


DIGITS = 2  # of a pixel


@dataclass
class Answer:
    """What the model said of one window: `values` `(names,)`, or `(frames, points, 2)`, of the track `key`."""

    key: tuple[int, int]
    row: dict[str, Any]
    values: np.ndarray


def predict(
    run: str | Path,
    src: str | Path,
    out: str | Path | None = None,
    *,
    overlay: str | Path | None = None,
    landmarker: str = "auto",
    weights: str | Path | None = None,
    batch_size: int = 8,
    top: int | None = None,
) -> list[Prediction]:
    """What the model in `run` says of every window of every face in `src`, and of every face on the whole.

    Args:
        run: checkpoint folder or Hub name of a model for video classification or landmark detection.
        src: a video, a folder of videos, or a prepared set.
        out: file to write, .json or .csv.
        overlay: .mp4 to write: the video, which is then a single one, with what was said drawn into it.
        landmarker, weights: how faces are found, as of `extract`.
        batch_size: windows a forward pass.
        top: how many of the best names a row lists; None: all.

    Returns:
        The rows of the windows of a face and then its own, the mean of these by their number of frames; at the end
        what was left out, with the reason.

    Raises `ValueError` for a checkpoint without a trained head, for a file to write that exists, and where there is no
    prediction at all.
    """
    src = Path(src).resolve()
    target, drawn = check_targets(src, out, overlay)
    if batch_size < 1 or (top is not None and top < 1):
        raise ValueError(f"batch_size={batch_size} and top={top} must be 1 or more: give larger ones.")
    predictor, corpus = load_predictor(run), open_corpus(src)
    finder = None if corpus.prepared else load_landmarker(resolve_landmarker(landmarker, weights), weights)
    left_out, answers, scenes = list(corpus.left_out), [], []
    items = windows_of(corpus, predictor, finder, left_out)
    with one_opencv_thread():
        while block := list(islice(items, batch_size)):
            values = predictor([window.frames for _, _, window in block])
            for (key, row, window), said in zip(block, values, strict=True):
                said = predictor.in_source(said, window) if predictor.finds_landmarks else said
                answers.append(Answer(key, row, said))
                if drawn:
                    scenes.append(scene(describe(answers[-1], predictor, top), window, key[1]))
    if not answers:
        reason = f": {left_out[0]['source']}: {left_out[0]['reason']}" if left_out else ""
        raise ValueError(f"no prediction came out of {str(src)!r}{reason}; give videos that show a face.")
    rows = [
        *summed_up(answers, predictor, top),
        *(Prediction("left out", line["source"], reason=line["reason"]) for line in left_out),
    ]
    if target:
        with replacing(target) as temporary:
            temporary.write_text(as_text(rows, format_of(target)), encoding="utf-8")
    if drawn:
        write_overlay(src, drawn, scenes, predictor.name)
    return rows


def check_targets(src: Path, out: str | Path | None, overlay: str | Path | None) -> tuple[Path | None, Path | None]:
    """The files to write, before any work is done; `ValueError` where one cannot be."""
    target, drawn = (Path(file).resolve() if file else None for file in (out, overlay))
    for file in filter(None, (target, drawn)):
        check_path(file)
        if file.exists():
            raise ValueError(f"{str(file)!r} exists: choose another name, or delete it.")
        if not file.parent.is_dir():
            raise ValueError(f"the folder of {str(file)!r} does not exist: make it first.")
    if target:
        format_of(target)
    if drawn and drawn.suffix.lower() != ".mp4":
        raise ValueError(f"the overlay {str(drawn)!r} is not an .mp4: give it this ending.")
    if drawn and not src.is_file():
        raise ValueError(f"an overlay is of one video, and {str(src)!r} is none: name one, or leave the overlay out.")
    return target, drawn


def windows_of(
    corpus: Corpus, predictor: Predictor, finder: Landmarker | None, left_out: list[dict[str, str]]
) -> Iterator[tuple[tuple[int, int], dict[str, Any], Window]]:
    """The windows of a corpus with the numbers of their video, or row, and face; failures go to `left_out`."""
    number = 0
    for file in rows_shown(corpus.files, "predicting", len(corpus.files)):
        for source, described in sources(corpus, file, predictor, finder):
            number += 1
            # The windows before a damaged place stay, and the video is listed.
            try:
                for row, window in described:
                    yield (number, row.get("track") or 0), row, window
            except (ValueError, OSError) as error:
                left_out.append({"source": source, "reason": " ".join(str(error).split())})


def summed_up(answers: list[Answer], predictor: Predictor, top: int | None) -> Iterator[Prediction]:
    """The rows of the windows, those of a face followed by its own."""
    for key, group in groupby(answers, lambda answer: answer.key):
        track = list(group)
        yield from (describe(answer, predictor, top) for answer in track)
        counts = [answer.row["num_frames"] for answer in track]
        row = {**track[0].row, "end_seconds": track[-1].row["end_seconds"], "num_frames": sum(counts)}
        if predictor.finds_landmarks:  # of points there is no mean over time
            yield as_row("track", row)
        else:
            mean = window_mean(np.stack([answer.values for answer in track]), counts)
            yield describe(Answer(key, row, mean), predictor, top, kind="track")


def as_row(kind: str, row: dict[str, Any]) -> Prediction:
    """A row that says when, not yet what."""
    frames = int(row["num_frames"])
    return Prediction(kind, row["source"], row.get("track"), row["start_seconds"], row["end_seconds"], frames)


def describe(answer: Answer, predictor: Predictor, top: int | None, kind: str = "window") -> Prediction:
    """An answer as a row."""
    found, values = as_row(kind, answer.row), answer.values
    if predictor.finds_landmarks:
        found.landmarks = np.round(values.astype(float), DIGITS).tolist()
        return found
    best = np.argsort(-values, kind="stable") if predictor.problem != "regression" else np.arange(len(values))
    found.scores = {predictor.names[place]: float(values[place]) for place in best[:top]}
    if predictor.problem == "single_label_classification":
        found.label = predictor.names[best[0]]
    elif predictor.problem == "multi_label_classification":
        found.label = [predictor.names[place] for place in best if values[place] >= 0.5]
    if predictor.problem != "regression" or len(values) == 1:
        found.score = float(values[best[0]])
    return found


def scene(said: Prediction, window: Window, track: int) -> Scene:
    """What is drawn into the frames of a window."""
    points = None if said.landmarks is None else np.array(said.landmarks, np.float32)
    return Scene(
        window.first,
        window.first + window.stop - window.start,
        track,
        [f"{name} {score}".strip() for name, score in said.said],
        window.faces,
        points,
    )
