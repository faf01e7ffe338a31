"""What a page tells beside the scores: who is taken for whom, what a probability is worth, errors of points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from preface_hf.metrics.calibration import reliability
from preface_hf.pictures.charts import NUMBERED, confusion_figure, error_figure, png_of, reliability_figure
from preface_hf.pictures.page import grid_table, paragraph, png, section
from preface_hf.tasks.results.reading import number


LIMIT = 0.1  # error of a landmark failure (preface_hf.metrics.landmarks)
Predictions = list[dict[str, Any]]


def details(about: Mapping[str, Any], scores: Mapping[str, Any], predictions: Predictions) -> Iterator[str]:
    """The sections of a task."""
    if about["task"] == "landmarks":
        yield from error_sections(about, predictions)
        return
    if "confusion" in scores:
        yield confusion_section(scores, about["names"])
    if "auc_of" in scores:
        yield attribute_section(scores, about["names"], predictions)
    yield from reliability_sections(about["task"], predictions)


def confusion_section(scores: Mapping[str, Any], names: list[str]) -> str:
    """The confusion as a picture, and its numbers as a table."""
    counts = np.array(scores["confusion"])
    shown = [str(names[place]) if place < len(names) else str(place) for place in scores["classes"]]
    figure = confusion_figure(counts, shown)
    # The small letters of many classes get the width of the page.
    width = min(1150, round(figure.get_figwidth() * (96 if len(counts) <= NUMBERED else 132)))
    picture = png(png_of(figure), "confusion: rows are truths, columns guesses", "curve")
    rows = [[name, *row, row.sum()] for name, row in zip(shown, counts, strict=True)]
    table = grid_table(["truth \\ guess", *shown, "all"], rows)
    return section(
        "Confusion",
        paragraph("Rows are truths, columns guesses; a cell is darker the larger its share of its row.", "faint"),
        f'<figure class="card" style="max-width: {width}px">{picture}</figure>',
        f"<details><summary>The numbers</summary>{table}</details>",
    )


def attribute_section(scores: Mapping[str, Any], names: list[str], predictions: Predictions) -> str:
    """Each attribute by itself, the lowest AUC first."""
    rows = []
    for name, accuracy, area in zip(names, scores["accuracy_of"], scores["auc_of"], strict=True):
        labels = [row["label"][name] for row in predictions if row.get("label") and row["label"].get(name) is not None]
        positive = sum(map(bool, labels))
        # What saying the more frequent answer every time would score.
        blind = max(positive, len(labels) - positive) / len(labels) if labels else None
        rows.append([name, number(area), number(accuracy), number(blind), positive, len(labels)])
    rows.sort(key=lambda row: (row[1] == "–", row[1]))
    head = ["attribute", "AUC", "accuracy", "the more frequent answer", "positives", "labeled"]
    return section("Attributes", paragraph("The lowest AUC first.", "faint"), grid_table(head, rows))


def reliability_sections(task: str, predictions: Predictions) -> Iterator[str]:
    """How often what was said with a probability came true."""
    said, pairs = spoken(task, predictions)
    if not pairs:
        return
    probabilities, came_true = (np.array(values, dtype=float) for values in zip(*pairs, strict=True))
    found = reliability(probabilities, came_true)
    picture = png_of(reliability_figure(found.confidence, found.share, found.count, found.ece, said))
    yield section(
        "Reliability",
        paragraph(
            f"Expected calibration error {found.ece:.4f} over {len(pairs):,} values ({len(found.count)} bins of equal "
            f"width): the mean distance between a probability and how often it came true.",
            "faint",
        ),
        f'<figure class="card" style="max-width: 420px">{png(picture, "reliability", "curve")}</figure>',
    )


def spoken(task: str, predictions: Predictions) -> tuple[str, list[tuple[float, bool]]]:
    """What a probability is of, and each with whether it came true."""
    labeled = [row for row in predictions if row.get("label") is not None]
    if task == "deepfake":
        return "p(fake)", [(row["scores"]["fake"], row["label"] == "fake") for row in labeled]
    if any(isinstance(row["label"], dict) for row in labeled):
        cells = ((row["scores"][name], value) for row in labeled for name, value in row["label"].items())
        return "p(attribute)", [(score, bool(value)) for score, value in cells if value is not None]
    tops = ((max(row["scores"].items(), key=lambda pair: pair[1]), str(row["label"])) for row in labeled)
    return "probability of the guess", [(score, name == label) for (name, score), label in tops]


def error_sections(about: Mapping[str, Any], predictions: Predictions) -> Iterator[str]:
    """The cumulative curve of errors."""
    errors = np.array([row["error"] for row in predictions if row.get("error") is not None], dtype=float)
    errors = errors[np.isfinite(errors)]
    if not len(errors):
        return
    limit = float((about.get("settings") or {}).get("limit") or LIMIT)
    picture = png(png_of(error_figure(errors, limit)), "share of faces by error", "curve")
    text = f"Median {np.median(errors):.4f}, 90 % of {len(errors):,} faces below {np.quantile(errors, 0.9):.4f}."
    yield section(
        "Errors",
        paragraph(text, "faint"),
        f'<figure class="card" style="max-width: 460px">{picture}</figure>',
    )
