"""What the page answers, as HTML with its pictures inside: nothing of a visitor's video is written to a file."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from preface_hf.demo.viewing import Seen, Viewer
from preface_hf.pictures.charts import png_of
from preface_hf.pictures.maps import attention_picture
from preface_hf.pictures.page import box, paragraph, photo, png
from preface_hf.pictures.sheets import PART_COLORS
from preface_hf.pictures.timeline import timeline_figure


NAMES = 4  # labels with a line of their own
LOOKING = (
    "The model's last layer looks at a face in several ways at once, by its heads. The brighter a place, the more a "
    "head takes from it. The face is that of the last picture above."
)
ALIKE = "Shown instead is how alike each moment is to the first one (1: the same; 0: unrelated)."
ENCODER_ALONE = f"This model has no head: it was trained without labels and says nothing about a face. {ALIKE}"
POINTS_ALONE = f"This model finds points, the dots above, and says nothing else about a face. {ALIKE}"


def answer(viewer: Viewer, seconds: float, faces: list[Seen]) -> str:
    """The whole answer for one video."""
    shown = "1 face" if len(faces) == 1 else f"{len(faces)} faces"
    span = faces[0].spans[0]
    dots = "68 points found on the face"
    if viewer.pointer is not None:
        dots = f"the {viewer.pointer.model.config.num_landmarks} points that the model finds, a guess as all it says"
    parts = [
        "<h2>Faces and their regions</h2>",
        paragraph(f"{seconds:.1f} seconds of video, {shown} followed. Dots: {dots}. Boxes:"),
        box("legend", [f'<span><i style="background:{color}"></i>{part.replace("_", " ")}</span>'
                       for part, color in PART_COLORS.items()]),
        *(strip(seen) for seen in faces),
        "<h2>Where the model looks</h2>",
        paragraph(LOOKING),
        *(attention(seen) for seen in faces),
        "<h2>Over time</h2>",
        paragraph(f"One answer for every {span[1] - span[0]:.2g} seconds of each face."),
        timeline(viewer, seconds, faces),
        "<h2>Similar clips</h2>",
        *similar(viewer, faces),
    ]  # fmt: skip
    return f'<div class="answer">{"".join(parts)}</div>'


def strip(seen: Seen) -> str:
    """The tiles of a face."""
    title = f"<b>face {seen.track}</b>, {seen.spans[0, 0]:.1f} to {seen.spans[-1, 1]:.1f} s"
    tiles = [photo(tile, "face with points and boxes", 192) for tile in seen.tiles]
    return f"<figure><figcaption>{title}</figcaption>{box('tiles', tiles)}</figure>"


def attention(seen: Seen) -> str:
    """What the heads look at on a face."""
    assert seen.crop is not None and seen.attention is not None
    picture = io.BytesIO()
    attention_picture(seen.crop, seen.attention).save(picture, "PNG")
    image = png(picture.getvalue(), f"attention of the heads on face {seen.track}")
    return f'<figure><figcaption><b>face {seen.track}</b></figcaption><div class="wide">{image}</div></figure>'


def timeline(viewer: Viewer, seconds: float, faces: list[Seen]) -> str:
    """Scores over time where there is a head, else how alike the moments are."""
    lines: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if viewer.predictor is None:
        said, ylabel = ENCODER_ALONE if viewer.pointer is None else POINTS_ALONE, "like the first moment"
        for seen in faces:
            lines[f"face {seen.track}"] = seen.spans, viewer.alike(seen)
    else:
        regression = viewer.predictor.problem == "regression"
        said = "What the model says is a guess from pictures, and it is often wrong."
        ylabel = "number" if regression else "probability"
        names = viewer.predictor.names
        for seen in faces:
            assert seen.scores is not None
            best = np.argsort(-seen.scores.mean(axis=0), kind="stable")[:NAMES]
            lines |= {f"face {seen.track}: {names[n]}": (seen.spans, seen.scores[:, n]) for n in best}
    figure = timeline_figure(lines, ylabel, seconds)
    return paragraph(said, "note") + f'<div class="chart">{png(png_of(figure), "values over time")}</div>'


def similar(viewer: Viewer, faces: list[Seen]) -> list[str]:
    """The nearest clips of the index for each face."""
    if viewer.index is None:
        return [paragraph("There is no set to compare with: start the page with --index and a prepared set.")]
    parts = [paragraph(f"The nearest of {len(viewer.index.names)} clips, by what the model sees (1: the same). "
                       "Alike is not the same person: light, pose and background count too.")]  # fmt: skip
    for seen in faces:
        found = [neighbor(*one) for one in viewer.similar(seen)]
        parts.append(f"<figure><figcaption><b>face {seen.track}</b></figcaption>{box('tiles', found)}</figure>")
    return parts


def neighbor(name: str, picture: Image.Image, cosine: float) -> str:
    """A clip of the index."""
    return f"<figure>{photo(picture, name, 120)}<figcaption>{cosine:.2f}</figcaption></figure>"
