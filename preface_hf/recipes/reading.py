"""Reading the tables that come with data sets: csv files with typed columns, lists of lines."""

from __future__ import annotations

import codecs
import csv
import importlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from preface_hf.recipes.base import Label


# Marks at the start of a file that say how its text is stored, the longer ones first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SEPARATORS = ",;\t"
# How pandas writes the header of its index when it is saved along and read again.
_INDEX_NAME = re.compile(r"Unnamed: \d+")
# A first line by which Excel is told the separator.
_DECLARED = re.compile(rf"sep=([{SEPARATORS}])")


def open_csv(file: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header of a csv file, and its rows as they are read.

    Taken are UTF-8 and, where the file begins with its mark, UTF-16 and UTF-32; commas, semicolons or tabs; spaces
    around cells.

    Returns:
        names: names of the columns; a column without a name, such as the index that pandas writes, is `""`.
        rows: the line of the file (from 1) in which a row begins, and a cell for each name; empty rows are skipped.

    Raises:
        ValueError: with line and column, where the text cannot be read, a name stands twice, the header is all there
            is, or a row has more cells than the header. The rows raise it as they are read.
    """
    rows = csv_rows(file, separator_of(file))
    header = next(rows, None)
    if header is None:
        raise ValueError(f"{file}, line 1, column 1: the table is empty: write a header and a row for each file")
    line, names = header[0], ["" if _INDEX_NAME.fullmatch(name) else name for name in header[1]]
    for number, name in enumerate(names):
        if name and name in names[:number]:
            raise ValueError(
                f"{file}, line {line}, column {number + 1}: {name!r} is already column {names.index(name) + 1}: "
                f"rename one of them"
            )
    return names, even_rows(file, names, rows)


def read_csv(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Column names and rows of a csv file with a header, all of it as text; errors as in `open_csv`."""
    names, rows = open_csv(file)
    return names, [dict(zip(names, cells, strict=True)) for _, cells in rows]


def even_rows(file: Path, names: list[str], rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Rows as long as the header: what is missing at the end is empty, what is too much must be."""
    count = 0
    for line, cells in rows:
        if any(cells[len(names) :]):
            raise ValueError(
                f"{file}, line {line}, column {len(names) + 1}: the row has {len(cells)} cells and the header "
                f"{len(names)}: put cells that hold a separator in quotes"
            )
        if any(cells):
            yield line, (cells + [""] * len(names))[: len(names)]
            count += 1
    if not count:
        raise ValueError(f"{file}, line 1, column 1: the table has a header and no row: write a row for each file")


def encoding_of(file: Path) -> str:
    """The encoding that the mark at the start of a file tells; UTF-8, with or without its mark, where it has none."""
    with file.open("rb") as data:
        start = data.read(4)
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8-sig")


def separator_of(file: Path) -> str:
    """The separator that cuts the header into most cells; a comma where none does."""
    # what is not text is refused later, with its place, for which the separator must be known
    with file.open(newline="", encoding=encoding_of(file), errors="replace") as text:
        for line in text:
            if declared := _DECLARED.fullmatch(line.strip("\r\n")):
                return declared[1]
            if line.strip(f" \r\n{SEPARATORS}"):
                return max(SEPARATORS, key=lambda mark: len(next(csv.reader([line], delimiter=mark))))
    return ","


def csv_rows(file: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Line and stripped cells of each row that is not blank."""
    with file.open(newline="", encoding=encoding_of(file)) as text:
        # A quoted cell may hold line breaks: a row begins after the last line of the row before.
        reader = csv.reader(text, delimiter=separator, skipinitialspace=separator != "\t", strict=True)
        line = 1
        try:
            for cells in reader:
                check_cells(file, line, cells)
                cells = [cell.strip() for cell in cells]
                # Excel's line `sep=;` is no header; split at its own mark it reads `sep=` and an empty cell.
                if any(cells) and not (line == 1 and cells[0] in ("sep=", f"sep={separator}")):
                    yield line, cells
                line = reader.line_num + 1
        except UnicodeDecodeError as error:
            raise not_text(file, separator, error) from error
        except csv.Error as error:
            raise ValueError(
                f"{file}, line {line}, column 1 or after: the row cannot be read ({error}): close every quote, and "
                f"write a quote inside quotes twice"
            ) from error


def check_cells(file: Path, line: int, cells: list[str]) -> None:
    """A zero character means that the file is no text, or UTF-16 that does not say so."""
    for number, cell in enumerate(cells, start=1):
        if "\0" in cell:
            raise ValueError(f"{file}, line {line}, column {number}: a zero character: save the table as UTF-8")


def not_text(file: Path, separator: str, error: UnicodeDecodeError) -> ValueError:
    """The error for a byte that is no text, with its place: a reader of pieces only knows the place in the piece."""
    data, encoding = file.read_bytes(), encoding_of(file)
    try:
        data.decode(encoding)
    except UnicodeDecodeError as whole:
        error = whole
    # Where the text before the bad byte ends in a line break, the byte begins the next line.
    before = data[: error.start].decode(encoding, errors="ignore").splitlines(keepends=True) or [""]
    line = len(before) + before[-1].endswith(("\n", "\r"))
    cells = "" if before[-1].endswith(("\n", "\r")) else before[-1]
    return ValueError(
        f"{file}, line {line}, column {cells.count(separator) + 1}: byte {data[error.start]:#04x} is not "
        f"{encoding.removesuffix('-sig').upper()}: save the table as UTF-8"
    )


def read_lines(file: Path) -> list[list[str]]:
    """The words of every line that is not empty."""
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return [line.split() for line in lines if line.strip()]


def find(names: list[str], name: str) -> str | None:
    """The shallowest of the files called `name` (its last part or parts), or None."""
    hits = [file for file in names if file == name or file.endswith(f"/{name}")]
    return min(hits, key=lambda file: (file.count("/"), file), default=None)


def by_stem(names: list[str]) -> dict[str, list[str]]:
    """Files by their name without folder and ending."""
    table: dict[str, list[str]] = {}
    for name in names:
        table.setdefault(Path(name).stem, []).append(name)
    return table


def column_type(values: list[str]) -> str:
    """int64 or float64 where every value that is not empty reads so (007 is no number), else string."""
    filled = [value for value in values if value]
    if filled and all(is_int(value) for value in filled):
        return "int64"
    return "float64" if filled and all(is_int(value) or is_float(value) for value in filled) else "string"


def parse(value: str, kind: str) -> Label:
    """A cell as a label; None where it is empty."""
    if value == "":
        return None
    return {"string": str, "int64": int, "float64": float}[kind](value)


def h5py_of(recipe: str) -> Any:
    """The optional module h5py; ValueError with the remedy where it is not installed."""
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise ValueError(
            f"recipe {recipe!r} reads an HDF5 file with h5py, which is not installed: pip install h5py"
        ) from error


def is_int(value: str) -> bool:
    """Whether a text is an int64 that reads back as it stands: neither 007 nor +7."""
    try:
        return str(int(value)) == value and abs(int(value)) < 2**63
    except ValueError:
        return False


def is_float(value: str) -> bool:
    """Whether a text is a finite number, written neither like 007 nor with Python's underscores."""
    try:
        return math.isfinite(float(value)) and "_" not in value and not (value[0] == "0" and value[1:].isdigit())
    except ValueError:
        return False
