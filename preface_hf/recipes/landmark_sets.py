"""Recipes of stills with landmarks: 300-W with its parts (Helen, AFW, LFPW, iBUG), WFLW."""

from __future__ import annotations

import re
from pathlib import Path

from preface_hf.recipes.base import (
    Item,
    Label,
    Listing,
    aside,
    expect,
    gather,
    join,
    kind_of,
    layout_error,
    note,
    parse_names,
    strings,
)
from preface_hf.recipes.reading import find, read_lines


# Images of each part, as in the papers' protocol: 3148 train, 554 common and 135 challenging test.
PARTS_300W = {
    "afw": 337, "helen/trainset": 2000, "lfpw/trainset": 811, "helen/testset": 330, "lfpw/testset": 224, "ibug": 135,
    "01_Indoor": 300, "02_Outdoor": 300,
}  # fmt: skip
WFLW_ATTRIBUTES = ("pose", "expression", "illumination", "make_up", "occlusion", "blur")


def three_hundred_w(src: Path, media: str = "auto") -> Listing:
    """300-W: https://ibug.doc.ic.ac.uk/resources/300-W (research only; Helen, AFW or LFPW alone will do).

    Layout: `afw/`, `helen/trainset`, `helen/testset`, `lfpw/trainset`, `lfpw/testset`, `ibug/`, `300W/01_Indoor`,
    `300W/02_Outdoor`: an image and `<same name>.pts` with 68 points; `--landmarker given` takes these points.
    Labels: subset (the part's name). Split: the papers', `train` is afw and both trainsets, `test` both testsets
    (common) and ibug (challenging); the 600 images of the challenge itself are the split `private`.
    """
    names = gather(src, media, ("image",), "300w")
    points = {name.removesuffix(".pts") for name in names if name.endswith(".pts")}

    def parse(name: str) -> Item | None:
        hit = re.search(rf"(?:^|/)({'|'.join(PARTS_300W)})/[^/]+$", f"{src.resolve().name}/{name}")
        if not hit:
            return None
        train = hit[1] == "afw" or hit[1].endswith("trainset")
        # 01_Indoor and 02_Outdoor are the challenge's own images, which papers count apart.
        split = "private" if hit[1][0] == "0" else "train" if train else "test"
        return Item(name, split, {"subset": hit[1]})

    images = [name for name in names if kind_of(name) == "image"]
    items, rows = parse_names(images, parse, "a part of 300-W (afw, helen/trainset, ...)")
    if not items:
        raise layout_error(src, "300w", "afw, helen/trainset, helen/testset, lfpw, ibug or 300W")
    stems = {str(Path(name).with_suffix("")) for name in images}
    rows += [aside(f"{name}.pts", "left out", "its image is not found") for name in sorted(points - stems)]
    if bare := sum(str(Path(item.source).with_suffix("")) not in points for item in items):
        rows.append(note(f"{bare} images have no .pts beside them: --landmarker given leaves them out"))
    counts = {f"images in {part}": sum(item.labels["subset"] == part for item in items) for part in PARTS_300W}
    rows += expect(counts, {f"images in {part}": count for part, count in PARTS_300W.items()})
    return Listing(items, strings("subset"), rows)


def wflw(src: Path, media: str = "auto") -> Listing:
    """WFLW: https://wywu.github.io/projects/LAB/WFLW.html.

    Layout: `WFLW_images/<event>/<image>.jpg` and `list_98pt_rect_attr_train.txt`, `..._test.txt`: 196 coordinates,
    the face's rectangle, six attributes, the image. The 98 points are in an order of their own, not iBUG-68: they are
    not taken, `prepare` finds 68 points itself. Of several faces in an image the largest counts, as in `prepare`.
    Labels: pose, expression, illumination, make_up, occlusion, blur (1 marked, 0 not). Split: the owners' lists; an
    image with faces in both is `test`.
    """
    names = gather(src, media, ("image",), "wflw")
    files = {split: find(names, f"list_98pt_rect_attr_{split}.txt") for split in ("train", "test")}
    if not any(files.values()):
        raise layout_error(src, "wflw", "list_98pt_rect_attr_train.txt (the owners' WFLW_annotations)")
    images = [name for name in names if kind_of(name) == "image"]
    ends = {"/".join(name.split("/")[-2:]): name for name in images}
    faces: dict[str, list[tuple[float, Item]]] = {}
    for split, file in files.items():
        for words in read_lines(src / file) if file else []:
            if len(words) != 207:
                raise ValueError(f"{file} has a line of {len(words)} words, not 207: download the annotations again")
            # A line: 98 points (196 numbers), rectangle (4), attributes (6), image (1); 207 words.
            left, top, right, bottom = (float(word) for word in words[196:200])
            labels: dict[str, Label] = dict(zip(WFLW_ATTRIBUTES, (int(word) for word in words[200:206]), strict=True))
            item = Item(ends.get(words[206], words[206]), split, labels)
            faces.setdefault(item.source, []).append(((right - left) * (bottom - top), item))
    items = []
    for group in faces.values():
        items.append(max(group, key=lambda face: face[0])[1])
        items[-1].split = "test" if any(item.split == "test" for _, item in group) else "train"
    listing = join(images, items, dict.fromkeys(WFLW_ATTRIBUTES, "int64"), "the lists of WFLW")
    if more := sum(len(group) for group in faces.values()) - len(items):
        listing.aside.append(note(f"{more} faces are in an image with a larger one: the image has that one's labels"))
    total = sum(len(group) for group in faces.values())
    listing.aside += expect({"faces in the lists": total}, {"faces in the lists": 10000})
    return listing
