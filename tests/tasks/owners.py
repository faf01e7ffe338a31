"""Small trees of drawn faces in the layouts of the owners of the papers' sets, a maker for each recipe.

Of every class there are people in all parts, so that each task has something to learn and to be tested on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from itertools import count, islice
from pathlib import Path

import numpy as np

from preface_hf.recipes import subject_split
from preface_hf.synthetic import SyntheticClip, draw_clip
from preface_hf.tasks.attributes import CELEBA, CELEBV_ACTION, CELEBV_APPEARANCE
from preface_hf.video.encoding import encode_video
from tests.media import as_bytes, write_video
from tests.recipes.trees import tree


SIDE, FRAMES = 64, 2
PARTS = {"train": 4, "validation": 2, "test": 2}  # people of a set whose owners give no split


@lru_cache(None)
def drawn(person: int, mood: str = "happiness", frames: int = FRAMES) -> SyntheticClip:
    """A clip; every tree shows the same people, which are drawn once."""
    return draw_clip(person, mood, person, num_frames=frames, size=SIDE)


def put(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def still(file: Path, person: int, mood: str = "happiness") -> None:
    put(file, as_bytes(drawn(person, mood).frames[0], "png" if file.suffix == ".png" else "jpeg"))


def video(file: Path, person: int, mood: str = "happiness") -> None:
    put(file, encode_video(drawn(person, mood).frames, 25))


def people(form: Callable[[int], str], first: int = 1) -> list[str]:
    """Names of people, by their numbers, such that each part gets its own by our hash."""
    return [
        name
        for part, number in PARTS.items()
        for name in islice((form(n) for n in count(first) if subject_split(form(n)) == part), number)
    ]


def yes_or_no(rows: int, columns: int) -> np.ndarray:
    """Cells `(rows, columns)` of 0 and 1, both in any two rows that follow each other."""
    return (np.arange(rows)[:, None] + np.arange(columns) // 3) % 2


def celeba(root: Path) -> None:
    cells = yes_or_no(10, len(CELEBA))
    names = [f"{n:06d}.jpg" for n in range(1, 11)]
    parts = [0] * 6 + [1] * 2 + [2] * 2
    lines = ["10", " ".join(CELEBA)]
    lines += [" ".join([name, *(f"{2 * v - 1:2d}" for v in row)]) for name, row in zip(names, cells, strict=True)]
    tree(root, **{
        "Anno/list_attr_celeba.txt": "\n".join(lines),
        "Anno/identity_CelebA.txt": "\n".join(f"{name} {n}" for n, name in enumerate(names)),
        "Eval/list_eval_partition.txt": "\n".join(f"{name} {p}" for name, p in zip(names, parts, strict=True)),
    })  # fmt: skip
    for n, name in enumerate(names):
        still(root / "Img/img_align_celeba" / name, n)


def lfwa(root: Path) -> None:
    import h5py

    from tests.recipes.test_still_sets import cells

    names = [f"P{n}" for n in range(10)]
    root.mkdir(parents=True)
    with h5py.File(root / "lfw_att_40.mat", "w") as store:
        cells(store, "AttrName", list(CELEBA))
        cells(store, "name", [f"{name}\\{name}_0001.jpg" for name in names])
        store["label"] = yes_or_no(10, len(CELEBA)).T.astype(float)
    with h5py.File(root / "indices_train_test.mat", "w") as store:
        store["indices_img_train"], store["indices_img_test"] = np.arange(1.0, 9)[None], np.array([[9.0, 10.0]])
    for n, name in enumerate(names):
        still(root / "lfw" / name / f"{name}_0001.jpg", n)


def celebv_hq(root: Path) -> None:
    owners = people(lambda n: f"yt{n}")
    appearance, action = (yes_or_no(len(owners), len(names)) for names in (CELEBV_APPEARANCE, CELEBV_ACTION))
    clips = {}
    for n, name in enumerate(owners):
        feeling = {"sep_flag": False, "labels": "neutral"}
        values = {"appearance": appearance[n].tolist(), "action": action[n].tolist(), "emotion": feeling}
        clips[f"{name}_0"] = {"ytb_id": name, "attributes": values}
        video(root / "processed" / f"{name}_0.mp4", n)
    titles = {"appearance_mapping": list(CELEBV_APPEARANCE), "action_mapping": list(CELEBV_ACTION)}
    tree(root, **{"celebvhq_info.json": json.dumps({"meta_info": titles, "clips": clips})})


def ck_plus(root: Path) -> None:
    """Each subject in two sequences, and one of another subject without an emotion."""
    for n, subject in enumerate(people(lambda n: f"S{n:03d}")):
        for take, (mood, code) in enumerate((("anger", 1), ("happiness", 5)), 1):
            for frame, picture in enumerate(drawn(n, mood).frames, 1):
                put(
                    root / f"cohn-kanade-images/{subject}/{take:03d}/{subject}_{take:03d}_{frame:08d}.png",
                    as_bytes(picture, "png"),
                )
            if (n, take) == (7, 2):
                continue
            name = f"{subject}_{take:03d}_{FRAMES:08d}_emotion.txt"
            tree(root, **{f"Emotion/{subject}/{take:03d}/{name}": f"   {code:.7e}\n"})


def fer2013(root: Path) -> None:
    from PIL import Image

    lines = ["emotion,pixels,Usage"]
    for usage, rows in (("Training", 6), ("PublicTest", 2), ("PrivateTest", 3)):
        for n in range(rows):
            face = drawn(len(lines), ("anger", "happiness")[n % 2]).frames[0]
            pixels = np.asarray(Image.fromarray(face).convert("L").resize((48, 48), Image.Resampling.BILINEAR))
            lines.append(f"{(0, 3)[n % 2]},{' '.join(map(str, pixels.ravel()))},{usage}")
    tree(root, **{"fer2013.csv": "\n".join(lines) + "\n"})


def raf_db(root: Path) -> None:
    lines = []
    for part, rows in (("train", 8), ("test", 3)):
        for n in range(rows):
            mood, code = (("anger", 6), ("happiness", 4))[n % 2]
            lines.append(f"{part}_{n + 1:05d}.jpg {code}")
            still(root / f"basic/Image/aligned/{part}_{n + 1:05d}_aligned.jpg", len(lines), mood)
    tree(root, **{"basic/EmoLabel/list_patition_label.txt": "\n".join(lines)})


def affectnet(root: Path) -> None:
    for part, rows in (("train", 8), ("val", 3)):
        for n in range(rows):
            mood, code = (("happiness", "1"), ("anger", "6"))[n % 2]
            still(root / f"{part}_set/images/{n}.jpg", n + 8 * (part == "val"), mood)
            place = root / f"{part}_set/annotations"
            place.mkdir(parents=True, exist_ok=True)
            for kind, value in (("exp", code), ("val", "-0.5"), ("aro", "0.25")):
                np.save(place / f"{n}_{kind}.npy", np.array(value))


def crema_d(root: Path) -> None:
    for n, actor in enumerate(people(lambda n: str(1000 + n))):
        for mood, code in (("anger", "ANG"), ("happiness", "HAP")):
            file = root / f"VideoFlash/{actor}_DFA_{code}_XX.flv"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_video(file, drawn(n, mood).frames, codec="flv", qmin="1", qmax="3")
    tree(root, **{"VideoDemographics.csv": "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,Caucasian,Not Hispanic\n"})


def ravdess(root: Path) -> None:
    for n, actor in enumerate(people(lambda n: f"{n:02d}")):
        for mood, code in (("anger", 5), ("happiness", 3)):
            video(root / f"Actor_{actor}/01-01-{code:02d}-01-01-01-{actor}.mp4", n, mood)


def mead(root: Path) -> None:
    for n, subject in enumerate(people(lambda n: f"M{n:03d}")):
        for mood, name in (("anger", "angry"), ("happiness", "happy")):
            video(root / f"{subject}/video/front/{name}/level_1/001.mp4", n, mood)


def cmu_mosei(root: Path) -> None:
    """A clip of a video has no interval in the labels, and is left out."""
    from tests.recipes.test_speech_sets import write_csd

    names, labels = [f"v{n}" for n in range(10)], {}
    for n, name in enumerate(names):
        lines = []
        for clip in range(2):
            start, end = 10.0 * clip, 10.0 * clip + 5
            lines.append(f"{name}___{clip}___{start}___{end}___said")
            felt = [float((n + clip + k // 2) % 2) for k in range(6)]
            if (n, clip) != (9, 1):
                labels.setdefault(name, []).append((start, end, (-1.3, 2.0)[clip], *felt))
            video(root / f"Videos/Segmented/Combined/{name}_{clip}.mp4", n, ("anger", "happiness")[clip])
        tree(root, **{f"Transcript/Segmented/Combined/{name}.txt": "\n".join(lines)})
    write_csd(root / "CMU_MOSEI_Labels.csd", labels)
    folds = {"train": names[:6], "valid": names[6:8], "test": names[8:]}
    tree(root, **{
        "cmu_mosei_std_folds.py": "".join(f"standard_{part}_fold={rows}\n" for part, rows in folds.items())
    })  # fmt: skip


def faceforensics(root: Path) -> None:
    """Pairs of people whose faces are swapped, of both qualities; there is one more fake of the low one."""
    pairs = [(f"{n:03d}", f"{n + 1:03d}") for n in range(0, 10, 2)]
    lists = {"train": pairs[:3], "val": pairs[3:4], "test": pairs[4:]}
    tree(root, **{f"splits/{name}.json": json.dumps(rows) for name, rows in lists.items()})
    for quality in ("c23", "c40"):
        for one, other in pairs:
            video(root / f"original_sequences/youtube/{quality}/videos/{one}.mp4", int(one))
            video(root / f"manipulated_sequences/Deepfakes/{quality}/videos/{one}_{other}.mp4", int(one), "anger")
    video(root / "manipulated_sequences/FaceSwap/c40/videos/008_009.mp4", 8, "sadness")


def dfdc(root: Path) -> None:
    table = {}
    for n, name in enumerate(people(lambda n: f"r{n}.mp4")):
        table[name] = {"label": "REAL", "split": "train"}
        table[f"f{name}"] = {"label": "FAKE", "split": "train", "original": name}
        video(root / f"dfdc_train_part_0/{name}", n)
        video(root / f"dfdc_train_part_0/f{name}", n, "anger")
    tree(root, **{"dfdc_train_part_0/metadata.json": json.dumps(table)})


def folder(root: Path) -> None:
    for n in range(12):
        video(root / ("real", "fake_wav2lip")[n % 2] / f"{n}.mp4", n, ("happiness", "anger")[n % 2])


def three_hundred_w(root: Path) -> None:
    parts = {"afw": 5, "helen/trainset": 6, "helen/testset": 2, "ibug": 3}
    numbers = count()
    for part, images in parts.items():
        for n in islice(numbers, images):
            still(root / part / f"{n}_1.jpg", n)
            points = drawn(n).landmarks[0] + 1  # counted from 1, as the owners do
            lines = ["version: 1", "n_points: 68", "{", *(f"{x:.3f} {y:.3f}" for x, y in points), "}"]
            tree(root, **{f"{part}/{n}_1.pts": "\n".join(lines)})


TREES = {
    "celeba": celeba, "lfwa": lfwa, "celebv-hq": celebv_hq, "ck-plus": ck_plus, "fer2013": fer2013, "raf-db": raf_db,
    "affectnet": affectnet, "crema-d": crema_d, "ravdess": ravdess, "mead": mead, "cmu-mosei": cmu_mosei,
    "faceforensics": faceforensics, "dfdc": dfdc, "folder": folder, "300w": three_hundred_w,
}  # fmt: skip
