"""The recipe `folder`: all media below a folder, with labels from sub-folders and `metadata.csv`."""

from __future__ import annotations

from pathlib import Path

from preface_hf.recipes.base import MEDIA, SIDECARS, Item, Listing, aside, check_source, kind_of, note, walk
from preface_hf.recipes.csv_table import LabelTable, read_label_table, rows_without_media


METADATA = "metadata.csv"


def folder(src: Path, media: str = "auto") -> Listing:
    """All media below `src` (or `src` itself, a file), sorted, with the column `label` from the first sub-folder.

    `metadata.csv` in `src`, a table as the recipe `csv` reads it, adds its other columns as labels; its column `split`
    chooses the split. Where it has a column `label`, sub-folders give none. Media that it does not name have its
    labels empty. `media` is `video`, `image`, `all`, or `auto`: videos if there is any, else images. Raises
    `ValueError` where there is nothing to prepare, or the table cannot be read.
    """
    if media not in MEDIA:
        raise ValueError(f"unknown media {media!r}: choose one of {', '.join(MEDIA)}")
    check_source(src)
    left_out: list[dict[str, str]] = []
    names = [src.name] if src.is_file() else sorted(walk(src, left_out))
    chosen, rows = choose_media(names, media)
    rows += left_out
    if not chosen:
        kind = "video or image" if media in ("auto", "all") else media
        # What was passed over may be the reason that nothing is left: the message names the first of it.
        first = "".join(f" ({row['source']}: {row['reason']})" for row in left_out[:1])
        raise ValueError(f"{src} holds no {kind}{first}: check the path")
    items = [Item(name, labels={"label": folder_label(name)}) for name in chosen]
    # A flat folder has no label at all, rather than a column of empty ones.
    columns = {"label": "string"} if any(item.labels["label"] for item in items) else {}
    places: dict[str, str] = {}
    if src.is_dir() and (src / METADATA).is_file():
        table, more = add_table(src / METADATA, names, items)
        columns, places, rows = columns | table.columns, table.places, rows + more
    for item in items:
        item.labels = {name: item.labels.get(name) for name in columns}
    return Listing(items, columns, rows, places=places)


def add_table(file: Path, names: list[str], items: list[Item]) -> tuple[LabelTable, list[dict[str, str]]]:
    """Labels and splits of the table into `items`; returns the table, and rows of the report."""
    media = [name for name in names if kind_of(name) != "other"]
    table = read_label_table(file, media)
    by_source = {item.source: item for item in table.items}
    rows = table.notes + rows_without_media(file, by_source, media, names)
    if "label" in table.columns:  # what a folder is called may be anything but a value of that column
        for item in items:
            item.labels.clear()
    unnamed = 0
    for item in items:
        if row := by_source.get(item.source):
            item.labels |= row.labels
            item.split = row.split
        else:
            unnamed += 1
    if unnamed:
        rows.append(note(f"{unnamed} media are not named in {file.name}: their labels from it are empty"))
    return table, rows


def choose_media(names: list[str], media: str) -> tuple[list[str], list[dict[str, str]]]:
    """The media to prepare, and report rows for the rest."""
    kinds = {name: file_kind(name) for name in names}
    if media == "auto":
        prepared_kinds = {"video"} if "video" in kinds.values() else {"image"}
    else:
        prepared_kinds = {"video", "image"} if media == "all" else {media}
    chosen = [name for name in names if kinds[name] in prepared_kinds]
    rows = [aside(name, "ignored", not_media(name)) for name in names if kinds[name] == "other"]
    others = [name for name in names if kinds[name] in {"video", "image"} - prepared_kinds]
    if others:
        kind = kinds[others[0]]
        reason = f"{len(others)} {kind}s set aside because media is {media!r}: pass media='all' to take them too"
        rows.append(aside(f"*.{kind}", "ignored", reason))
    return chosen, rows


def file_kind(name: str) -> str:
    """As `kind_of`, but `known` for files that are read beside the media."""
    kind = kind_of(name)
    return "known" if kind == "other" and (Path(name).suffix.lower() in SIDECARS or name == METADATA) else kind


def not_media(name: str) -> str:
    """Why a file that is no medium is ignored, in words for the report."""
    file = Path(name)
    if file.stem.lower() == "metadata":
        return f"a table of labels is read where it is called {METADATA} and lies in the folder that is prepared"
    return (
        f"files ending in {file.suffix} are not media" if file.suffix else "a file without an extension is not media"
    )


def folder_label(name: str) -> str | None:
    """The first sub-folder of a path, or None where the file lies in the folder itself."""
    return name.split("/")[0] if "/" in name else None
