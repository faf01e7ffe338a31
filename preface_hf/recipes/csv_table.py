"""The recipe `csv`: one's own table of files, labels and splits."""

from __future__ import annotations

import re
from pathlib import Path

from preface_hf.recipes.base import MEDIA, Item, Listing, join, kind_of, walk
from preface_hf.recipes.reading import column_type, parse, read_csv


PATH_COLUMNS = ("file_name", "file", "path", "filename", "image", "video")


def table(src: Path, media: str = "auto") -> Listing:
    """The files that a csv table names, with its other columns as labels.

    Layout: `src` is the table, or a folder that holds exactly one. The first column called file_name, file, path,
    filename, image or video names the media, relative to the table; a name that is not there is looked up by its end
    (`a.jpg` finds `images/a.jpg`) where only one file has it. Media that the table does not name are not prepared.
    Labels: all other columns; int64 or float64 where every cell is a number. Split: the column `split`, if any.
    """
    file = _table_file(src)
    names, rows = read_csv(file)
    path = next((name for name in PATH_COLUMNS if name in names), None)
    if path is None:
        raise ValueError(
            f"{file} has no column of paths: call one {', '.join(PATH_COLUMNS[:-1])} or {PATH_COLUMNS[-1]}"
        )
    columns = {name: column_type([row[name] for row in rows]) for name in names if name not in (path, "split", "")}
    root = file.parent if src.is_dir() else src.parent
    found = _Finder(root, media)
    items = []
    for row in rows:
        labels = {name: parse(row[name], kind) for name, kind in columns.items()}
        items.append(Item(found.locate(row[path]), _split(row.get("split", ""), file), labels))
    if len({item.source for item in items}) < len(items):
        raise ValueError(f"{file} names a file twice: give every media file one row")
    wanted = {item.source for item in items if found.wants(item.source)}
    return join(wanted & found.present, (i for i in items if found.wants(i.source)), columns, file.name)


class _Finder:
    """Media below a folder, by relative path or by a unique end of it."""

    def __init__(self, root: Path, media: str) -> None:
        if media not in MEDIA:
            raise ValueError(f"unknown media {media!r}: choose one of {', '.join(MEDIA)}")
        self.media, self.root = media, root
        self.present = {name for name in walk(root) if kind_of(name) != "other"}
        self.ends: dict[str, list[str]] = {}
        for name in self.present:
            self.ends.setdefault(name.rsplit("/", 1)[-1], []).append(name)

    def locate(self, name: str) -> str:
        name = name.strip().replace("\\", "/").removeprefix(f"{self.root.resolve()}/").removeprefix("./")
        hits = [hit for hit in self.ends.get(name.rsplit("/", 1)[-1], []) if hit.endswith(f"/{name}")]
        return hits[0] if name not in self.present and len(hits) == 1 else name

    def wants(self, name: str) -> bool:
        return self.media in ("auto", "all") or kind_of(name) == self.media


def _table_file(src: Path) -> Path:
    if src.is_file():
        return src
    if not src.exists():
        raise ValueError(f"{src} does not exist: check the path")
    files = sorted(src.glob("*.csv")) if src.is_dir() else []
    if len(files) != 1:
        raise ValueError(
            f"recipe 'csv' expects one csv file and {src} holds {len(files)}: pass the table itself as SRC"
        )
    return files[0]


def _split(value: str, file: Path) -> str | None:
    if value and not re.fullmatch(r"\w+(\.\w+)*", value):
        raise ValueError(f"split {value!r} in {file} is no name of a split: use letters, digits and _")
    return value or None
