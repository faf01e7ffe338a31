"""The picture: parts are drawn where the landmarks are, in the colors of the person."""

import numpy as np
import pytest

from preface_hf.synthetic import identity_shape
from preface_hf.synthetic.appearance import appearance, dark, mix
from preface_hf.synthetic.brush import hull
from preface_hf.synthetic.camera import Camera, rotation
from preface_hf.synthetic.painter import Painter
from preface_hf.synthetic.shape import MOVES


SIZE = 512
FRONTAL = Camera(0.36 * SIZE * np.eye(3)[:2], np.array([SIZE / 2, 0.46 * SIZE]))


@pytest.fixture
def plain_painter():
    """Makes painters whose light, blur and noise leave colors as they were chosen."""

    def make(identity):
        painter = Painter(identity, identity_shape(identity), np.random.default_rng(0), SIZE)
        painter.contrast, painter.blur, painter.noise, painter.cast = 0.0, 0.0, painter.noise * 0, painter.cast * 0 + 1
        return painter

    return make


def color_at(frame, place):
    x, y = np.rint(place).astype(int)
    return frame[y, x].astype(int)


@pytest.mark.parametrize("identity", [0, 4, 7, 12])
@pytest.mark.parametrize("pose", [(0, 0, 0), (28, 8, 12), (-28, -10, -12)])
def test_parts_are_drawn_where_the_landmarks_are(plain_painter, identity, pose):
    painter, look = plain_painter(identity), appearance(identity)
    camera = Camera(0.36 * SIZE * rotation(*pose)[:2], FRONTAL.offset)
    points = painter.person.rest + 0.25 * MOVES["jaw_drop"] + MOVES["lid_up"]
    frame, places = painter.paint(points, camera, np.zeros(2)), camera(points)
    mouth = color_at(frame, places[[62, 62, 66]].mean(axis=0))
    np.testing.assert_allclose(mouth, (62, 18, 22), atol=6)
    pupil = camera((points[42] + points[45]) / 2 + [0, -0.01, 0.03])
    np.testing.assert_allclose(color_at(frame, pupil), (14, 12, 12), atol=6)
    brow = mix(dark(look.hair, 0.3), painter.person.skin, 0.1)
    for index in (19, 20, 23, 24):
        np.testing.assert_allclose(color_at(frame, places[index]), brow, atol=6)
    for outer, inner in ((58, 67), (56, 65)):
        lip = color_at(frame, 0.8 * places[outer] + 0.2 * places[inner])
        np.testing.assert_allclose(lip, look.lips, atol=12)


def test_jaw_is_the_edge_of_the_face(plain_painter):
    bald = next(
        person for person in range(99) if appearance(person).style == "bald" and appearance(person).beard == "none"
    )
    painter = plain_painter(bald)
    frame, places = painter.paint(painter.person.rest, FRONTAL, np.zeros(2)), FRONTAL(painter.person.rest)
    for index in (4, 5, 11, 12):
        inward = (places[33] - places[index]) / np.linalg.norm(places[33] - places[index])
        np.testing.assert_allclose(color_at(frame, places[index] + 4 * inward), painter.person.skin, atol=4)
        assert np.abs(color_at(frame, places[index] - 4 * inward) - painter.person.skin).max() > 8


def test_people_share_traits_but_no_two_are_alike():
    looks = [appearance(person) for person in range(40)]
    for trait in ("skin", "hair", "iris", "style", "clothes"):
        values = [getattr(look, trait) for look in looks]
        assert 4 <= len(set(values)) <= 9
    assert len(set(looks)) == 40


def test_a_hull_encloses_its_points_and_turns_one_way():
    points = np.random.default_rng(0).normal(size=(80, 2))
    outline = hull(points)
    edges, away = np.roll(outline, -1, axis=0) - outline, points[:, None] - outline
    assert (edges[:, 0] * away[..., 1] - edges[:, 1] * away[..., 0] > -1e-9).all()
    assert set(map(tuple, outline)) <= set(map(tuple, points)) and 3 <= len(outline) < 30
