"""Parsing maps agree with the landmarks, the picture and their mirror image."""

import numpy as np
import pytest

from preface_hf.faces.landmarks import INDICES, flip_landmarks
from preface_hf.synthetic import PARSING_CLASSES, draw_clip, flip_parsing, identity_shape
from preface_hf.synthetic.appearance import appearance
from preface_hf.synthetic.camera import Camera, rotation
from preface_hf.synthetic.painter import Painter
from preface_hf.synthetic.parsing import shrink


LABEL = {name: index for index, name in enumerate(PARSING_CLASSES)}
CLIPS = [(person, ("neutral", "surprise", "happiness")[person % 3]) for person in range(12)]


@pytest.fixture(scope="module")
def clips():
    return [draw_clip(person, expression, person, 8, 128, parsing=True) for person, expression in CLIPS]


def label_at(parsing, places):
    x, y = np.rint(places).astype(int).T
    return parsing[y, x]


def within(mask):
    """A mask without its border of one pixel."""
    shifted = [np.roll(mask, (y, x), axis=(0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return np.all(shifted, axis=0)


def test_classes_are_those_of_the_method_and_maps_are_small_integers(clips):
    assert PARSING_CLASSES == ("background", "skin", "left_eye", "right_eye", "nose", "mouth", "hair")
    for clip in clips:
        assert clip.parsing.shape == clip.frames.shape[:3] and clip.parsing.dtype == np.uint8
        assert set(np.unique(clip.parsing)) <= set(range(7))


@pytest.mark.parametrize("part", ["left_eye", "right_eye"])
def test_the_center_of_an_open_eye_is_in_its_class(clips, part):
    found, asked = 0, 0
    for clip in clips:
        eyes = clip.landmarks[:, INDICES[part]]
        lids = np.linalg.norm(eyes[:, [1, 2]] - eyes[:, [5, 4]], axis=-1).mean(axis=1)
        is_open = lids > 3
        labels = [label_at(*pair)[0] for pair in zip(clip.parsing, eyes.mean(axis=1, keepdims=True), strict=True)]
        found, asked = found + (np.array(labels)[is_open] == LABEL[part]).sum(), asked + is_open.sum()
    assert asked > 60 and found == asked


def test_nose_tip_mouth_cheeks_and_corners_are_in_their_classes(clips):
    for clip in clips:
        for parsing, points in zip(clip.parsing, clip.landmarks, strict=True):
            assert label_at(parsing, points[[30]]) == LABEL["nose"]
            assert label_at(parsing, points[[62, 66]].mean(axis=0, keepdims=True)) == LABEL["mouth"]
            chin = 0.5 * points[[57]] + 0.5 * points[[8]]
            assert label_at(parsing, chin) == LABEL["skin"]
            assert (parsing[0, [0, -1]] == LABEL["background"]).mean() >= 0.5


def test_areas_are_plausible_shares_of_the_face(clips):
    for (person, _), clip in zip(CLIPS, clips, strict=True):
        area = np.bincount(clip.parsing.ravel(), minlength=7) / len(clip.parsing)
        face = area[1:6].sum()
        assert 0.08 < face / 128**2 < 0.5
        assert 0.6 < area[LABEL["skin"]] / face < 0.95
        assert 0.001 < area[LABEL["left_eye"]] / face < 0.04 and 0.001 < area[LABEL["right_eye"]] / face < 0.04
        assert 0.02 < area[LABEL["nose"]] / face < 0.14 and 0.01 < area[LABEL["mouth"]] / face < 0.14
        assert (area[LABEL["hair"]] == 0) == (appearance(person).style == "bald")


def test_skin_in_the_map_is_skin_in_the_picture():
    """Without light, blur and noise, what is skin, hair or mouth shows the colors of that part and not another's."""
    person = next(n for n in range(200) if appearance(n).style == "short" and appearance(n).beard == "none")
    painter = Painter(person, identity_shape(person), np.random.default_rng(0), 256)
    painter.contrast, painter.blur, painter.noise, painter.cast = 0.0, 0.0, painter.noise * 0, painter.cast * 0 + 1
    camera = Camera(90 * rotation(10, 5, 5)[:2], np.array([128.0, 120.0]))
    frame, parsing = painter.paint_with_parsing(painter.person.rest, camera, np.zeros(2))
    hair = np.abs(frame.astype(int) - painter.person.look.hair).max(axis=-1) <= 3
    labeled = parsing == LABEL["hair"]
    assert hair[within(labeled)].mean() > 0.99
    assert labeled[hair & (parsing != LABEL["skin"])].mean() > 0.99  # brows have nearly the color of hair
    skin = np.abs(frame.astype(int) - painter.person.skin).max(axis=-1) <= 3
    assert np.isin(parsing[skin], [LABEL["skin"], LABEL["nose"]]).mean() > 0.98


@pytest.mark.parametrize("pose", [(0, 0, 0), (25, 8, -10)])
def test_a_mirrored_face_has_the_mirrored_map(pose):
    person = next(n for n in range(200) if appearance(n).style == "short" and appearance(n).marks == "none")
    rest, size, (yaw, pitch, roll) = identity_shape(person), 128, pose
    painter = Painter(person, rest, np.random.default_rng(0), size)
    middle = np.array([(size - 1) / 2, 60.0])
    one, other = (Camera(45 * rotation(*angles)[:2], middle) for angles in (pose, (-yaw, pitch, -roll)))
    maps = [painter.paint_with_parsing(rest, camera, np.zeros(2))[1] for camera in (one, other)]
    assert (flip_parsing(maps[0]) == maps[1]).mean() > 0.985
    eyes = flip_landmarks(one(rest), size)[INDICES["left_eye"]].mean(axis=0, keepdims=True)
    assert label_at(flip_parsing(maps[0]), eyes) == LABEL["left_eye"]


def test_flipping_twice_changes_nothing(clips):
    np.testing.assert_array_equal(flip_parsing(flip_parsing(clips[0].parsing)), clips[0].parsing)


def test_shrinking_takes_the_most_frequent_and_of_equals_the_highest():
    fine = np.random.default_rng(0).integers(0, 5, (60, 60)).astype(np.uint8)
    expected = np.empty((30, 30), np.uint8)
    for y, x in np.ndindex(30, 30):
        counts = np.bincount(fine[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel(), minlength=5)
        expected[y, x] = max(range(5), key=lambda label: (counts[label], label))
    np.testing.assert_array_equal(shrink(fine), expected)
    np.testing.assert_array_equal(shrink(fine[:, ::-1]), shrink(fine)[:, ::-1])
