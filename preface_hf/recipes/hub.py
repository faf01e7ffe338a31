"""The recipe `hub`: any data set that `datasets` opens and that has a column of videos or images."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from preface_hf.data.confined import check_card, check_files
from preface_hf.files import check_path, shown
from preface_hf.recipes.base import MEDIA, Item, Label, Listing, note
from preface_hf.recipes.writing import cache_folder, write_media


def hub(src: Path, media: str = "auto") -> Listing:
    """A data set of the Hugging Face Hub (`org/name`) or a local folder that `datasets.load_dataset` opens.

    Layout: a column of type Video or Image (the first one; videos before images); its bytes are written out once into
    the cache. Who may use the data is for its card to say. Labels: columns of numbers, texts and class labels (by
    their names); others are named in the report. Split: the data set's own.
    """
    from datasets import Image, Video, load_dataset, load_dataset_builder

    if media not in MEDIA:
        raise ValueError(f"unknown media {media!r}: choose one of {', '.join(MEDIA)}")
    check_path(src)
    if not src.exists() and src.is_relative_to(Path.cwd()):
        src = src.relative_to(Path.cwd())  # `prepare` makes all sources absolute, a name on the Hub too
    check_card(src)
    try:
        # What the card names is looked at before a file of it is read.
        for files in (load_dataset_builder(str(src)).config.data_files or {}).values():
            check_files(src, files)
        data = load_dataset(str(src))
    except Exception as error:  # whatever a builder raises, the user needs one sentence
        reason = " ".join(str(error).split())
        raise ValueError(
            f"datasets cannot open {src} ({reason}): pass a name on the Hub or a local data set"
        ) from error
    # All splits of a data set have the same columns, so the first one tells them.
    features = next(iter(data.values())).features
    kinds = {"video": Video, "image": Image}
    wanted = [media] if media in kinds else list(kinds)
    column = next((name for kind in wanted for name, f in features.items() if isinstance(f, kinds[kind])), None)
    if column is None:
        raise ValueError(f"{src} has no column of {' or '.join(wanted)}s, only {', '.join(features)}: choose another")
    is_video = isinstance(features[column], Video)
    # Not decoded: the bytes are written out as they are, and frames are read once, by `prepare`.
    data = data.cast_column(column, (Video if is_video else Image)(decode=False))
    names, columns = label_columns({name: f for name, f in features.items() if name != column})
    # `datasets` changes the fingerprint with the rows: a new version of the set gets a new folder.
    folder = cache_folder("hub", [str(src), *(f"{split} {rows._fingerprint}" for split, rows in data.items())])
    # Other columns of media are not read at all: `datasets` would open the paths in them.
    taken = data.select_columns([column, *names])
    pairs = media_pairs(taken, column, names, ".mp4" if is_video else ".jpg", src)
    items, rows = write_media(folder, pairs, sum(len(part) for part in data.values()))
    unused = sorted(set(features) - set(names) - {column})
    if unused:
        rows.append(note(f"columns {', '.join(unused)} are neither numbers nor texts and are not taken"))
    return Listing(items, columns, rows, str(folder))


def label_columns(features: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What names the classes of each column taken (None for numbers and texts), and the types."""
    from datasets import ClassLabel, Value

    names: dict[str, Any] = {}
    columns = {}
    for name, feature in features.items():
        kind = label_type(feature.dtype) if isinstance(feature, Value) else None
        if isinstance(feature, ClassLabel):
            kind = "string"
        if kind is not None:
            names[name] = feature.int2str if isinstance(feature, ClassLabel) else None
            columns[name] = kind
    return names, columns


def label_type(dtype: str) -> str | None:
    """The type of a label column for a dtype of `datasets`; None for dates, lists and the like."""
    if dtype in ("string", "large_string"):
        return "string"
    if dtype.startswith(("int", "uint", "bool")):
        return "int64"
    return "float64" if dtype.startswith("float") else None


def media_pairs(
    data: Any, column: str, names: dict[str, Any], suffix: str, src: Path
) -> Iterator[tuple[Item, Callable[[], bytes]]]:
    """An item for each row of each split, and what gives the bytes of its medium; names are numbered."""
    for split, rows in data.items():
        for number, row in enumerate(rows):
            medium = row[column] or {"path": None, "bytes": None}
            # `zip://a.mp4::hf://...` is a file in an archive: what stands before `::` is its name.
            ending = Path((medium["path"] or "").split("::")[0]).suffix or suffix
            labels = {name: label_of(row[name], to_text) for name, to_text in names.items()}
            yield Item(f"{split}/{number:07d}{ending}", split, labels), partial(medium_bytes, medium, src)


def label_of(value: Any, to_text: Any) -> Label:
    """A cell as a label: a class by its name, a bool as 0 or 1; None where it is empty."""
    # -1 is how `datasets` marks a row without a class.
    if value is None or (to_text and value < 0):
        return None
    return to_text(value) if to_text else int(value) if isinstance(value, bool) else value


def medium_bytes(medium: dict[str, Any], src: Path) -> bytes:
    """The bytes of a row's medium: its own, or those of a file of the data set `src`.

    Whoever wrote the data set wrote the path: a file of this machine or an address on the net must not come in by it,
    so `ValueError` is raised for any path that does not lead into the data set.
    """
    if medium["bytes"]:
        return medium["bytes"]
    path = medium["path"]
    if not path:
        raise ValueError("the row holds no media")
    if is_on_the_hub(path, src):
        from fsspec import open as open_any

        with open_any(path, "rb") as file:
            return file.read()
    # `resolve` follows links, so that one out of the folder is seen
    place = (src / path).resolve() if src.is_dir() else Path(path).resolve()
    if "://" in path or not any(place.is_relative_to(folder.resolve()) for folder in allowed_folders(src)):
        raise ValueError(f"its path {shown(path)!r} lies outside the data set and is not opened")
    return place.read_bytes()


def allowed_folders(src: Path) -> list[Path]:
    """Where files of the data set may lie: its folder, or what was downloaded of it; and what was unpacked."""
    from datasets import config
    from huggingface_hub.constants import HF_HUB_CACHE

    unpacked = Path(config.EXTRACTED_DATASETS_PATH)
    if src.is_dir():
        # A copy that huggingface_hub made is a folder of links into the `blobs` beside it.
        blobs = src.resolve().parent.parent / "blobs"
        return [src, unpacked, *([blobs] if src.resolve().parent.name == "snapshots" else [])]
    return [Path(HF_HUB_CACHE) / f"datasets--{str(src).replace('/', '--')}", unpacked]


def is_on_the_hub(path: str, src: Path) -> bool:
    """Whether a path is of a data set on the Hub, as `datasets` writes it: `zip://a.mp4::hf://datasets/org/name@...`."""
    # The last part names the repository, those before it archives inside it.
    *archives, place = path.split("::")
    return (
        not src.is_dir()
        and all(re.match("(zip|tar)://", archive) for archive in archives)
        and re.match(rf"hf://datasets/{re.escape(str(src))}[@/]", place) is not None
        and ".." not in place.split("/")
    )
