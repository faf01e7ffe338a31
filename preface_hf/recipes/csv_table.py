"""One's own table of files, labels and splits: `metadata.csv` of the recipe `folder`, and the recipe `csv`.

Both are read here, and all that is wrong with a table is said before any file of it is prepared.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from preface_hf.recipes.base import MEDIA, Item, Listing, aside, check_source, kind_of, note, walk
from preface_hf.recipes.reading import column_type, open_csv, parse


# Names that a column of paths may have, in the order in which they are looked for.
PATH_COLUMNS = ("file_name", "file", "path", "filename", "image", "video")


def table(src: Path, media: str = "auto") -> Listing:
    """The files that a csv table names, with its other columns as labels.

    Layout: `src` is the table, or a folder that holds exactly one. The first column called file_name, file, path,
    filename, image or video names the media, relative to the table; a name that is not there is looked up by its end
    (`a.jpg` finds `images/a.jpg`) where only one file has it. Media that the table does not name are not prepared,
    which a note counts. Labels: all other columns; int64 or float64 where every cell is a number. Split: the column
    `split`, if any.
    """
    if media not in MEDIA:
        raise ValueError(f"unknown media {media!r}: choose one of {', '.join(MEDIA)}")
    check_source(src)
    file = table_file(src)
    left_out: list[dict[str, str]] = []
    # The whole folder is looked at, not only what the table names: a path may be given by its end.
    names = list(walk(file.parent, left_out))
    present = {name for name in names if kind_of(name) != "other"}
    labels = read_label_table(file, present)
    wants = [item for item in labels.items if media in ("auto", "all") or kind_of(item.source) in (media, "other")]
    rows = rows_without_media(file, [item.source for item in wants], present, names)
    items = sorted((item for item in wants if item.source in present), key=lambda item: item.source)
    if unnamed := len(present) - len({item.source for item in labels.items} & present):
        rows.append(note(f"{unnamed} media are not named in {file.name} and are not prepared"))
    return Listing(items, labels.columns, rows + labels.notes + left_out, places=labels.places)


@dataclass
class LabelTable:
    """A table of labels, read: an item for each file that it names, the label columns with their types and places in
    the table, and remarks for the report."""

    items: list[Item]
    columns: dict[str, str]
    notes: list[dict[str, str]]
    places: dict[str, str]


@dataclass
class Row:
    """A row of the table: where it begins, the file it names, its split and the text of its labels."""

    line: int
    source: str
    split: str | None
    cells: dict[str, str]


def read_label_table(file: Path, present: Iterable[str]) -> LabelTable:
    """The table `file` beside the media `present`, which are paths relative to its folder.

    A file that the table names and that is not there keeps its name, normalized.

    Raises:
        ValueError: with line and column, for a table that `open_csv` refuses, without a column of paths,
            a row without a file or with one outside the folder, a split
            that is not a word, or a file with two different rows.
    """
    names, rows = open_csv(file)
    path = next((name for name in PATH_COLUMNS if name in names), None)
    if path is None:
        raise ValueError(
            f"{file} has no column of paths, only {', '.join(filter(None, names))}: call one "
            f"{', '.join(PATH_COLUMNS[:-1])} or {PATH_COLUMNS[-1]}"
        )
    labels = [name for name in names if name not in (path, "split", "")]
    # The index that pandas writes has no name, so it is no label; columns are counted from 1 in messages.
    places = {name: f"{file}, line 1, column {names.index(name) + 1}" for name in labels}
    notes = [
        note(f"column {number} of {file.name} has no name and is not taken")
        for number, name in enumerate(names, start=1)
        if not name
    ]
    finder = Finder(file.parent, present)
    all_rows = [read_row(file, names, path, line, cells, finder) for line, cells in rows]
    first_rows, repeats = without_repeats(file, all_rows)
    # Types come from the whole column, so every row is read before the first label is parsed.
    columns = {name: column_type([row.cells[name] for row in first_rows]) for name in labels}
    items = [
        Item(row.source, row.split, {name: parse(row.cells[name], kind) for name, kind in columns.items()})
        for row in first_rows
    ]
    return LabelTable(items, columns, notes + repeats, places)


def read_row(file: Path, names: list[str], path: str, line: int, cells: list[str], finder: Finder) -> Row:
    """One row as cells by column name, checked; `finder` says which file its path means."""
    row = dict(zip(names, cells, strict=True))
    if not row[path]:
        raise ValueError(f"{file}, line {line}, column {path!r}: the row names no file: fill it in or delete the row")
    # A table may come from somebody else: it must not bring in a file from outside its folder.
    source = finder.locate(row[path])
    if source is None:
        raise ValueError(
            f"{file}, line {line}, column {path!r}: {row[path]!r} lies outside the folder {file.parent}: "
            f"name files in it, relative to it"
        )
    split = row.get("split", "")
    # datasets puts the name of a split into the names of its files
    if split and not re.fullmatch(r"\w+(\.\w+)*", split):
        raise ValueError(
            f"{file}, line {line}, column 'split': split {split!r} is no name of a split: use letters, digits and _"
        )
    return Row(line, source, split or None, {name: row[name] for name in names if name not in (path, "split", "")})


def without_repeats(file: Path, rows: Iterable[Row]) -> tuple[list[Row], list[dict[str, str]]]:
    """The first row of every file, and notes on rows that say the same again; what they say must be the same."""
    first: dict[str, Row] = {}
    notes = []
    for row in rows:
        before = first.setdefault(row.source, row)
        if before is row:
            continue
        # The first difference refuses the table: this loop never comes to a second turn.
        for column, old, new in differences(before, row):
            raise ValueError(
                f"{file}, line {row.line}, column {column!r}: {row.source!r} is named twice, with {old!r} in line "
                f"{before.line} and {new!r} here: give every media file one row"
            )
        notes.append(note(f"{row.source} is named twice in {file.name} (lines {before.line} and {row.line}), alike"))
    return list(first.values()), notes


def differences(one: Row, other: Row) -> Iterator[tuple[str, str, str]]:
    """Column and both values where two rows differ."""
    for name in one.cells:
        if one.cells[name] != other.cells[name]:
            yield name, one.cells[name], other.cells[name]
    if one.split != other.split:
        yield "split", one.split or "", other.split or ""


class Finder:
    """Finds media below the folder `root` as a table may call them; `present` are the paths relative to it."""

    def __init__(self, root: Path, present: Iterable[str]) -> None:
        # Absolute paths in a table may name the folder itself or what a link leads to.
        self.roots = [root.absolute().as_posix(), root.resolve().as_posix()]
        self.present = set(present)
        # Files by their last part, and by their path with composed accents.
        self.ends: dict[str, list[str]] = {}
        self.composed: dict[str, list[str]] = {}
        for name in self.present:
            self.ends.setdefault(name.rsplit("/", 1)[-1], []).append(name)
            self.composed.setdefault(unicodedata.normalize("NFC", name), []).append(name)

    def locate(self, text: str) -> str | None:
        """The file that `text` means, or a normalized path where none is there; None outside the folder."""
        if text in self.present:
            return text
        name = self._inside(text.replace("\\", "/"))
        if name is None or name in self.present:
            return name
        # macOS writes é as e and an accent, most others as one character: the same name to a reader
        same = self.composed.get(unicodedata.normalize("NFC", name), [])
        ends = [hit for hit in self.ends.get(name.rsplit("/", 1)[-1], []) if hit.endswith(f"/{name}")]
        # Two files that fit are as good as none: the path stays as it is and is reported as not found.
        hits = same or ends
        return hits[0] if len(hits) == 1 else name

    def _inside(self, name: str) -> str | None:
        """The path relative to the folder, without `.` and `..`; None where it leads out."""
        # An absolute path is cut down to the folder before it is judged; a drive letter (`C:/`) never fits.
        if name.startswith("/"):
            name = posixpath.normpath(name)
            root = next((root for root in self.roots if name.startswith(f"{root}/")), None)
            return None if root is None else name.removeprefix(f"{root}/")
        name = posixpath.normpath(name)
        return None if name in (".", "..") or name.startswith("../") or re.match("[A-Za-z]:/", name) else name


def rows_without_media(
    file: Path, sources: Iterable[str], media: Iterable[str], names: Iterable[str]
) -> list[dict[str, str]]:
    """Rows of the report for `sources` of a table that are no `media`; `names` are all files that are there.

    Raises `ValueError` where not one of them is a medium.
    """
    targets, others = set(sources), set(names)
    absent = sorted(targets - {*media})
    # Where no name at all is found, the table most likely lies in the wrong folder.
    if len(absent) == len(targets):
        raise ValueError(f"{file} names {len(targets)} media and none of them is there: put them beside it")
    return [
        aside(
            name, "left out", f"named in {file.name} but {'not a video or image' if name in others else 'not found'}"
        )
        for name in absent
    ]


def table_file(src: Path) -> Path:
    """The table `src` itself, or the one csv file in the folder `src`; ValueError where it holds none or several."""
    if src.is_file():
        return src
    files = sorted(src.glob("*.csv")) if src.is_dir() else []
    if len(files) != 1:
        raise ValueError(
            f"recipe 'csv' expects one csv file and {src} holds {len(files)}: pass the table itself as SRC"
        )
    return files[0]
