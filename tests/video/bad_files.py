"""Files that are wrong in one way each, made by code, with what the report is to say of them."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
from PIL import Image

from preface_hf.video.encoding import encode_video
from tests.media import as_bytes, given_clip, pattern, remux, write_video


DAMAGED, UNOPENED, NO_FACE = "damaged", "cannot be opened", "no face"


def write_bad_files(folder: Path) -> dict[str, str]:
    """Write them all into `folder`; returns a part of the reason that is expected for each name."""
    data = encode_video(pattern(60), 25)
    kinds = {
        **_no_videos(folder, data),
        **_cut_videos(folder, data),
        **_damaged_videos(folder),
        **_pictures(folder),
        **_landmarks(folder, data),
        **_no_files(folder),
    }
    (folder / "metadata.csv").write_text("file_name,age\ngood0.mp4,20\nlost.mp4,30\n", encoding="utf-8")
    return {**kinds, "lost.mp4": "named in metadata.csv but not found", "notes.txt": "files ending in .txt"}


def _no_videos(folder: Path, data: bytes) -> dict[str, str]:
    contents = {
        "empty.mp4": b"",
        "random.mp4": np.random.default_rng(0).bytes(20_000),
        "zeros.mkv": bytes(20_000),
        "text.mp4": b"this is no video\n" * 50,
        "page.mp4": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "header.mp4": data[:48],
        "pointer.mp4": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n",
        "notes.txt": b"notes",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    with av.open(str(folder / "audio.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        sound.sample_rate = 16000
        container.mux([*stream.encode(sound), *stream.encode()])
    with av.open(str(folder / "frameless.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    return dict.fromkeys([*contents, "audio.mp4", "frameless.mkv"], UNOPENED) | {
        "empty.mp4": "0 bytes",
        "audio.mp4": "it holds no pictures",
    }


def _cut_videos(folder: Path, data: bytes) -> dict[str, str]:
    (folder / "whole.data").write_bytes(data)
    whole = folder / "whole.data"
    front = remux(whole, folder / "front.mp4", options={"movflags": "faststart"}).read_bytes()
    index = write_video(folder / "cut.avi", pattern(60), codec="mpeg4").read_bytes()
    contents = {
        "indexless.mp4": data[: len(data) // 2],
        "front.mp4": front[: len(front) * 2 // 3],
        "cut.avi": index[: len(index) // 2],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    whole.unlink()
    return dict.fromkeys(contents, UNOPENED)


def _damaged_videos(folder: Path) -> dict[str, str]:
    """Sound landmarks, so that it is the picture that is wrong."""
    rng = np.random.default_rng(0)
    for name in ("hole.mp4", "flips.mp4"):
        given_clip(folder, name, frames=100)
        data = bytearray((folder / name).read_bytes())
        start = data.index(b"mdat") + (data.index(b"moov") - data.index(b"mdat")) // 2
        if name == "hole.mp4":
            data[start : start + 3000] = bytes(3000)
        else:
            for place in start + rng.integers(0, 3000, 1000):
                data[place] ^= 1 << int(rng.integers(8))
        (folder / name).write_bytes(data)
    return dict.fromkeys(("hole.mp4", "flips.mp4"), DAMAGED)


def _pictures(folder: Path) -> dict[str, str]:
    Image.new("1", (16_000, 16_000), 1).save(folder / "huge.png")
    jpeg, png = as_bytes(pattern(1)[0], "jpeg"), as_bytes(pattern(1)[0], "png")
    contents = {
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "cut.png": png[: len(png) // 2],
        "text.jpg": b"no picture",
        "video.jpg": encode_video(pattern(4), 25),
        "picture.mp4": png,
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    reasons = dict.fromkeys(contents, UNOPENED) | {"picture.mp4": "no landmarks beside it"}
    return reasons | {"huge.png": "frames of 16000x16000 pixels are over max_pixels=50000000: raise it"}


def _landmarks(folder: Path, data: bytes) -> dict[str, str]:
    good = np.zeros((60, 68, 2), np.float32)
    arrays = {
        "too_few.mp4": (good[:59], "shape (59, 68, 2): make it (60, 68, 2)"),
        "other_points.mp4": (good[:, :67], "shape (60, 67, 2)"),
        "flat.mp4": (good.reshape(60, -1), "shape (60, 136)"),
        "nan.mp4": (good * np.nan, NO_FACE),
        "infinite.mp4": (good + np.inf, NO_FACE),
        "words.mp4": (np.full(good.shape, "x"), "no array of numbers (it holds <U1)"),
        "objects.mp4": (np.array([{}]), "no array of numbers"),
        "no_landmarks.mp4": (None, "no landmarks beside it"),
    }
    for name, (array, _) in arrays.items():
        (folder / name).write_bytes(data)
        if array is not None:
            np.save((folder / name).with_suffix(".npy"), array, allow_pickle=True)
    (folder / "empty_array.mp4").write_bytes(data)
    (folder / "empty_array.npy").write_bytes(b"")
    (folder / "points.jpg").write_bytes(as_bytes(pattern(1)[0], "jpeg"))
    (folder / "points.pts").write_text("12 x\n", encoding="utf-8")
    more = {"empty_array.mp4": "no array of numbers", "points.jpg": "is no .pts file"}
    return {name: reason for name, (_, reason) in arrays.items()} | more


def _no_files(folder: Path) -> dict[str, str]:
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "dangling.mp4").symlink_to(folder / "nowhere.mp4")
    (folder / "itself.mp4").symlink_to(folder / "itself.mp4")
    (folder / "folder.mp4").mkdir()
    (folder / "folder.mp4/inside.mp4").write_bytes(b"")
    names = ["dangling.mp4", "itself.mp4"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.mp4")
        (folder / "device.mp4").symlink_to("/dev/zero")
        names += ["pipe.mp4", "device.mp4"]
    return dict.fromkeys(names, "is not a file") | {"folder.mp4/inside.mp4": "0 bytes"}
