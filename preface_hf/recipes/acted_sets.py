"""Recipes of acted emotions, whose labels stand in file and folder names: CREMA-D, RAVDESS, MEAD."""

from __future__ import annotations

import re
from pathlib import Path

from preface_hf.recipes.base import (
    Item,
    Listing,
    expect,
    gather,
    kind_of,
    layout_error,
    note,
    parse_names,
    split_by,
    strings,
)
from preface_hf.recipes.reading import find, read_csv


# Codes in file names, and the labels that they stand for; RAVDESS counts its emotions from 1 in this order.
CREMA_EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
CREMA_LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
RAVDESS_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
MEAD_EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")


def crema_d(src: Path, media: str = "auto") -> Listing:
    """CREMA-D: https://github.com/CheyneyComputerScience/CREMA-D (git lfs; the owners ask to fill in a form).

    Layout: `VideoFlash/1001_DFA_ANG_XX.flv` = actor, sentence, emotion, level; `VideoDemographics.csv` is optional. A
    clone without git lfs holds text files instead of videos, which the report then names.
    Labels: actor, sentence (code of one of 12), emotion (as acted), level (low, medium, high, unspecified), age and
    sex of the actor. Split: the owners give none; ours, by a hash of the actor.
    """
    names = gather(src, media, ("video",), "crema-d")
    file = find(names, "VideoDemographics.csv")
    people = {row["ActorID"]: row for row in read_csv(src / file)[1]} if file else {}

    # 1001_DFA_ANG_XX: actor, sentence, emotion, level
    def parse(name: str) -> Item | None:
        hit = re.fullmatch(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})", Path(name).stem)
        if not hit or hit[3] not in CREMA_EMOTIONS or hit[4] not in CREMA_LEVELS:
            return None
        actor = people.get(hit[1], {})
        age = int(actor["Age"]) if actor.get("Age", "").isdigit() else None
        labels = {
            "actor": hit[1],
            "sentence": hit[2],
            "emotion": CREMA_EMOTIONS[hit[3]],
            "level": CREMA_LEVELS[hit[4]],
        }
        return Item(name, None, {**labels, "age": age, "sex": (actor.get("Sex") or "").lower() or None})

    videos = [name for name in names if kind_of(name) == "video"]
    items, rows = parse_names(videos, parse, "<actor>_<sentence>_<emotion>_<level>")
    if not items:
        raise layout_error(src, "crema-d", "VideoFlash/1001_DFA_ANG_XX.flv")
    split_by(items, "actor")
    counts = {"clips": len(items), "actors": len({item.labels["actor"] for item in items})}
    # A demographics table is optional, but its columns are always there: labels without it are empty.
    columns = strings("actor", "sentence", "emotion", "level") | {"age": "int64", "sex": "string"}
    return Listing(items, columns, rows + expect(counts, {"clips": 7442, "actors": 91}))


def ravdess(src: Path, media: str = "auto") -> Listing:
    """RAVDESS: https://zenodo.org/records/1188976 (CC BY-NC-SA 4.0).

    Layout: `Actor_01/01-01-06-01-02-01-12.mp4` = modality (01 with sound, 02 without), channel, emotion, intensity,
    statement, repetition, actor. A clip without sound is set aside where the same one with sound is there.
    Labels: actor, emotion, intensity (normal, strong), channel (speech, song), statement, repetition, sex.
    Split: the owners give none; ours, by a hash of the actor.
    """
    names = [name for name in gather(src, media, ("video",), "ravdess") if kind_of(name) == "video"]
    # Modality 03 is sound without a picture, so it is not matched.
    code = re.compile(r"0[12]-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)")

    def parse(name: str) -> Item | None:
        hit = code.fullmatch(Path(name).stem)
        if not hit:
            return None
        channel, emotion, intensity, statement, repetition, actor = (int(part) for part in hit.groups())
        labels = {"actor": f"{actor:02d}", "emotion": RAVDESS_EMOTIONS[emotion - 1]}
        labels |= {
            "intensity": "strong" if intensity == 2 else "normal",
            "channel": "song" if channel == 2 else "speech",
        }
        # Odd actors are men and even ones women; the statements are about kids (1) and dogs (2) by the door.
        labels |= {"statement": "dogs" if statement == 2 else "kids", "sex": "female" if actor % 2 == 0 else "male"}
        return Item(name, None, {**labels, "repetition": repetition})

    # 02-... is the silent copy of 01-...: where both are there, only the one with sound is prepared
    stems = {Path(name).stem for name in names}
    silent = {name for name in names if (s := Path(name).stem).startswith("02-") and f"01-{s[3:]}" in stems}
    items, rows = parse_names([name for name in names if name not in silent], parse, "seven numbers, 01-01-06-...")
    if not items:
        raise layout_error(src, "ravdess", "Actor_01/01-01-06-01-02-01-12.mp4")
    if silent:
        rows.append(note(f"{len(silent)} clips without sound are set aside: the same clips with sound are prepared"))
    split_by(items, "actor")
    counts = {"clips": len(items), "actors": len({item.labels["actor"] for item in items})}
    columns = strings("actor", "emotion", "intensity", "channel", "statement", "sex") | {"repetition": "int64"}
    return Listing(items, columns, rows + expect(counts, {"clips": 2452, "actors": 24}))


def mead(src: Path, media: str = "auto") -> Listing:
    """MEAD: https://wywu.github.io/projects/MEAD/MEAD.html (research only).

    Layout: `M003/video/front/angry/level_1/001.mp4` = subject, view, emotion, level, number; also names like
    `M030_sad_3_001.mp4`. Labels: subject, view (front, down, top, left_30, ...), emotion, level (1 to 3; neutral has 1
    only), sex (of the subject's letter). Split: the owners give none; ours, by a hash of the subject, for all views.
    """
    names = gather(src, media, ("video",), "mead")
    emotion = "|".join(MEAD_EMOTIONS)
    form = re.compile(rf"([MW]\d{{3}})/(?:video/)?([a-z]+(?:_\d+)?)/({emotion})/level_(\d)/\d+\.\w+$")
    # The empty group stands where `form` has the view, so that both patterns number their groups alike.
    flat = re.compile(rf"(?:^|/)([MW]\d{{3}})_()({emotion})_(\d)_\d+\.\w+$")

    def parse(name: str) -> Item | None:
        # the folder itself may be a subject's, so its name is put before the path
        hit = form.search(f"{src.resolve().name}/{name}") or flat.search(name)
        if not hit:
            return None
        sex = "male" if hit[1][0] == "M" else "female"
        labels = {"subject": hit[1], "view": hit[2] or None, "emotion": hit[3], "sex": sex}
        return Item(name, None, {**labels, "level": int(hit[4])})

    videos = [name for name in names if kind_of(name) == "video"]
    items, rows = parse_names(videos, parse, "<subject>/video/<view>/<emotion>/level_<n>/<number>.mp4")
    if not items:
        raise layout_error(src, "mead", "M003/video/front/angry/level_1/001.mp4")
    split_by(items, "subject")
    return Listing(items, strings("subject", "view", "emotion", "sex") | {"level": "int64"}, rows)
