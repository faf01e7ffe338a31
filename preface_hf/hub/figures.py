"""The pictures of a card: curves and confusions, on white, since the Hub may be dark."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
from PIL import Image

from preface_hf.pictures.charts import confusion_figure, error_figure, png_of
from preface_hf.pictures.curves import LOSSES, draw_curves
from preface_hf.tasks.results.details import LIMIT
from preface_hf.tasks.results.reading import Run
from preface_hf.tasks.results.report import terms_of
from preface_hf.training.arguments import PretrainArguments, build


SHOWN = (LOSSES, "Probe", "Scores on validation")


def pretraining_figures(settings: dict[str, Any], rows: list[dict[str, float]]) -> dict[str, bytes]:
    """The losses of a run, and its probe."""
    known = {field.name for field in dataclasses.fields(PretrainArguments)}
    arguments = build(PretrainArguments, {k: v for k, v in settings.items() if k in known}, "config.yaml")
    parts = arguments.parts()
    return curves(rows, parts.method.terms(parts.model))


def finetuning_figures(run: Run) -> dict[str, bytes]:
    """The losses of a run, and who is taken for whom on the test split."""
    found = curves(run.log, terms_of(run.log))
    try:
        scores = run.scores.get("test") or {}
        if "confusion" in scores:
            names = [str(run.about["names"][place]) for place in scores["classes"]]
            found["confusion"] = on_white(png_of(confusion_figure(np.array(scores["confusion"]), names)))
        if run.about["task"] == "landmarks" and (rows := run.predictions.get("test")):
            errors = np.array([row["error"] for row in rows if row.get("error") is not None], dtype=float)
            found["errors"] = on_white(png_of(error_figure(errors[np.isfinite(errors)], LIMIT)))
    except ImportError:
        pass
    return found


def curves(rows: list[dict[str, float]], terms: Any) -> dict[str, bytes]:
    """Losses and scores over the steps by name; none without matplotlib, which is an extra, and without a log."""
    try:
        groups = draw_curves(rows, terms) if rows else {}
    except ImportError:
        return {}
    pictures = [curve for group in SHOWN for curve in groups.get(group, [])]
    return {curve.names[0]: on_white(curve.picture) for curve in pictures}


def on_white(png: bytes) -> bytes:
    """A transparent picture on white."""
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    white, file = Image.new("RGBA", picture.size, "white"), io.BytesIO()
    Image.alpha_composite(white, picture).convert("RGB").save(file, "png", optimize=True)
    return file.getvalue()
