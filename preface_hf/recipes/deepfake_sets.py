"""Recipes of deepfakes: FaceForensics++ and DFDC."""

from __future__ import annotations

import json
import re
from pathlib import Path

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
from preface_hf.recipes.reading import find


# Each has 1000 videos, against which the copy is counted; `original` are the videos that were changed.
FFPP_METHODS = ("original", "Deepfakes", "Face2Face", "FaceSwap", "FaceShifter", "NeuralTextures")


def faceforensics(src: Path, media: str = "auto") -> Listing:
    """FaceForensics++: https://github.com/ondyari/FaceForensics (the owners' form gives the download script).

    Layout: `original_sequences/youtube/<compression>/videos/071.mp4` and
    `manipulated_sequences/<method>/<compression>/videos/071_054.mp4`; compression is raw (c0), c23 or c40.
    Labels: label (real, fake), method (original, actors, Deepfakes, ...), compression, target_id (whose video it is),
    source_id (whose face was put in). Split: the owners' `train.json`, `val.json`, `test.json` (from `dataset/splits`
    of their repository) anywhere in the folder, else ours, by a hash that keeps the two people of a pair together.
    The videos with actors (DeepFakeDetection) have no official split and get none.
    """
    names = gather(src, media, ("video",), "faceforensics")
    form = r"(?:original|manipulated)_sequences/([^/]+)/([^/]+)/videos/([^/]+)\.mp4$"

    def parse(name: str) -> Item | None:
        hit = re.search(form, name)
        if not hit:
            return None
        # `071_054` is the video 071 with the face of 054; names of DeepFakeDetection have no such numbers.
        target, _, source = hit[3].partition("_") if re.fullmatch(r"\d{3}(_\d{3})?", hit[3]) else ("", "", "")
        labels: dict[str, Label] = {"label": "real" if "original_sequences/" in name else "fake"}
        labels |= {"method": "original" if hit[1] == "youtube" else hit[1], "compression": hit[2]}
        return Item(name, None, labels | {"target_id": target or None, "source_id": source or None})

    # Masks of the changed pixels are videos too, but show no face.
    videos = [name for name in names if name.endswith(".mp4") and "/masks/" not in name]
    items, rows = parse_names(videos, parse, "<method>/<compression>/videos/<id>.mp4")
    if not items:
        raise layout_error(src, "faceforensics", "original_sequences/youtube/c23/videos/<id>.mp4")
    splits = ffpp_splits(src, names)
    if splits:
        for item in items:
            item.split = splits.get(str(item.labels["target_id"]))
    else:
        rows.append(note("train.json, val.json, test.json are not there: the split is drawn by pair, not the owners'"))
        # Pairs are swapped both ways (071_054 and 054_071): the lower number stands for both people.
        partner = {i.labels["source_id"]: i.labels["target_id"] for i in items} | {
            i.labels["target_id"]: i.labels["source_id"] for i in items if i.labels["source_id"]
        }
        split_by(items, lambda i: (t := i.labels["target_id"]) and min(str(t), str(partner.get(t) or t)))
    for quality in sorted({str(item.labels["compression"]) for item in items}):
        for method in FFPP_METHODS:
            count = sum((i.labels["method"], i.labels["compression"]) == (method, quality) for i in items)
            rows += expect({f"videos of {method} {quality}": count}, {f"videos of {method} {quality}": 1000})
    return Listing(items, strings("label", "method", "compression", "target_id", "source_id"), rows)


def ffpp_splits(src: Path, names: list[str]) -> dict[str, str]:
    """The owners' split of each person, by the three digits of their video; empty unless all lists are there."""
    files = {
        "train": find(names, "train.json"),
        "validation": find(names, "val.json"),
        "test": find(names, "test.json"),
    }
    if None in files.values():
        return {}
    pairs = {split: json.loads((src / str(file)).read_text(encoding="utf-8")) for split, file in files.items()}
    # The lists hold pairs such as ["071", "054"]; both people of a pair are in the same split.
    return {str(person): split for split, rows in pairs.items() for pair in rows for person in pair}


def dfdc(src: Path, media: str = "auto") -> Listing:
    """The DeepFake Detection Challenge: https://ai.meta.com/datasets/dfdc (an account and the owners' terms).

    Layout: `dfdc_train_part_<n>/metadata.json` with `{"a.mp4": {"label": "FAKE", "original": "b.mp4", ...}}` beside
    the clips; a part whose table has `is_fake` (1 or 0) instead of `label` is read alike. Labels: label (real, fake),
    original (the real clip that a fake was made of, of a real clip itself: who is seen). Split: the owners', where
    they name several; where all is `train` (the training parts) it is ours, by a hash of the original clip, so that a
    fake and its original stay together.
    """
    names = gather(src, media, ("video",), "dfdc")
    # Each part has a table of its own, whose names are relative to the part.
    tables = [name for name in names if name.rsplit("/", 1)[-1] == "metadata.json"]
    items = []
    for name in tables:
        for clip, data in json.loads((src / name).read_text(encoding="utf-8")).items():
            place = f"{name.removesuffix('metadata.json')}{clip}"
            label = data.get("label") or {1: "FAKE", 0: "REAL"}.get(data.get("is_fake"))
            original = data.get("original") or (clip if label == "REAL" else None)
            labels: dict[str, Label] = {"label": label and label.lower(), "original": original}
            items.append(Item(place, data.get("split"), labels))
    if not items:
        raise layout_error(src, "dfdc", "dfdc_train_part_<n>/metadata.json")
    clips = [name for name in names if kind_of(name) == "video"]
    listing = join(clips, items, strings("label", "original"), "metadata.json")
    # The public parts are all `train`: a set with no validation or test split would measure nothing.
    splits = {item.split for item in items}
    if splits <= {"train", None}:
        for item in listing.items:
            item.split = None
        split_by(listing.items, lambda item: item.labels["original"] or Path(item.source).name)
        listing.aside += expect({"training clips": len(items)}, {"training clips": 119154})
    return listing
