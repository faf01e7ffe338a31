"""Recipes: which media a source holds, and their labels. A recipe is `recipe(src, media) -> Listing`."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .decoding import IMAGE_SUFFIXES, VIDEO_SUFFIXES


MEDIA = ("auto", "video", "image", "all")
METADATA = "metadata.csv"
SIDECARS = frozenset({".npy", ".pts"})
Label = str | int | float | None


@dataclass
class Item:
    """One media file: its path relative to the source (forward slashes), its split if stated, its labels."""

    source: str
    split: str | None = None
    labels: dict[str, Label] = field(default_factory=dict)


@dataclass
class Listing:
    """What a recipe found: the media to prepare, the label columns with their types, what it sets aside and why.

    `columns` maps a label's name to `string`, `int64` or `float64`; `aside` holds finished rows of the report.
    """

    items: list[Item]
    columns: dict[str, str]
    aside: list[dict[str, str]]


def folder(src: Path, media: str = "auto") -> Listing:
    """All media below `src` (or `src` itself, a file), sorted, with the column `label` from the first sub-folder.

    `metadata.csv` in `src` with a column `file_name` adds its other columns as labels; its column `split` chooses
    the split. `media` is `video`, `image`, `all`, or `auto`: videos if there is any, else images. Raises `ValueError`
    where there is nothing to prepare.
    """
    if media not in MEDIA:
        raise ValueError(f"unknown media {media!r}: choose one of {', '.join(MEDIA)}")
    if not src.exists():
        raise ValueError(f"{src} does not exist: check the path")
    names = [src.name] if src.is_file() else sorted(_files(src))
    chosen, aside = _choose(names, media)
    if not chosen:
        raise ValueError(f"{src} holds no {'video or image' if media in ('auto', 'all') else media}: check the path")
    items = [Item(name, labels={"label": _folder_label(name)}) for name in chosen]
    columns = {"label": "string"} if any(item.labels["label"] for item in items) else {}
    if src.is_dir() and (src / METADATA).is_file():
        table, extra = _read_metadata(src / METADATA)
        missing = sorted(set(table) - set(names))
        aside += [_aside(name, "left out", f"named in {METADATA} but not found") for name in missing]
        columns |= extra
        for item in items:
            item.labels |= table.get(item.source, {})
            item.split = item.labels.pop("split", None) or None  # type: ignore[assignment]
    columns.pop("split", None)
    for item in items:
        item.labels = {name: item.labels.get(name) for name in columns}
    return Listing(items, columns, aside)


RECIPES: dict[str, Callable[[Path, str], Listing]] = {"folder": folder}


def media_root(src: Path) -> Path:
    """The folder that the items' paths are relative to."""
    return src.parent if src.is_file() else src


def _files(src: Path) -> Iterator[str]:
    """Paths of all visible files below `src`, each real folder visited once however symlinks loop."""
    seen = set()
    for place, folders, files in os.walk(src, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name).relative_to(src).as_posix() for name in files if not name.startswith("."))


def _choose(names: list[str], media: str) -> tuple[list[str], list[dict[str, str]]]:
    """The media to prepare, and report rows for the rest."""
    kinds = {name: _kind(name) for name in names}
    if media == "auto":
        wanted = {"video"} if "video" in kinds.values() else {"image"}
    else:
        wanted = {"video", "image"} if media == "all" else {media}
    chosen = [name for name in names if kinds[name] in wanted]
    aside = [_aside(name, "ignored", _not_media(name)) for name in names if kinds[name] == "other"]
    unwanted = [name for name in names if kinds[name] in {"video", "image"} - wanted]
    if unwanted:
        kind = kinds[unwanted[0]]
        reason = f"{len(unwanted)} {kind}s set aside because media is {media!r}: pass media='all' to take them too"
        aside.append(_aside(f"*.{kind}", "ignored", reason))
    return chosen, aside


def _kind(name: str) -> str:
    suffix = Path(name).suffix.lower()
    if suffix in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
        return "video" if suffix in VIDEO_SUFFIXES else "image"
    return "known" if suffix in SIDECARS or name == METADATA else "other"


def _not_media(name: str) -> str:
    suffix = Path(name).suffix
    return f"files ending in {suffix} are not media" if suffix else "a file without an extension is not media"


def _aside(source: str, status: str, reason: str) -> dict[str, str]:
    return {"source": source, "status": status, "reason": reason}


def _folder_label(name: str) -> str | None:
    return name.split("/")[0] if "/" in name else None


def _read_metadata(file: Path) -> tuple[dict[str, dict[str, Label]], dict[str, str]]:
    """Rows of labels by file name, and the type of each label column."""
    with open(file, newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, restval="")
        rows = [{name: value for name, value in row.items() if name is not None} for row in reader]
        names = [name for name in reader.fieldnames or [] if name != "file_name"]
    if "file_name" not in (reader.fieldnames or []):
        raise ValueError(f"{file} has no column file_name: name the media files in it, relative to the folder")
    columns = {name: "string" if name == "split" else _type([row[name] for row in rows]) for name in names}
    table = {}
    for row in rows:
        source = row["file_name"].replace("\\", "/").removeprefix("./")
        table[source] = {name: _parse(row[name], kind) for name, kind in columns.items()}
    return table, columns


def _type(values: list[str]) -> str:
    """int64 or float64 where every value that is not empty reads so (007 is no number), else string."""
    filled = [value for value in values if value]
    if filled and all(_is_int(value) for value in filled):
        return "int64"
    return "float64" if filled and all(_is_int(value) or _is_float(value) for value in filled) else "string"


def _is_int(value: str) -> bool:
    try:
        return str(int(value)) == value and abs(int(value)) < 2**63
    except ValueError:
        return False


def _is_float(value: str) -> bool:
    try:
        return math.isfinite(float(value)) and "_" not in value and not (value[0] == "0" and value[1:].isdigit())
    except ValueError:
        return False


def _parse(value: str, kind: str) -> Label:
    if value == "":
        return None
    return {"string": str, "int64": int, "float64": float}[kind](value)
