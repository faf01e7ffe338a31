"""Recipes of facial expressions in stills from the web: RAF-DB and AffectNet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from preface_hf.recipes.base import Item, Label, Listing, expect, gather, join, kind_of, note, refuse, strings
from preface_hf.recipes.reading import find, read_csv, read_lines


RAF_EMOTIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
AFFECTNET_EMOTIONS = (
    "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt", "none", "uncertain",
    "no-face",
)  # fmt: skip


def raf_db(src: Path, media: str = "auto") -> Listing:
    """RAF-DB, basic emotions: http://www.whdeng.cn/raf/model1.html (ask the owners by mail; non-commercial research).

    Layout: `basic/EmoLabel/list_patition_label.txt` (so spelled; lines `train_00001.jpg 5`) and
    `basic/Image/aligned/train_00001_aligned.jpg`, or `Image/original/train_00001.jpg` where nothing is aligned.
    Labels: emotion (surprise, fear, disgust, happiness, sadness, anger, neutral). Split: the owners', in the name.
    """
    names = gather(src, media, ("image",), "raf-db")
    file = find(names, "list_patition_label.txt") or find(names, "list_partition_label.txt")
    if file is None:
        raise refuse(src, "raf-db", "basic/EmoLabel/list_patition_label.txt and basic/Image")
    base = re.sub(r"(^|/)EmoLabel$", r"\1", "/".join(file.split("/")[:-1])).rstrip("/")
    images = [n for n in names if kind_of(n) == "image" and n.startswith(f"{base}/" if base else "")]
    aligned = [n for n in images if Path(n).stem.endswith("_aligned")]
    places = {Path(n).stem.removesuffix("_aligned"): n for n in aligned or images}
    items = []
    for name, number in (words[:2] for words in read_lines(src / file)):
        stem = Path(name).stem
        split = stem.split("_")[0]
        items.append(Item(places.get(stem, name), split, {"emotion": RAF_EMOTIONS[int(number) - 1]}))
    listing = join(places.values(), items, strings("emotion"), file.split("/")[-1])
    found = {f"{split} images": sum(item.split == split for item in items) for split in ("train", "test")}
    listing.aside += expect(found, {"train images": 12271, "test images": 3068})
    return listing


def affectnet(src: Path, media: str = "auto") -> Listing:
    """AffectNet: http://mohammadmahoor.com/affectnet (asked for by an institution; research only).

    Layout: `train_set/images/0.jpg` and `train_set/annotations/0_exp.npy`, `0_val.npy`, `0_aro.npy`, `val_set/...`;
    or `training.csv` and `validation.csv` (column subDirectory_filePath) above `Manually_Annotated_Images/`.
    Labels: emotion (neutral, happiness, sadness, surprise, fear, disgust, anger, contempt; in the csv also none,
    uncertain, no-face), valence and arousal (-1 to 1, empty where the owners wrote -2). Split: the owners', val_set
    and validation.csv are `validation`; they keep the test set.
    """
    names = gather(src, media, ("image",), "affectnet")
    images = [name for name in names if kind_of(name) == "image"]
    tables = {
        split: find(names, f"{name}.csv") for split, name in (("train", "training"), ("validation", "validation"))
    }
    columns = {"emotion": "string", "valence": "float64", "arousal": "float64"}
    if any(tables.values()):
        ends = {"/".join(name.split("/")[-2:]): name for name in images}
        items = [item for split, file in tables.items() if file for item in _affectnet_csv(src / file, split, ends)]
        return join(images, items, columns, "training.csv and validation.csv")
    present, items, rows = set(names), [], []
    for name in images:
        if hit := re.search(r"(?:^|/)(train|val)_set/images/[^/]+$", f"{src.resolve().name}/{name}"):
            stem = re.sub(r"(^|/)images/([^/]+)\.\w+$", r"\1annotations/\2", name)
            values = {
                kind: _scalar(src / f) for kind in ("exp", "val", "aro") if (f := f"{stem}_{kind}.npy") in present
            }
            labels = _affectnet_labels(values.get("exp"), values.get("val"), values.get("aro"))
            items.append(Item(name, "validation" if hit[1] == "val" else "train", labels))
    if not items:
        raise refuse(src, "affectnet", "train_set/images and train_set/annotations, or training.csv")
    if bare := sum(item.labels["emotion"] is None for item in items):
        rows.append(note(f"{bare} images have no annotation: their labels are empty"))
    found = {f"{split} images": sum(i.split == split for i in items) for split in ("train", "validation")}
    return Listing(items, columns, rows + expect(found, {"train images": 287651, "validation images": 3999}))


def _scalar(file: Path) -> float:
    return float(str(np.load(file, allow_pickle=False)))


def _affectnet_csv(file: Path, split: str, ends: dict[str, str]) -> Iterator[Item]:
    for row in read_csv(file)[1]:
        labels = _affectnet_labels(*(float(row[name]) for name in ("expression", "valence", "arousal")))
        name = row["subDirectory_filePath"]
        yield Item(ends.get(name, name), split, labels)


def _affectnet_labels(emotion: float | None, valence: float | None, arousal: float | None) -> dict[str, Label]:
    labels: dict[str, Label] = {"emotion": None if emotion is None else AFFECTNET_EMOTIONS[int(emotion)]}
    return labels | {"valence": None if valence == -2 else valence, "arousal": None if arousal == -2 else arousal}
