"""Recipes of speech with transcripts: LRS2 and GRID."""

from __future__ import annotations

import re
from pathlib import Path

from preface_hf.recipes.base import (
    Item,
    Listing,
    expect,
    gather,
    join,
    kind_of,
    layout_error,
    note,
    parse_names,
    strings,
)
from preface_hf.recipes.reading import read_lines


# Names of the splits, and of the lists that state them; then the clips that the owners count.
LRS2_LISTS = {"pretrain": "pretrain", "train": "train", "validation": "val", "test": "test"}
LRS2_COUNTS = {"pretrain": 96318, "train": 45839, "validation": 1082, "test": 1243}
# Speakers that LipNet holds out as unseen.
GRID_TEST = ("s1", "s2", "s20", "s22")
# The word that each of the six letters of a GRID name stands for: verb, color, preposition, letter, digit, adverb.
_WORDS = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    dict(
        zip(
            "z123456789", ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], strict=True
        )
    ),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)


def lrs2(src: Path, media: str = "auto") -> Listing:
    """LRS2-BBC: https://www.robots.ox.ac.uk/~vgg/data/lip_reading/lrs2.html (an agreement with BBC; research only).

    Layout: `main/<program>/<clip>.mp4` with `<clip>.txt`, `pretrain/...` alike, and the lists `pretrain.txt`,
    `train.txt`, `val.txt`, `test.txt`, in the folder or in its `mvlrs_v1`. Labels: transcript, confidence (the number
    of the line `Conf:`). Split: the owners' lists; `pretrain` is a split of its own.
    """
    names = set(gather(src, media, ("video",), "lrs2"))
    prefix = "mvlrs_v1/" if (src / "mvlrs_v1").is_dir() else ""
    lists = {split: src / f"{prefix}{name}.txt" for split, name in LRS2_LISTS.items()}
    lists = {split: file for split, file in lists.items() if file.is_file()}
    # Only these two folders hold clips; a copy may have other videos beside them.
    clips = {name for name in names if re.search(r"(^|/)(main|pretrain)/[^/]+/[^/]+\.mp4$", name)}
    if not lists or not clips:
        raise layout_error(src, "lrs2", "train.txt, val.txt, test.txt, pretrain.txt and main/<program>/<clip>.mp4")
    items = []
    for split, file in lists.items():
        part = "pretrain" if split == "pretrain" else "main"
        items += [Item(f"{prefix}{part}/{words[0]}.mp4", split) for words in read_lines(file)]
    counts = {f"clips in {split}": sum(item.split == split for item in items) for split in LRS2_LISTS}
    columns = strings("transcript") | {"confidence": "int64"}
    listing = join(clips, items, columns, "the lists")
    for item in listing.items:
        read_transcript(src, item)
    listing.aside += expect(counts, {f"clips in {split}": count for split, count in LRS2_COUNTS.items()})
    return listing


def read_transcript(src: Path, item: Item) -> None:
    """Put transcript and confidence from the text beside a clip into the labels of `item`."""
    file = (src / item.source).with_suffix(".txt")
    # The first two lines are `Text:` and `Conf:`; word times follow in the pretrain part.
    for line in file.read_text(encoding="utf-8").splitlines()[:2] if file.is_file() else []:
        name, _, value = line.partition(":")
        if name == "Text":
            item.labels["transcript"] = value.strip()
        elif name == "Conf" and value.strip().isdigit():
            item.labels["confidence"] = int(value)


def grid(src: Path, media: str = "auto") -> Listing:
    """The GRID corpus: https://spandh.dcs.shef.ac.uk/gridcorpus or https://zenodo.org/records/3625687 (for research).

    Layout: clips `.mpg` (or `.mp4`) named by the six letters of their sentence, anywhere below the speaker's folder
    (`s1`, also `..._s1`); `<clip>.align` beside them or below the same speaker's folder. Labels: speaker, transcript
    (the words of the `.align`, else of the name). Split: LipNet's unseen speakers s1, s2, s20, s22 are `test`, the
    others `train`; a clip without a speaker's folder has none.
    """
    names = gather(src, media, ("video",), "grid")
    aligned = {(speaker_of(src, n), Path(n).stem): n for n in names if n.endswith(".align")}

    def parse(name: str) -> Item | None:
        speaker, text = speaker_of(src, name), decode_sentence(Path(name).stem)
        if text is None:
            return None
        if file := aligned.get((speaker, Path(name).stem)):
            # A line: start, end, word; times in 1/25000 of a second, sil and sp are pauses.
            text = " ".join(words[2] for words in read_lines(src / file) if words[2] not in ("sil", "sp"))
        split = None if speaker is None else "test" if speaker in GRID_TEST else "train"
        return Item(name, split, {"speaker": speaker, "transcript": text})

    form = "a GRID sentence (six letters and digits, bbaf2n)"
    items, rows = parse_names([name for name in names if kind_of(name) == "video"], parse, form)
    if not items:
        raise layout_error(src, "grid", "clips like s1/bbaf2n.mpg")
    clips = {(speaker_of(src, item.source), Path(item.source).stem) for item in items}
    if lost := len(set(aligned) - clips):
        rows.append(note(f"{lost} .align files have no clip"))
    if len(clips) < len(items):
        rows.append(note(f"{len(items) - len(clips)} clips are there twice, in two places or formats"))
    speakers = {item.labels["speaker"] for item in items} - {None}
    rows += expect({"speakers": len(speakers), "clips": len(items)}, {"speakers": 33, "clips": 33000})
    return Listing(items, strings("speaker", "transcript"), rows)


def speaker_of(src: Path, name: str) -> str | None:
    """The innermost folder that ends in s and a number, from the clip up to the source itself."""
    for part in reversed([src.resolve().name, *name.split("/")[:-1]]):
        if hit := re.search(r"(?:^|[_-])(s\d{1,2})(?:\.mpg.*)?$", part):
            return hit[1]
    return None


def decode_sentence(stem: str) -> str | None:
    """`bbaf2n` as `bin blue at f two now`; None for any other name."""
    if len(stem) != 6 or any(letter not in words for letter, words in zip(stem, _WORDS, strict=True)):
        return None
    return " ".join(words[letter] for letter, words in zip(stem, _WORDS, strict=True))
