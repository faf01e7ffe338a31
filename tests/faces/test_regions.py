from __future__ import annotations

import numpy as np
import pytest

from preface_hf.faces.landmarks import PARTS, flip_landmarks, region_centers
from preface_hf.faces.regions import REGIONS, map_of_parsing, region_boxes, region_map
from preface_hf.synthetic import draw_clip
from tests.media import face_points


CODES = {region: code for code, region in enumerate(REGIONS)}


@pytest.fixture(scope="module")
def clip():
    return draw_clip(5, "neutral", 3, num_frames=4, size=224)


def cell(point: np.ndarray, grid: int, size: int) -> tuple[int, int]:
    column, row = ((point + 0.5) * grid / size).astype(int)
    return row, column


@pytest.mark.parametrize("grid", [14, 28])
def test_each_part_is_where_its_landmarks_are(clip, grid):
    maps = region_map(clip.landmarks, 224, 224, grid)
    assert maps.shape == (4, grid, grid) and maps.dtype == np.uint8
    for part in ("left_eye", "right_eye", "nose", "mouth"):
        for frame, center in zip(maps, region_centers(clip.landmarks, part), strict=True):
            assert frame[cell(center, grid, 224)] == CODES[part]
    assert (maps[:, 0, 0] == CODES["background"]).all() and set(np.unique(maps)) == set(range(7))


def test_the_face_from_above_is_hair_skin_and_parts():
    points = face_points((112, 120), 80)[None]
    column = region_map(points, 224, 224, 56)[0][:, 28].tolist()
    order = [code for code, before in zip(column, [None, *column], strict=False) if code != before]
    names = [REGIONS[code] for code in order]
    assert names[:3] == ["background", "hair", "skin"] and names[-1] == "background"
    assert names.index("nose") < names.index("mouth")


def test_mirrored_landmarks_give_the_mirrored_map_with_sides_swapped(clip):
    maps = region_map(clip.landmarks, 224, 224, 28)
    mirrored = region_map(flip_landmarks(clip.landmarks, 224), 224, 224, 28)[:, :, ::-1]
    swap = np.array([CODES[name] for name in REGIONS], np.uint8)
    swap[[CODES["left_eye"], CODES["right_eye"]]] = CODES["right_eye"], CODES["left_eye"]
    assert (swap[mirrored] == maps).mean() > 0.97, "cells on a border may fall to either side"


def test_landmarks_and_parsing_agree_on_drawn_faces():
    clips = [draw_clip(person, "neutral", person, num_frames=2, size=224, parsing=True) for person in range(6)]
    found = np.concatenate([region_map(clip.landmarks, 224, 224) for clip in clips])
    true = np.concatenate([map_of_parsing(clip.parsing) for clip in clips])
    assert (found == true).mean() > 0.8
    parts = np.isin(true, [CODES[part] for part in ("left_eye", "right_eye", "mouth")])
    assert (found == true)[parts].mean() > 0.9, "what the parsing map calls an eye or a mouth"


def test_boxes():
    points = np.stack([face_points((100, 110), 60), face_points((110, 110), 60)])
    assert region_boxes(points, "background", 200, 300).tolist() == [[0, 0, 300, 200]] * 2
    skin = region_boxes(points, "skin", 200, 300)
    assert (skin[:, :2] <= points.min(axis=1)).all() and (skin[:, 2:] >= points.max(axis=1)).all()
    assert all(region_boxes(points, part, 200, 300).shape == (2, 4) for part in PARTS)
    with pytest.raises(ValueError, match="unknown region 'ear': choose one of background"):
        region_boxes(points, "ear", 200, 300)


def test_a_parsing_map_is_counted_cell_by_cell():
    rng = np.random.default_rng(0)
    parsing = rng.integers(0, 7, (2, 30, 45)).astype(np.uint8)
    found = map_of_parsing(parsing, 7)
    for frame in range(2):
        for row in range(7):
            for column in range(7):
                rows = [y for y in range(30) if y * 7 // 30 == row]
                columns = [x for x in range(45) if x * 7 // 45 == column]
                counts = np.bincount(parsing[frame][np.ix_(rows, columns)].ravel(), minlength=7)
                assert counts[found[frame, row, column]] == counts.max()
    with pytest.raises(ValueError, match="holds class 9"):
        map_of_parsing(np.full((1, 20, 20), 9, np.uint8))
    with pytest.raises(ValueError, match="10x10 pixels is smaller than the grid of 14"):
        map_of_parsing(np.zeros((1, 10, 10), np.uint8))
