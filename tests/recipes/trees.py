"""Small trees in the layouts of data sets, and short views of listings."""

from __future__ import annotations

from pathlib import Path

from preface_hf.recipes import RECIPES, Listing


def tree(root: Path, *names: str, **texts: str) -> Path:
    """Files below `root`: empty ones by name, and texts by path."""
    for name, text in {**dict.fromkeys(names, ""), **texts}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def listing(recipe: str, src: Path, media: str = "auto") -> Listing:
    found = RECIPES[recipe](src, media)
    assert [item.source for item in found.items] == sorted({item.source for item in found.items})
    assert all(list(item.labels) == list(found.columns) for item in found.items), "labels in the columns' order"
    types = {"string": str, "int64": int, "float64": float}
    for item in found.items:
        for name, value in item.labels.items():
            assert value is None or type(value) is types[found.columns[name]], (name, value)
    return found


def splits(found: Listing) -> dict[str, str | None]:
    return {item.source: item.split for item in found.items}


def labels(found: Listing, source: str) -> dict:
    return next(item.labels for item in found.items if item.source == source)


def aside(found: Listing, status: str) -> dict[str, str]:
    """Source and reason of the rows with this status; notes one after the other."""
    if status == "note":
        return {str(n): row["reason"] for n, row in enumerate(found.aside) if row["status"] == "note"}
    return {row["source"]: row["reason"] for row in found.aside if row["status"] == status}


def notes(found: Listing) -> str:
    return "\n".join(aside(found, "note").values())
