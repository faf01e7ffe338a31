"""Media that a recipe has to write out: frames as a video, pixels of a table, bytes of a `datasets` column."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from preface_hf.files import replacing
from preface_hf.progress import rows_shown
from preface_hf.recipes.base import Item, aside, note
from preface_hf.video.encoding import encode_video


def cache_folder(recipe: str, key: Iterable[str]) -> Path:
    """The folder for media that `recipe` writes out; another `key` gives another folder.

    It lies in `$PREFACE_HF_CACHE`, by default `~/.cache/preface_hf`, and stays until its owner deletes it.
    """
    base = os.environ.get("PREFACE_HF_CACHE")
    home = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "preface_hf"
    return home / f"{recipe}-{hashlib.sha256(chr(10).join(key).encode()).hexdigest()[:16]}"


def write_media(
    folder: Path, pairs: Iterable[tuple[Item, Callable[[], bytes]]], total: int
) -> tuple[list[Item], list[dict[str, str]]]:
    """Write each item's bytes below `folder` unless it is there; what cannot be read goes to the report."""
    kept, rows = (
        [],
        [note(f"the media were written to {folder.name} in the cache: delete it when the set is prepared")],
    )
    # `content` is called only for files that are not there: a second run reads none of them.
    for item, content in rows_shown(pairs, "writing media", total):
        file = folder / item.source
        try:
            if not file.is_file():  # a run before may have written it
                data = content()
                file.parent.mkdir(parents=True, exist_ok=True)
                with replacing(file) as temporary:
                    temporary.write_bytes(data)
            kept.append(item)
        except (OSError, ValueError) as error:
            rows.append(aside(item.source, "left out", f"it could not be written out: {' '.join(str(error).split())}"))
    return sorted(kept, key=lambda item: item.source), rows


def frames_to_video(files: list[Path], fps: float) -> bytes:
    """Image files of one size, in order, as an mp4; an odd last row or column is cut off."""
    return encode_video(even_frames(files), fps)


def even_frames(files: list[Path]) -> Iterator[np.ndarray]:
    """The pictures as uint8 `(height, width, 3)`, RGB, with even sides."""
    # H.264 as it is written here halves the color planes, which needs even sides
    for file in files:
        with Image.open(file) as picture:
            frame = np.asarray(picture.convert("RGB"))
        yield frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]


def describe(root: Path, names: Iterable[str]) -> Iterator[str]:
    """A key for files: their folder, names and sizes."""
    yield str(root.resolve())
    yield from (f"{name} {(root / name).stat().st_size}" for name in names)
