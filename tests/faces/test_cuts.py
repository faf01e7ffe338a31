"""Joined clips have one cut, where they were joined; whole clips have none."""

from __future__ import annotations

import numpy as np
import pytest

from preface_hf.faces.cuts import CutFinder, small_picture
from preface_hf.synthetic import draw_clip
from preface_hf.video.decoding import open_video
from tests.media import pattern


pytest.importorskip("cv2")


def cuts(frames) -> list[int]:
    finder = CutFinder()
    return [index for index, frame in enumerate(frames) if finder(frame)]


def test_drawn_clips():
    first, second = (draw_clip(person, "happiness", person, num_frames=12, size=64).frames for person in (1, 2))
    assert cuts(first) == cuts(pattern(30)) == []
    assert cuts(np.concatenate([first, second])) == [12]


def test_the_small_picture_of_a_large_frame_is_its_average():
    y, x = np.mgrid[:720, :1280]
    frame = np.stack([x / 5.02, y / 2.9, 127 + 100 * np.sin(x / 60)], axis=-1)
    blocks = frame[:704].reshape(32, 22, 32, 40, 3).mean(axis=(1, 3))
    assert np.abs(small_picture(frame[:704].astype(np.uint8)) - blocks).max() < 2


def test_a_flash_of_light_is_no_storm_of_cuts():
    frames = pattern(30)
    frames[15] = 255
    assert len(cuts(frames)) <= 2


REAL = ["marlin_clips/cropped01.mp4", "grid_s1", "hdtf_sadtalker", "talking_misc"]


@pytest.fixture(scope="module")
def real(shared):
    files = []
    for name in REAL:
        place = shared / "faces" / name
        files += [place] if place.is_file() else sorted(place.rglob("*.m*"))[:2]
    videos = [file for file in files if file.suffix in (".mp4", ".mpg")]
    return [[frame for _, frame in zip(range(60), open_video(file), strict=False)] for file in videos]


def test_real_clips_of_one_take_have_none(real):
    assert len(real) >= 4
    assert [cuts(frames) for frames in real] == [[]] * len(real)


def test_real_clips_joined_have_one(real):
    import cv2

    small = [[cv2.resize(frame, (160, 120)) for frame in frames[:20]] for frames in real]
    pairs = [(one, other) for one in small for other in small if one is not other]
    found = [cuts([*one, *other]) for one, other in pairs]
    assert sum(cut == [len(one)] for cut, (one, _) in zip(found, pairs, strict=True)) >= 0.8 * len(pairs)
