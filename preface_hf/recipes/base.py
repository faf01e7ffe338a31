"""What every recipe uses: items, listings, the files of a folder, splits by subject, and rows of the report."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path

from preface_hf.data.shards import track_features
from preface_hf.files import check_path, shown
from preface_hf.video.decoding import IMAGE_SUFFIXES, VIDEO_SUFFIXES


# Endings of files that are read beside media: landmarks and parsing maps.
SIDECARS = frozenset({".npy", ".npz", ".pts"})
MEDIA = ("auto", "video", "image", "all")
# The first seed that puts women and men of RAVDESS (24 actors) and MEAD into every split.
SPLIT_SEED = 175
Label = str | int | float | None
# No label may be called so: columns of prepared sets, of their features (`extract`) and of curated sets (`curate`).
RESERVED = frozenset({"instance_id", *track_features(audio=True), "split", "end_seconds", "feature", "pool_id"})


@dataclass
class Item:
    """One media file: its path relative to the source (forward slashes), its split if stated, its labels."""

    source: str
    split: str | None = None
    labels: dict[str, Label] = field(default_factory=dict)


@dataclass
class Listing:
    """What a recipe found: the media to prepare, the label columns with their types, what it sets aside and why.

    Attributes:
        columns: the type of each label, `string`, `int64` or `float64`.
        aside: finished rows of the report.
        root: the folder of the media where that is not the source itself (a recipe that writes media out).
        places: where a label's name is written, for messages: the line and column of a table.
    """

    items: list[Item]
    columns: dict[str, str]
    aside: list[dict[str, str]]
    root: str | None = None
    places: dict[str, str] = field(default_factory=dict)


def with_free_names(recipe: Callable[[Path, str], Listing]) -> Callable[[Path, str], Listing]:
    """The recipe, with `original_` before every label that has a name of the prepared set's own, and a note on it."""

    @wraps(recipe)
    def listing_of(src: Path, media: str = "auto") -> Listing:
        listing = recipe(src, media)
        for name in sorted(RESERVED & set(listing.columns)):
            free_name(listing, name, listing.places.get(name, str(src)))
        return listing

    return listing_of


def free_name(listing: Listing, name: str, place: str) -> None:
    """Call the label `name`, written at `place`, `original_NAME`; `ValueError` where another one is called so."""
    new = f"original_{name}"
    if new in listing.columns:
        raise ValueError(
            f"{place}: the label column {name!r} has a name of the prepared set's own, and {new!r} is taken: rename it"
        )
    for item in listing.items:
        if name in item.labels:
            item.labels[new] = item.labels.pop(name)
    listing.columns[new] = listing.columns.pop(name)
    listing.aside.append(note(f"the label {name} is called {new}: {name} is a column of the prepared set's own"))


def media_root(src: Path, listing: Listing | None = None) -> Path:
    """The folder that the items' paths are relative to."""
    if listing is not None and listing.root is not None:
        return Path(listing.root)
    return src.parent if src.is_file() else src


def walk(src: Path, left_out: list[dict[str, str]] | None = None) -> Iterator[str]:
    """Paths of all visible files below `src`, each real folder visited once however symlinks loop.

    What has to be passed over goes into `left_out` as rows of the report: folders that may not be read, and files
    whose path is not UTF-8, which neither parquet nor a report can name.
    """
    seen = set()
    rows: list[dict[str, str]] = [] if left_out is None else left_out

    def add_folder(error: OSError) -> None:
        name = Path(str(error.filename)).relative_to(src).as_posix()
        rows.append(aside(shown(name), "left out", "a folder that may not be read: see its permissions"))

    # Changing `folders` in place tells os.walk where to go: hidden folders and loops of links are left out.
    for place, folders, files in os.walk(src, onerror=add_folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in (Path(place, name).relative_to(src).as_posix() for name in files if not name.startswith(".")):
            # Landmarks and parsing maps beside media need no row of their own: their medium has one already.
            if shown(name) == name:
                yield name
            elif Path(name).suffix.lower() not in SIDECARS:
                status = "ignored" if kind_of(name) == "other" else "left out"
                reason = "its path is not Unicode text (UTF-8): rename the file or its folder"
                rows.append(aside(shown(name), status, reason))


def check_source(src: Path) -> None:
    """Raise `ValueError` for a source that is not there, or whose own path is not UTF-8."""
    check_path(src)
    if not src.exists():
        raise ValueError(f"{src} does not exist: check the path")


def with_left_out(recipe: Callable[[Path, str], Listing]) -> Callable[[Path, str], Listing]:
    """The recipe, with rows in its listing for what `walk` had to pass over."""

    @wraps(recipe)
    def listing_of(src: Path, media: str = "auto") -> Listing:
        listing = recipe(src, media)
        for _ in walk(src, listing.aside):  # once more: most recipes look at the names long before they list
            pass
        return listing

    return listing_of


def kind_of(name: str) -> str:
    """`video`, `image` or `other`, by the file's ending."""
    suffix = Path(name).suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "image" if suffix in IMAGE_SUFFIXES else "other"


def noun_for(sources: Iterable[str]) -> str:
    """What a progress bar calls the files: `pictures` where they all are, else `videos`."""
    return "pictures" if all(kind_of(source) == "image" for source in sources) else "videos"


def gather(src: Path, media: str, kinds: tuple[str, ...], recipe: str) -> list[str]:
    """All files below the folder `src`, sorted; ValueError where `media` asks for what the data set does not hold."""
    if media not in MEDIA:
        raise ValueError(f"unknown media {media!r}: choose one of {', '.join(MEDIA)}")
    if media in ("video", "image") and media not in kinds:
        raise ValueError(f"recipe {recipe!r} finds {kinds[0]}s only: leave media {media!r} out")
    check_path(src)
    if not src.is_dir():
        raise ValueError(f"{src} is not a folder: pass the folder of the data set to recipe {recipe!r}")
    return sorted(walk(src))


def layout_error(src: Path, recipe: str, layout: str, fix: str = "pass the folder that holds it") -> ValueError:
    """The error for a folder in which nothing of the layout was found."""
    return ValueError(f"recipe {recipe!r} expects {layout} in {src} and found none: {fix}")


def aside(source: str, status: str, reason: str) -> dict[str, str]:
    """A row of the report for what is not prepared."""
    return {"source": source, "status": status, "reason": reason}


def note(reason: str) -> dict[str, str]:
    """A row of the report about the whole data set."""
    return aside("*", "note", reason)


def expect(found: dict[str, int], wanted: dict[str, int]) -> list[dict[str, str]]:
    """A note for every count that differs from what the owners state."""
    return [
        note(f"{found.get(name, 0)} {name} found, the owners state {count} for the whole set: is the copy partial?")
        for name, count in wanted.items()
        if found.get(name, 0) != count
    ]


def strings(*names: str) -> dict[str, str]:
    """Columns of type `string`."""
    return dict.fromkeys(names, "string")


def column_name(title: str) -> str:
    """A title of the owners as the name of a column: lower case, and `_` for all that is no letter or digit."""
    return re.sub(r"\W+", "_", title.strip().lower())


def join(names: Iterable[str], table: Iterable[Item], columns: dict[str, str], where: str) -> Listing:
    """The media `names` with the labels and splits of `table`; what only one of the two has goes to the report.

    Raises `ValueError` where there is no media file at all.
    """
    # Where a table names a file twice, its last row counts.
    labeled = {item.source: item for item in table}
    present = sorted(set(names))
    if not present:
        raise ValueError(f"{where} names {len(labeled)} media and none of them is there: put them beside it")
    rows = [aside(name, "left out", f"named in {where} but not found") for name in sorted(set(labeled) - {*present})]
    if unnamed := len({*present} - set(labeled)):
        rows.append(note(f"{unnamed} media are not named in {where}: their labels are empty"))
    items = [labeled.get(name) or Item(name) for name in present]
    for item in items:
        # Every item ends with the same columns, in the same order: what a row does not say is None.
        item.labels = {name: item.labels.get(name) for name in columns}
    return Listing(items, columns, rows)


def parse_names(names: Iterable[str], parse: Callable[[str], Item | None], form: str) -> tuple[list[Item], list]:
    """Items whose labels are coded in their names, and rows for names that do not follow the `form`."""
    items, rows = [], []
    for name in names:
        item = parse(name)
        if item is None:
            rows.append(aside(name, "ignored", f"its name does not follow {form}"))
        else:
            items.append(item)
    return items, rows


def subject_split(subject: str, seed: int = SPLIT_SEED) -> str:
    """`train` (8 in 10), `validation` (1) or `test` (1), by a hash: who else is in the set does not matter."""
    # 64 bits of the hash as a number in [0, 1)
    part = int.from_bytes(hashlib.sha256(f"{seed}:{subject}".encode()).digest()[:8], "big") / 2**64
    return "train" if part < 0.8 else "validation" if part < 0.9 else "test"


def split_by(items: Iterable[Item], subject: str | Callable[[Item], Label]) -> None:
    """Give the items that have no split one by their subject: a label's name, or a function of the item."""
    for item in items:
        key = item.labels.get(subject) if isinstance(subject, str) else subject(item)
        if item.split is None and key is not None:
            item.split = subject_split(str(key))


def split_hash(listing: Listing) -> str:
    """16 hex digits that change when any item enters, leaves or changes its split."""
    # Sorted, so that the order in which a recipe lists files does not change the hash.
    lines = sorted(f"{item.split or ''}\t{item.source}" for item in listing.items)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
