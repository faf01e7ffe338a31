"""The recipe `folder`: all media below a folder, with labels from sub-folders and `metadata.csv`."""

from __future__ import annotations

import csv
from pathlib import Path

from preface_hf.recipes.base import MEDIA, Item, Label, Listing, aside, kind_of, walk
from preface_hf.recipes.reading import column_type, parse


METADATA = "metadata.csv"
SIDECARS = frozenset({".npy", ".npz", ".pts"})


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
    unreadable: list[str] = []
    names = [src.name] if src.is_file() else sorted(walk(src, unreadable))
    chosen, rows = _choose(names, media)
    rows += [aside(name, "left out", "a folder that may not be read: see its permissions") for name in unreadable]
    if not chosen:
        raise ValueError(f"{src} holds no {'video or image' if media in ('auto', 'all') else media}: check the path")
    items = [Item(name, labels={"label": _folder_label(name)}) for name in chosen]
    columns = {"label": "string"} if any(item.labels["label"] for item in items) else {}
    if src.is_dir() and (src / METADATA).is_file():
        table, extra = _read_metadata(src / METADATA)
        missing = sorted(set(table) - set(names))
        rows += [aside(name, "left out", f"named in {METADATA} but not found") for name in missing]
        columns |= extra
        for item in items:
            item.labels |= table.get(item.source, {})
            item.split = item.labels.pop("split", None) or None  # type: ignore[assignment]
    columns.pop("split", None)
    for item in items:
        item.labels = {name: item.labels.get(name) for name in columns}
    return Listing(items, columns, rows)


def _choose(names: list[str], media: str) -> tuple[list[str], list[dict[str, str]]]:
    """The media to prepare, and report rows for the rest."""
    kinds = {name: _kind(name) for name in names}
    if media == "auto":
        wanted = {"video"} if "video" in kinds.values() else {"image"}
    else:
        wanted = {"video", "image"} if media == "all" else {media}
    chosen = [name for name in names if kinds[name] in wanted]
    rows = [aside(name, "ignored", _not_media(name)) for name in names if kinds[name] == "other"]
    unwanted = [name for name in names if kinds[name] in {"video", "image"} - wanted]
    if unwanted:
        kind = kinds[unwanted[0]]
        reason = f"{len(unwanted)} {kind}s set aside because media is {media!r}: pass media='all' to take them too"
        rows.append(aside(f"*.{kind}", "ignored", reason))
    return chosen, rows


def _kind(name: str) -> str:
    kind = kind_of(name)
    return "known" if kind == "other" and (Path(name).suffix.lower() in SIDECARS or name == METADATA) else kind


def _not_media(name: str) -> str:
    suffix = Path(name).suffix
    return f"files ending in {suffix} are not media" if suffix else "a file without an extension is not media"


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
    columns = {name: "string" if name == "split" else column_type([row[name] for row in rows]) for name in names}
    table = {}
    for row in rows:
        source = row["file_name"].replace("\\", "/").removeprefix("./")
        table[source] = {name: parse(row[name], kind) for name, kind in columns.items()}
    return table, columns
