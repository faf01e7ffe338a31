"""What a data set names belongs to it: its card and rows must not lead to files and addresses elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from preface_hf.files import shown


CARDS = ("README.md", ".huggingface.yaml")  # where `datasets` looks for the files of a set


def check_card(path: str | Path) -> None:
    """Raise `ValueError` where the card of a local set names files elsewhere, before `datasets` asks for them."""
    for name in CARDS:
        card = Path(path) / name
        if not card.is_file():
            continue
        text = card.read_text(encoding="utf-8", errors="replace")
        try:
            # A README has its header between two lines `---`.
            header = yaml.safe_load(text.split("\n---", 1)[0].removeprefix("---") if name == CARDS[0] else text)
        except (yaml.YAMLError, ValueError):
            continue  # `datasets` says what is wrong with it
        for file in texts((header.get("configs") or header.get("data_files")) if isinstance(header, dict) else None):
            if "://" in file:
                raise outside(path, file)


def texts(value: Any) -> Iterable[str]:
    """All texts in lists and dictionaries within one another."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


def check_files(path: str | Path, files: Iterable[str]) -> None:
    """Raise `ValueError` for a file of a set, as `datasets` found it, that does not lie in the folder or the
    repository `path`. Links in a folder are its owner's to set."""
    local = Path(path).is_dir()
    # `datasets` takes a folder by its real path.
    homes = [os.path.abspath(path), os.path.realpath(path)] if local else [f"hf://datasets/{path}"]
    for file in map(str, files):
        place = os.path.normpath(file) if local else file
        inside = any(place.startswith(home + end) for home in homes for end in ("/", os.sep, "" if local else "@"))
        if not inside or ".." in file.split("/") or (local and "://" in file):
            raise outside(path, file)


def outside(path: str | Path, file: str) -> ValueError:
    """The error for a file elsewhere."""
    return ValueError(
        f"the card of {str(path)!r} names {shown(file)!r}, which lies outside the set: name files in it."
    )
