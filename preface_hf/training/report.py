"""`report.html`: what a run was told to do, its curves, what it is shown, and what it finds alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from preface_hf.data.opening import Mixture
from preface_hf.files import replacing
from preface_hf.objectives.base import Terms
from preface_hf.pictures.curves import Curve, draw_curves
from preface_hf.pictures.faces import Face, nearest
from preface_hf.pictures.page import box, facts, page, paragraph, photo, png, section, table
from preface_hf.training.arguments import Parts, PretrainArguments
from preface_hf.training.checkpoint import best_checkpoint, latest_checkpoint
from preface_hf.training.gallery import Data, OpenRun, grouped, open_run, reconstructions, tubes
from preface_hf.training.log import read_metrics


WARNING = "This page shows faces of the data set. Keep it as you keep the data: do not publish it."


def write_report(run: str | Path, data: Data = None) -> Path:
    """Write `report.html` into the folder of a run, which may still be running; returns the file.

    Args:
        run: the run's `output_dir`.
        data: the set or sets it was trained on, open, or not where they were; without them the page has no faces.

    Raises `ValueError` if `run` holds no run, or `data` is given and is not what the run was trained on.
    """
    opened = open_run(run)
    folder, arguments, parts = opened.folder, opened.arguments, opened.parts
    rows = read_metrics(folder / "metrics.jsonl")
    body = [
        f"<h1>{escape(folder.resolve().name)}</h1>",
        paragraph(WARNING, "warn"),
        summary(arguments, rows, folder),
        *curve_sections(rows, parts.method.terms(parts.model)),
        *face_sections(opened, data),
        settings_section(opened.settings),
    ]
    with replacing(folder / "report.html") as temporary:
        temporary.write_text(page(f"{folder.resolve().name} – preface_hf", "\n".join(body)), encoding="utf-8")
    return folder / "report.html"


def try_report(folder: Path, data: Mixture) -> None:
    """[`write_report`], of which no failure ends a run that is at its end."""
    try:
        write_report(folder, data)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"{folder / 'report.html'} is not written ({reason}): try `preface-hf report {folder}`.", flush=True)


def summary(arguments: PretrainArguments, rows: list[dict[str, float]], folder: Path) -> str:
    """What the run is and how far it is."""
    shown: dict[str, Any] = {"method": arguments.method, "size": arguments.size, "data": name_of(arguments.data)}
    shown["steps"] = f"{rows[-1]['step'] if rows else 0:,} of {arguments.max_steps:,}"
    if rows:
        shown["epochs"], shown["loss"] = f"{rows[-1]['epoch']:.1f}", f"{rows[-1]['loss']:.4g}"
    probed = [row for row in rows if {"probe_knn", "probe_chance"} <= row.keys()]
    if probed:
        top = max(probed, key=lambda row: row["probe_knn"])
        shown["kNN probe"] = f"{100 * probed[-1]['probe_knn']:.1f} % (chance {100 * probed[-1]['probe_chance']:.1f})"
        shown["best kNN probe"] = f"{100 * top['probe_knn']:.1f} % after step {top['step']:,}"
    if arguments.keep_best and (best := best_checkpoint(folder / "checkpoints")):
        published = best / str(arguments.publish)  # the student has no folder of its own
        shown["best checkpoint"] = (published if published.exists() else best).relative_to(folder).as_posix()
    return facts(shown)


def name_of(data: str | Mapping[str, float]) -> str:
    """The last part of the path of each set."""
    return ", ".join(Path(path).name for path in ([data] if isinstance(data, str) else data))


def curve_sections(rows: list[dict[str, float]], terms: Terms) -> Iterator[str]:
    """A section for each group of curves."""
    if not rows:
        yield section("Curves", paragraph("No step is logged yet."))
        return
    try:
        # matplotlib is an extra: without it the rest of the page is written.
        groups = draw_curves(rows, terms)
    except ImportError:
        yield section(
            "Curves", paragraph("They are not drawn, as matplotlib is not installed: pip install matplotlib.")
        )
        return
    for group, curves in groups.items():
        yield section(group, box("grid", map(curve_card, curves)))


def curve_card(curve: Curve) -> str:
    """A picture under the names and last values of what it shows."""
    values = ", ".join(f"<b>{escape(n)}</b> {v:.4g}" for n, v in zip(curve.names, curve.last, strict=True))
    picture = png(curve.picture, f"{', '.join(curve.names)} over the steps", "curve")
    note = f'<br><span class="faint">{escape(curve.note)}</span>' if curve.note else ""
    return f'<figure class="card"><figcaption>{values}{note}</figcaption>{picture}</figure>'


def face_sections(opened: OpenRun, data: Data) -> Iterator[str]:
    """Tubes or reconstructions, groups and neighbors; a sentence in their place where the set is gone."""
    arguments, parts, checkpoint = opened.arguments, opened.parts, latest_checkpoint(opened.folder / "checkpoints")
    try:
        mixture = opened.mixture(data)
        if parts.method.reconstruct:
            yield reconstruction_section(mixture, arguments, parts, checkpoint)
        else:
            yield tube_section(mixture, arguments, parts)
        if parts.method.groups:
            yield group_section(mixture, arguments, parts, checkpoint)
        if parts.method.neighbors:
            yield neighbor_section(mixture, parts, checkpoint)
    except ValueError as error:
        # A set that was named must fit; the run's own may have been moved since, which ends no report.
        if data:
            raise
        yield section("Faces", paragraph(f"None are shown: {error} `preface-hf report RUN --data SET` names the set."))


def tube_section(data: Mixture, arguments: PretrainArguments, parts: Parts) -> str:
    """The tubes of some clips."""
    text = "Each strip is a tube over its time, as the student saw it in the first epoch, color change included."
    figures = [paragraph(text, "faint")]
    for clip in tubes(data, arguments, parts):
        strips = []
        for name, strip in clip.strips:
            picture = photo(strip, f"tube: {name}", 88 if name == "global" else 52)
            strips.append(f"<figure><figcaption>{escape(name.replace('_', ' '))}</figcaption>{picture}</figure>")
        figures += [f"<h3>instance {escape(clip.name)}</h3>", box("tubes", strips)]
    return section("Tubes", *figures)


def reconstruction_section(data: Mixture, arguments: PretrainArguments, parts: Parts, checkpoint: Path | None) -> str:
    """Some clips, what is hidden of them, and what the student makes of the rest."""
    if checkpoint is None:
        return section("Reconstructions", paragraph("There is no checkpoint yet."))
    text = (
        f"Each clip with the mask of the first epoch: whole, as the student of {checkpoint.name} sees it, and filled."
    )
    figures = [paragraph(text, "faint")]
    for clip in reconstructions(data, arguments, parts, checkpoint):
        strips = [
            f"<figure><figcaption>{escape(name)}</figcaption>{photo(strip, f'clip: {name}', 88)}</figure>"
            for name, strip in clip.strips
        ]
        figures += [f"<h3>instance {escape(clip.name)}</h3>", box("tubes", strips)]
    return section("Reconstructions", *figures)


def group_section(data: Mixture, arguments: PretrainArguments, parts: Parts, checkpoint: Path | None) -> str:
    """Some groups of faces that the run's model sorts together."""
    if checkpoint is None:
        return section("Groups", paragraph("There is no checkpoint yet."))
    groups, rows = grouped(data, arguments, parts, checkpoint)
    lines = []
    for name, faces in rows:
        lines += [f"<h3>{escape(name)}</h3>", box("faces", map(face_figure, faces))]
    return section(groups.title, paragraph(groups.note, "faint"), *lines)


def neighbor_section(data: Mixture, parts: Parts, checkpoint: Path | None) -> str:
    """Some instances with those that the run finds most alike."""
    if checkpoint is None or parts.method.neighbors is None:
        return section("Nearest neighbors", paragraph("There is no checkpoint yet."))
    neighbors = parts.method.neighbors(checkpoint, parts.objective)
    lines = [box("faces", map(face_figure, row)) for row in nearest(data, neighbors)]
    return section(neighbors.title, paragraph(neighbors.note, "faint"), box("rows", lines))


def face_figure(face: Face) -> str:
    """A face with its similarity and name."""
    name = f'<span title="{escape(face.name)}">{escape(face.name)}</span>'
    similarity = "instance" if face.similarity is None else f"<b>{face.similarity:.3f}</b>"
    picture = photo(face.picture, face.name, face.picture.height)
    return f"<figure>{picture}<figcaption>{similarity}{name}</figcaption></figure>"


def settings_section(settings: Mapping[str, Any]) -> str:
    """Every setting of `config.yaml`."""
    parts = {"model", "views", "objective"} & settings.keys()
    run = {name: value for name, value in settings.items() if name not in parts}
    tables = [table("run", run), *(table(name, settings[name]) for name in sorted(parts))]
    return section("Settings", box("columns", tables))
