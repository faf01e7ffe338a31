"""Reading the tables that come with data sets: csv files with typed columns, lists of lines."""

from __future__ import annotations

import csv
import importlib
import math
from pathlib import Path
from typing import Any

from preface_hf.recipes.base import Label


def read_csv(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Column names and rows of a csv file with a header; all values are text, cells beyond the header are dropped."""
    with open(file, newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, restval="", skipinitialspace=True)
        rows = [{(name or "").strip(): value for name, value in row.items() if name is not None} for row in reader]
        return [name.strip() for name in reader.fieldnames or []], rows


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
    if filled and all(_is_int(value) for value in filled):
        return "int64"
    return "float64" if filled and all(_is_int(value) or _is_float(value) for value in filled) else "string"


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
