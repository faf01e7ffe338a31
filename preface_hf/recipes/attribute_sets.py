"""Recipes of face attributes and identities in stills: CelebA, LFW, LFWA."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from preface_hf.recipes.base import (
    Item,
    Label,
    Listing,
    column_name,
    expect,
    gather,
    join,
    layout_error,
    note,
    split_by,
    strings,
)
from preface_hf.recipes.reading import find, h5py_of, read_lines


CELEBA_SPLITS = {"0": "train", "1": "validation", "2": "test"}
CELEBA_COUNTS = {"train": 162770, "validation": 19867, "test": 19962}


def celeba(src: Path, media: str = "auto") -> Listing:
    """CelebA: https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (non-commercial research).

    Layout: `list_attr_celeba.txt`, `identity_CelebA.txt` (sent on request) and `list_eval_partition.txt` anywhere
    below, images `000001.jpg` in `img_align_celeba/` or, where that is absent, `img_celeba/`.
    Labels: 40 attributes (1 present, 0 not; the file has 1 and -1), identity. Split: the owners' partition;
    identities do not overlap. Without that file it is ours, by a hash of the identity.
    """
    names = gather(src, media, ("image",), "celeba")
    file = find(names, "list_attr_celeba.txt")
    if file is None:
        raise layout_error(src, "celeba", "list_attr_celeba.txt (the owners' folder Anno)")
    # the first line holds the number of images, the second the names of the attributes
    _, titles, *lines = read_lines(src / file)
    identity, parts = (word_pairs(src, names, f) for f in ("identity_CelebA.txt", "list_eval_partition.txt"))
    places, rows = one_copy([name for name in names if re.fullmatch(r"\d{6}\.(jpg|png)", name.rsplit("/", 1)[-1])])
    items = []
    for name, *values in lines:
        labels: dict[str, Label] = {title: int(value == "1") for title, value in zip(titles, values, strict=True)}
        labels["identity"] = identity.get(name)
        # The table says .jpg where the aligned images may be .png: names are compared without their ending.
        items.append(Item(places.get(Path(name).stem, name), CELEBA_SPLITS.get(parts.get(name, "")), labels))
    if not parts:
        rows.append(note("list_eval_partition.txt is not there: the split is drawn by identity, not the owners'"))
        split_by(items, "identity")
    listing = join(
        places.values(), items, dict.fromkeys(titles, "int64") | strings("identity"), "list_attr_celeba.txt"
    )
    counts = {f"images in {split}": sum(item.split == split for item in items) for split in CELEBA_COUNTS}
    listing.aside += rows + expect(counts, {f"images in {split}": count for split, count in CELEBA_COUNTS.items()})
    return listing


def word_pairs(src: Path, names: list[str], name: str) -> dict[str, str]:
    """The first two words of each line of the file called `name`, as a table; empty where it is not there."""
    file = find(names, name)
    return {words[0]: words[1] for words in read_lines(src / file) if len(words) > 1} if file else {}


def one_copy(images: list[str]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """One file for each stem (aligned before others), and a note on the rest."""
    places: dict[str, str] = {}
    # False sorts before True: the aligned copy of an image comes first, and `setdefault` keeps the first.
    for name in sorted(images, key=lambda name: ("align" not in name and "funneled" not in name, name)):
        places.setdefault(Path(name).stem, name)
    rest = len(images) - len(places)
    return places, [note(f"{rest} images are other copies of the same ones and are not prepared")] if rest else []


def lfw(src: Path, media: str = "auto") -> Listing:
    """Labeled Faces in the Wild: http://vis-www.cs.umass.edu/lfw.

    Layout: `<person>/<person>_0001.jpg` (lfw, lfw-funneled or lfw-deepfunneled); optional `peopleDevTrain.txt`,
    `peopleDevTest.txt` and `lfw_attributes.txt` (73 scores by Kumar et al., columns person, imagenum, names).
    Labels: identity, the scores (positive where the attribute is present). Split: view 1 of the owners' lists, for
    development (`train`, `test`; people do not overlap); without them ours, by a hash of the person.
    """
    names = gather(src, media, ("image",), "lfw")
    places, rows = one_copy([name for name in names if lfw_person(name)])
    if not places:
        raise layout_error(src, "lfw", "<person>/<person>_0001.jpg")
    scores, titles = lfw_scores(src, names)
    splits: dict[str, str] = {}
    for split, list_name in (("train", "peopleDevTrain.txt"), ("test", "peopleDevTest.txt")):
        splits |= dict.fromkeys(word_pairs(src, names, list_name), split)
    items = []
    for stem, name in sorted(places.items()):
        person = str(lfw_person(name))
        items.append(Item(name, splits.get(person), {"identity": person, **scores.pop(stem, dict.fromkeys(titles))}))
    if not splits:
        rows.append(note("peopleDevTrain.txt is not there: the split is drawn by person, not the owners' view 1"))
        split_by(items, "identity")
    # Scores that no image took above: `join` reports them as named and not found.
    absent = [Item(f"{stem}.jpg", None, labels) for stem, labels in scores.items()]
    columns = strings("identity") | dict.fromkeys(titles, "float64")
    listing = join((item.source for item in items), items + absent, columns, "lfw_attributes.txt")
    counts = {"images": len(items), "people": len({item.labels["identity"] for item in items})}
    listing.aside += rows + expect(counts, {"images": 13233, "people": 5749})
    return listing


def lfw_person(name: str) -> str | None:
    """The person of `<person>/<person>_0001.jpg`; None for any other name."""
    *folders, file = name.split("/")
    hit = re.fullmatch(r"(.+)_\d{4}\.jpg", file)
    return hit[1] if hit and folders and folders[-1] == hit[1] else None


def lfw_scores(src: Path, names: list[str]) -> tuple[dict[str, dict[str, Label]], list[str]]:
    """Scores by image stem, and the names of the attributes."""
    file = find(names, "lfw_attributes.txt")
    lines = (src / file).read_text(encoding="utf-8").splitlines() if file else []
    # a comment names the columns: #, person, imagenum, then the attributes, all between tabs
    header = next((line for line in lines if line.startswith("#\tperson")), None)
    titles = [column_name(title) for title in (header or "").split("\t")[3:]]
    table: dict[str, dict[str, Label]] = {}
    for person, number, *values in (line.split("\t") for line in lines if line and not line.startswith("#")):
        labels = dict(zip(titles, (float(value) for value in values), strict=True))
        table[f"{person.replace(' ', '_')}_{int(number):04d}"] = labels  # type: ignore[assignment]
    return table, titles


def lfwa(src: Path, media: str = "auto") -> Listing:
    """LFWA, the 40 attributes of CelebA on LFW: https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (research only).

    Layout: `lfw_att_40.mat` and `indices_train_test.mat` (MATLAB 7.3, read by h5py) and LFW's images.
    Labels: 40 attributes (1 present, 0 not), identity. Split: the owners' indices `indices_img_train` and
    `indices_img_test`; without that file ours, by a hash of the person.
    """
    names = gather(src, media, ("image",), "lfwa")
    file = find(names, "lfw_att_40.mat")
    if file is None:
        raise layout_error(src, "lfwa", "lfw_att_40.mat", "it comes with LFWA from the owners of CelebA")
    places, rows = one_copy([name for name in names if lfw_person(name)])
    with h5py_of("lfwa").File(src / file, "r") as store:
        # The owners wrote paths with backslashes.
        titles, images = cell_texts(store, "AttrName"), [name.replace("\\", "/") for name in cell_texts(store, "name")]
        values = store["label"][:]
    # HDF5 holds MATLAB's arrays with their axes reversed: rows shall be images, columns attributes.
    values = values.T if values.shape[0] == len(titles) else values
    splits = lfwa_splits(src, names)
    items = []
    for number, (name, row) in enumerate(zip(images, values, strict=True), start=1):
        labels: dict[str, Label] = {title: int(value == 1) for title, value in zip(titles, row, strict=True)}
        person = lfw_person(name)
        items.append(Item(places.get(Path(name).stem, name), splits.get(number), labels | {"identity": person}))
    if not splits:
        rows.append(note("indices_train_test.mat is not there: the split is drawn by person, not the owners'"))
        split_by(items, "identity")
    listing = join(places.values(), items, dict.fromkeys(titles, "int64") | strings("identity"), "lfw_att_40.mat")
    listing.aside += rows
    return listing


def cell_texts(store: Any, name: str) -> list[str]:
    """A MATLAB cell array of texts: references to arrays of character codes."""
    return ["".join(chr(int(code)) for code in store[reference][:].ravel()) for reference in store[name][:].ravel()]


def lfwa_splits(src: Path, names: list[str]) -> dict[int, str]:
    """Split by the number of the image, counted from 1."""
    file = find(names, "indices_train_test.mat")
    if file is None:
        return {}
    with h5py_of("lfwa").File(src / file, "r") as store:
        return {int(n): part for part in ("train", "test") for n in store[f"indices_img_{part}"][:].ravel()}
