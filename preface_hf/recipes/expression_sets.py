"""Recipes of facial expressions: CK+ and FER2013, whose pictures may have to be written out."""

from __future__ import annotations

import csv
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
    kind_of,
    parse_names,
    refuse,
    split_by,
    strings,
)
from preface_hf.recipes.reading import find
from preface_hf.recipes.writing import cache_folder, describe, frames_to_video, write_media


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
        raise refuse(src, "ck-plus", "cohn-kanade-images/S005/001/S005_001_00000011.png")
    emotions = _ck_emotions(src, names, frames)
    own = any(re.search(r"(^|/)S\d{3}/\d{3}/[^/]+$", files[0]) for files in frames.values())
    pairs: list[tuple[Item, Callable[[], bytes]]] = []
    for sequence, files in frames.items():
        files.sort()
        labels: dict[str, Label] = {"subject": sequence[:4], "sequence": sequence, "emotion": emotions.get(sequence)}
        if own and media != "image":
            content = partial(frames_to_video, [src / name for name in files], 30)
            pairs.append((Item(f"{sequence[:4]}/{sequence}.mp4", None, labels), content))
        else:
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


def _ck_emotions(src: Path, names: list[str], frames: dict[str, list[str]]) -> dict[str, str]:
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
        key = [str((src / file).resolve()), str((src / file).stat().st_size)]
        root = cache_folder("fer2013", key)
        items, rows = write_media(root, _fer_images(src / file), sum(FER_COUNTS.values()))
    else:
        root = None
        images = [name for name in names if kind_of(name) == "image"]
        items, rows = parse_names(images, _fer_name, "<split>/<emotion>/<file>")
        if not items:
            raise refuse(src, "fer2013", "fer2013.csv or train/angry/<image>.jpg")
    found = {f"{split} images": sum(i.split == split for i in items) for split in FER_SPLITS.values()}
    return Listing(items, strings("emotion"), rows + expect(found, FER_COUNTS), str(root) if root else None)


def _fer_images(file: Path) -> Iterator[tuple[Item, Callable[[], bytes]]]:
    with open(file, newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, skipinitialspace=True)
        if {"emotion", "pixels", "Usage"} - set(reader.fieldnames or []):
            raise ValueError(f"{file} has not the columns emotion, pixels, Usage: download it again")
        for number, row in enumerate(reader):
            emotion = FER_EMOTIONS[int(row["emotion"])]
            name = f"{row['Usage']}/{emotion}/{number:05d}.png"
            yield Item(name, FER_SPLITS.get(row["Usage"]), {"emotion": emotion}), partial(_png, row["pixels"])


def _png(pixels: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.array(pixels.split(), np.uint8).reshape(48, 48)).save(buffer, "PNG")
    return buffer.getvalue()


def _fer_name(name: str) -> Item | None:
    parts = name.split("/")
    emotion = parts[-2].lower() if len(parts) > 1 else ""
    if emotion not in FER_EMOTIONS:
        return None
    usage = parts[-1].split("_")[0]
    folder = parts[-3] if len(parts) > 2 and parts[-3] in ("train", "validation", "test") else None
    return Item(name, FER_SPLITS.get(usage, folder), {"emotion": emotion})
