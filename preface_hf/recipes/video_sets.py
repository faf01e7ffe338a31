"""Recipes of large sets of face videos: YouTube Faces, VoxCeleb2, CelebV-HQ, CMU-MOSEI (whose labels are HDF5)."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from functools import partial
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
    parse_names,
    split_by,
    strings,
)
from preface_hf.recipes.reading import by_stem, find, h5py_of, read_csv, read_lines
from preface_hf.recipes.writing import cache_folder, describe, frames_to_video, write_media


def youtube_faces(src: Path, media: str = "auto") -> Listing:
    """YouTube Faces: https://www.cs.tau.ac.il/~wolf/ytfaces (a form asks who you are).

    Layout: `frame_images_DB/<person>/<video>/<video>.<frame>.jpg` (or `aligned_images_DB`), frames cut at 24 a second.
    They are written out once as videos into the cache; `media` image lists the single frames instead.
    Labels: identity, video (its number within the person). Split: the owners' ten folds are pairs for verification
    and not a split of videos, so it is ours, by a hash of the person.
    """
    names = gather(src, media, ("video", "image"), "youtube-faces")
    frames: dict[tuple[str, str], list[tuple[int, str]]] = {}
    # person, number of the video, number of the frame
    for name in names:
        if hit := re.search(r"(?:^|/)([^/]+)/(\d+)/(?:aligned_detect_)?\d+\.(\d+)\.jpg$", name):
            frames.setdefault((hit[1], hit[2]), []).append((int(hit[3]), name))
    if not frames:
        raise layout_error(src, "youtube-faces", "frame_images_DB/<person>/<video>/<video>.<frame>.jpg")
    columns = strings("identity", "video_number")
    pairs: list[tuple[Item, Callable[[], bytes]]] = []
    root = None
    for (person, video), numbered in sorted(frames.items()):
        # By number, since names sort 10 before 2.
        files = [name for _, name in sorted(numbered)]
        labels: dict[str, Label] = {"identity": person, "video_number": video}
        if media == "image":
            pairs += [(Item(name, None, dict(labels)), bytes) for name in files]
        else:
            content = partial(frames_to_video, [src / name for name in files], 24)
            pairs.append((Item(f"{person}/{video}.mp4", None, labels), content))
    rows = expect({"videos": len(frames), "people": len({p for p, _ in frames})}, {"videos": 3425, "people": 1595})
    items = sorted((item for item, _ in pairs), key=lambda item: item.source)
    if media != "image":
        root = cache_folder("youtube-faces", describe(src, sorted(n for f in frames.values() for _, n in f)))
        items, notes = write_media(root, pairs, len(pairs))
        rows += notes
    split_by(items, "identity")
    return Listing(items, columns, rows, str(root) if root else None)


def voxceleb2(src: Path, media: str = "auto") -> Listing:
    """VoxCeleb2: https://www.robots.ox.ac.uk/~vgg/data/voxceleb (the owners' form; many videos are on request only).

    Layout: `dev/mp4/<speaker>/<YouTube id>/<number>.mp4` and `test/...`; `vox2_meta.csv` beside them is optional.
    Labels: identity (id00012), youtube_id, gender (m or f, from the table). Split: the owners', dev is `train` and
    test is `test`; speakers do not overlap.
    """
    names = [name for name in gather(src, media, ("video",), "voxceleb2") if name.endswith(".mp4")]
    meta = vox_meta(src)

    def parse(name: str) -> Item | None:
        hit = re.search(r"(?:^|/)(?:(dev|test)/)?(?:mp4/)?(id\d{5})/([^/]+)/\d+\.mp4$", f"{src.resolve().name}/{name}")
        if not hit:
            return None
        row = meta.get(hit[2], {})
        split = {"dev": "train", "test": "test"}.get(hit[1] or row.get("Set", ""))
        return Item(name, split, {"identity": hit[2], "youtube_id": hit[3], "gender": row.get("Gender")})

    items, rows = parse_names(names, parse, "<speaker>/<YouTube id>/<number>.mp4")
    if not items:
        raise layout_error(src, "voxceleb2", "dev/mp4/<speaker>/<YouTube id>/<number>.mp4")
    if absent := len(set(meta) - {item.labels["identity"] for item in items}):
        rows.append(note(f"{absent} speakers of vox2_meta.csv have no clip here"))
    counts = {f"clips in {split}": sum(i.split == split for i in items) for split in ("train", "test")}
    rows += expect(counts, {"clips in train": 1092009, "clips in test": 36237})
    return Listing(items, strings("identity", "youtube_id", "gender"), rows)


def vox_meta(src: Path) -> dict[str, dict[str, str]]:
    """The rows of `vox2_meta.csv` by speaker; empty where it lies neither in `src` nor above it."""
    file = next((f for f in (src / "vox2_meta.csv", src.parent / "vox2_meta.csv") if f.is_file()), None)
    if file is None:
        return {}
    # The owners' cells end in spaces.
    rows = [{key: value.strip() for key, value in row.items()} for row in read_csv(file)[1]]
    return {row["VoxCeleb2 ID"]: row for row in rows if "VoxCeleb2 ID" in row}


def celebv_hq(src: Path, media: str = "auto") -> Listing:
    """CelebV-HQ: https://github.com/CelebV-HQ/CelebV-HQ (non-commercial research; videos by its script).

    Layout: `celebvhq_info.json`, and clips named `<clip>.mp4` anywhere below (the owners' script writes
    `processed/`); whole downloads, which no clip is named after, are not prepared.
    Labels: 40 appearance and 35 action attributes (1 present, 0 not), emotion (the longest where several follow each
    other), youtube_id. Split: the owners give none; `train.txt`, `val.txt` and `test.txt` with clip names beside the
    json (as MARLIN has them) are taken, else it is ours, by a hash of the YouTube video.
    """
    names = gather(src, media, ("video",), "celebv-hq")
    file = find(names, "celebvhq_info.json")
    if file is None:
        raise layout_error(src, "celebv-hq", "celebvhq_info.json", "take it from the owners' repository")
    info = json.loads((src / file).read_text(encoding="utf-8"))
    titles = [[column_name(n) for n in info["meta_info"][f"{kind}_mapping"]] for kind in ("appearance", "action")]
    columns = dict.fromkeys([*titles[0], *titles[1]], "int64") | strings("emotion", "youtube_id")
    places = by_stem([name for name in names if name.endswith(".mp4")])
    splits = listed_splits((src / file).parent)
    items, rows = [], []
    for clip, data in info["clips"].items():
        values = data["attributes"]
        labels = dict(zip(titles[0], values["appearance"], strict=False))
        labels |= dict(zip(titles[1], values["action"], strict=False))
        labels |= {"emotion": main_emotion(values["emotion"]), "youtube_id": data["ytb_id"]}
        items.append(Item(places.get(clip, [f"{clip}.mp4"])[0], splits.get(clip), labels))
    whole = sum(len(files) for stem, files in places.items() if stem not in info["clips"])
    if whole:
        rows.append(note(f"{whole} videos are not named after a clip and are not prepared (whole downloads?)"))
    if not splits:
        split_by(items, "youtube_id")
    present = {item.source for item in items} & set(names)
    listing = join(present, items, columns, "celebvhq_info.json")
    listing.aside += rows + expect({"clips": len(info["clips"])}, {"clips": 35666})
    return listing


def main_emotion(data: dict[str, Any]) -> str | None:
    """The emotion of a clip, or the longest where several follow each other; None where there is none."""
    if not data.get("sep_flag"):
        return data.get("labels")
    # emotions that follow each other: the one that is seen longest, all its parts together
    seconds: dict[str, float] = {}
    for part in data["labels"]:
        seconds[part["emotion"]] = seconds.get(part["emotion"], 0) + part["end_sec"] - part["start_sec"]
    return max(seconds, key=lambda name: seconds[name], default=None)


def listed_splits(folder: Path) -> dict[str, str]:
    """The split of each clip that the lists in `folder` name."""
    files = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}
    lists = {split: folder / name for split, name in files.items() if (folder / name).is_file()}
    return {words[0].removesuffix(".mp4"): split for split, file in lists.items() for words in read_lines(file)}


# The order of the seven numbers in CMU_MOSEI_Labels.csd; sentiment is -3 to 3, emotions are 0 to 3.
FEATURES = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
FOLDS = {"standard_train_fold": "train", "standard_valid_fold": "validation", "standard_test_fold": "test"}


def cmu_mosei(src: Path, media: str = "auto") -> Listing:
    """CMU-MOSEI: labels by https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK, raw videos from its owners.

    Layout: `Videos/Segmented/Combined/<video>_<clip>.mp4`, `Transcript/Segmented/Combined/<video>.txt` (lines
    `video___clip___start___end___text`) and `CMU_MOSEI_Labels.csd`, each anywhere below. A clip gets the labels whose
    interval has its start and end in the transcript; without the transcript clips have no label. Needs h5py.
    Labels: sentiment (-3 to 3), happy, sad, anger, surprise, disgust, fear (0 to 3), youtube_id, transcript.
    Split: the owners' standard folds where their `cmu_mosei_std_folds.py` lies in the folder, else ours, by a hash of
    the video.
    """
    names = gather(src, media, ("video",), "cmu-mosei")
    file = find(names, "CMU_MOSEI_Labels.csd")
    if file is None:
        raise layout_error(src, "cmu-mosei", "CMU_MOSEI_Labels.csd", "download it with the CMU-MultimodalSDK")
    labels, texts, folds = read_csd(src / file), read_transcripts(src, names), read_folds(src, names)
    items, clips, rows = [], by_stem([name for name in names if name.endswith(".mp4")]), []
    # labels and transcripts number clips each in its own way: what they share is start and end, in seconds
    for (video, clip), (start, end, text) in texts.items():
        nearest = min(labels.get(video, []), key=lambda row: abs(row[0] - start) + abs(row[1] - end), default=None)
        known = nearest is not None and abs(nearest[0] - start) + abs(nearest[1] - end) < 0.1
        values: dict[str, Label] = dict(zip(FEATURES, nearest[2], strict=True)) if nearest and known else {}
        source = clips.get(f"{video}_{clip}", [""])[0]
        if source or values:
            items.append(Item(source or f"{video}_{clip}.mp4", folds.get(video), values | {"transcript": text}))
            items[-1].labels["youtube_id"] = video
    columns = dict.fromkeys(FEATURES, "float64") | strings("youtube_id", "transcript")
    segmented = [name for name in names if "Segmented/" in name and name.endswith(".mp4")]
    sources = {item.source for item in items}
    listing = join({*segmented, *(sources & set(names))}, items, columns, "the transcripts")
    for item in listing.items:
        # A clip without a transcript still belongs to its video, which its name tells.
        if item.labels["youtube_id"] is None:
            item.labels["youtube_id"] = Path(item.source).stem.rpartition("_")[0]
            item.split = folds.get(str(item.labels["youtube_id"]))
    if not folds:
        rows.append(note("cmu_mosei_std_folds.py is not there: the split is drawn by video, not the owners'"))
        split_by(listing.items, "youtube_id")
    listing.aside += rows
    return listing


def read_csd(file: Path) -> dict[str, list[tuple[float, float, list[float]]]]:
    """Start, end and the seven numbers of every labeled interval, by video."""
    with h5py_of("cmu-mosei").File(file, "r") as store:
        # The first group of the file is the sequence, whatever it is called.
        root = next(iter(store.values()))
        if "data" not in root:
            raise ValueError(f"{file} is no computational sequence (no group data): download it again")
        return {
            video: [
                (float(start), float(end), [float(value) for value in row])
                for (start, end), row in zip(group["intervals"][:], group["features"][:], strict=True)
            ]
            for video, group in root["data"].items()
        }


def read_transcripts(src: Path, names: list[str]) -> dict[tuple[str, str], tuple[float, float, str]]:
    """Start and end in seconds and the text of each clip, by video and number of the clip."""
    table = {}
    for name in names:
        if "Transcript/Segmented/" in name and name.endswith(".txt"):
            for line in (src / name).read_text(encoding="utf-8", errors="replace").splitlines():
                # The text comes last and may hold underscores itself.
                parts = line.split("___", 4)
                if len(parts) == 5:
                    table[parts[0], parts[1]] = (float(parts[2]), float(parts[3]), parts[4].strip())
    return table


def read_folds(src: Path, names: list[str]) -> dict[str, str]:
    """Split of each video, from the lists in the owners' Python file, which is read and not run."""
    file = find(names, "cmu_mosei_std_folds.py")
    if file is None:
        return {}
    table: dict[str, str] = {}
    for node in ast.parse((src / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in FOLDS:
            table |= dict.fromkeys(ast.literal_eval(node.value), FOLDS[node.targets[0].id])
    return table
