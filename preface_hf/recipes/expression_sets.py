"""Recipes of facial expressions: CK+ and FER2013, whose pictures may have to be written out."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from preface_hf.recipes.base import (
    Item,
    Label,
    Listing,
    expect,
    gather,
    join,
    kind_of,
    layout_error,
    note,
    parse_names,
    split_by,
    strings,
)
from preface_hf.recipes.reading import find, open_csv, read_csv, read_lines
from preface_hf.recipes.writing import cache_folder, describe, frames_to_video, write_media


# Emotions in the order of the owners' numbers: CK+ and FER2013 count from 0.
CK_EMOTIONS = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
FER_EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FER_SPLITS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
FER_COUNTS = {"train images": 28709, "validation images": 3589, "test images": 3589}


def ck_plus(src: Path, media: str = "auto") -> Listing:
    """CK+, the extended Cohn-Kanade set (the owners' agreement, research only).

    Layout: `cohn-kanade-images/S005/001/S005_001_00000011.png` and `Emotion/S005/001/..._emotion.txt` (a number, 0
    neutral to 7 surprise). Sequences are written out once as videos (30 frames a second) into the cache; `media`
    image takes the last frame of each, the peak, instead. Copies sorted into folders by emotion are read as images.
    Labels: subject, sequence, emotion (empty for the 266 sequences without one). Split: the owners give none; ours,
    by a hash of the subject.
    """
    names = gather(src, media, ("image", "video"), "ck-plus")
    frames: dict[str, list[str]] = {}
    for name in names:
        if hit := re.search(r"(S\d{3}_\d{3})_\d{8}\.(?:png|jpe?g)$", name):
            frames.setdefault(hit[1], []).append(name)
    if not frames:
        raise layout_error(src, "ck-plus", "cohn-kanade-images/S005/001/S005_001_00000011.png")
    emotions = ck_emotions(src, names, frames)
    # `own`: the owners' folders of whole sequences; else a copy with single frames sorted by emotion.
    own = any(re.search(r"(^|/)S\d{3}/\d{3}/[^/]+$", files[0]) for files in frames.values())
    pairs: list[tuple[Item, Callable[[], bytes]]] = []
    for sequence, files in frames.items():
        files.sort()
        labels: dict[str, Label] = {"subject": sequence[:4], "sequence": sequence, "emotion": emotions.get(sequence)}
        if own and media != "image":
            content = partial(frames_to_video, [src / name for name in files], 30)
            pairs.append((Item(f"{sequence[:4]}/{sequence}.mp4", None, labels), content))
        else:
            # The last frame of a sequence is the peak. `bytes` stands in for content that is never asked for.
            pairs += [(Item(name, None, dict(labels)), bytes) for name in (files[-1:] if own else files)]
    items, root = [item for item, _ in pairs], None
    rows: list[dict[str, str]] = []
    if own and media != "image":
        root = cache_folder("ck-plus", describe(src, sorted(name for files in frames.values() for name in files)))
        items, rows = write_media(root, pairs, len(pairs))
    split_by(items, "subject")
    rows += expect({"sequences with an emotion": len(emotions)}, {"sequences with an emotion": 327})
    items.sort(key=lambda item: item.source)
    return Listing(items, strings("subject", "sequence", "emotion"), rows, str(root) if root else None)


def ck_emotions(src: Path, names: list[str], frames: dict[str, list[str]]) -> dict[str, str]:
    """Emotion of each sequence, from the owners' files, or from folders called by emotions."""
    table = {}
    for name in names:
        if hit := re.search(r"(S\d{3}_\d{3})_\d{8}_emotion\.txt$", name):
            table[hit[1]] = CK_EMOTIONS[int(float((src / name).read_text().strip()))]
    folders = {sequence: files[0].split("/")[-2] for sequence, files in frames.items() if "/" in files[0]}
    return table or {sequence: place for sequence, place in folders.items() if place in CK_EMOTIONS}


def fer2013(src: Path, media: str = "auto") -> Listing:
    """FER2013: https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge.

    Layout: `fer2013.csv` (or `icml_face_data.csv`) with the columns emotion, pixels, Usage: the 48 x 48 pixels are
    written out once as png into the cache; or images in folders, `train/angry/Training_3908.jpg`, `test/...`.
    Labels: emotion (angry, disgust, fear, happy, sad, surprise, neutral). Split: the owners' Usage, in the table or in
    the file's name (Training is `train`, PublicTest `validation`, PrivateTest `test`), else the folder.
    """
    names = gather(src, media, ("image",), "fer2013")
    file = find(names, "fer2013.csv") or find(names, "icml_face_data.csv")
    if file is not None:
        # Path and size of the table name the folder in the cache: another table does not find these images.
        key = [str((src / file).resolve()), str((src / file).stat().st_size)]
        root = cache_folder("fer2013", key)
        items, rows = write_media(root, fer_images(src / file), sum(FER_COUNTS.values()))
    else:
        root = None
        images = [name for name in names if kind_of(name) == "image"]
        items, rows = parse_names(images, fer_item, "<split>/<emotion>/<file>")
        if not items:
            raise layout_error(src, "fer2013", "fer2013.csv or train/angry/<image>.jpg")
    counts = {f"{split} images": sum(i.split == split for i in items) for split in FER_SPLITS.values()}
    return Listing(items, strings("emotion"), rows + expect(counts, FER_COUNTS), str(root) if root else None)


def fer_images(file: Path) -> Iterator[tuple[Item, Callable[[], bytes]]]:
    """An item for each row of the table `file`, and what makes its png."""
    names, rows = open_csv(file)
    if {"emotion", "pixels", "Usage"} - set(names):
        raise ValueError(f"{file} has not the columns emotion, pixels, Usage: download it again")
    for number, (_, cells) in enumerate(rows):
        row = dict(zip(names, cells, strict=True))
        emotion = FER_EMOTIONS[int(row["emotion"])]
        # The number is the row's place in the table, which keeps names unique.
        name = f"{row['Usage']}/{emotion}/{number:05d}.png"
        yield Item(name, FER_SPLITS.get(row["Usage"]), {"emotion": emotion}), partial(png, row["pixels"])


def png(pixels: str) -> bytes:
    """A png of 48 x 48 gray values, given as a text of numbers from 0 to 255."""
    buffer = io.BytesIO()
    Image.fromarray(np.array(pixels.split(), np.uint8).reshape(48, 48)).save(buffer, "PNG")
    return buffer.getvalue()


def fer_item(name: str) -> Item | None:
    """The item of an image `<split>/<emotion>/<file>`; None where its folder is no emotion."""
    parts = name.split("/")
    emotion = parts[-2].lower() if len(parts) > 1 else ""
    if emotion not in FER_EMOTIONS:
        return None
    # Names such as Training_3908.jpg tell the owners' split, which goes before the folder's.
    usage = parts[-1].split("_")[0]
    folder = parts[-3] if len(parts) > 2 and parts[-3] in ("train", "validation", "test") else None
    return Item(name, FER_SPLITS.get(usage, folder), {"emotion": emotion})


# RAF-DB counts from 1, AffectNet from 0.
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
        raise layout_error(src, "raf-db", "basic/EmoLabel/list_patition_label.txt and basic/Image")
    # Only images below the folder above EmoLabel count: other parts of RAF-DB have files of the same names.
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
    counts = {f"{split} images": sum(item.split == split for item in items) for split in ("train", "test")}
    listing.aside += expect(counts, {"train images": 12271, "test images": 3068})
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
        # The csv names an image by its folder and file; the folders above them differ between copies.
        ends = {"/".join(name.split("/")[-2:]): name for name in images}
        items = [item for split, file in tables.items() if file for item in affectnet_csv(src / file, split, ends)]
        return join(images, items, columns, "training.csv and validation.csv")
    present, items, rows = set(names), [], []
    for name in images:
        if hit := re.search(r"(?:^|/)(train|val)_set/images/[^/]+$", f"{src.resolve().name}/{name}"):
            # train_set/images/0.jpg has its labels in train_set/annotations/0_exp.npy and so on.
            stem = re.sub(r"(^|/)images/([^/]+)\.\w+$", r"\1annotations/\2", name)
            values = {
                kind: read_scalar(src / f) for kind in ("exp", "val", "aro") if (f := f"{stem}_{kind}.npy") in present
            }
            labels = affectnet_labels(values.get("exp"), values.get("val"), values.get("aro"))
            items.append(Item(name, "validation" if hit[1] == "val" else "train", labels))
    if not items:
        raise layout_error(src, "affectnet", "train_set/images and train_set/annotations, or training.csv")
    if bare := sum(item.labels["emotion"] is None for item in items):
        rows.append(note(f"{bare} images have no annotation: their labels are empty"))
    counts = {f"{split} images": sum(i.split == split for i in items) for split in ("train", "validation")}
    return Listing(items, columns, rows + expect(counts, {"train images": 287651, "validation images": 3999}))


def read_scalar(file: Path) -> float:
    """The number in a `.npy` file, which AffectNet stores as text or as a number."""
    return float(str(np.load(file, allow_pickle=False)))


def affectnet_csv(file: Path, split: str, ends: dict[str, str]) -> Iterator[Item]:
    """The items of one of the owners' tables; `ends` finds an image by its last two parts."""
    for row in read_csv(file)[1]:
        labels = affectnet_labels(*(float(row[name]) for name in ("expression", "valence", "arousal")))
        name = row["subDirectory_filePath"]
        yield Item(ends.get(name, name), split, labels)


def affectnet_labels(emotion: float | None, valence: float | None, arousal: float | None) -> dict[str, Label]:
    """Labels from the owners' numbers; -2 for valence or arousal means that there is none."""
    labels: dict[str, Label] = {"emotion": None if emotion is None else AFFECTNET_EMOTIONS[int(emotion)]}
    return labels | {"valence": None if valence == -2 else valence, "arousal": None if arousal == -2 else arousal}
