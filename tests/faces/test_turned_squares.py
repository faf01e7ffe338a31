"""Squares at an angle, the mesh's points as iBUG-68, boxes of turned pictures: geometry without a network."""

from __future__ import annotations

import numpy as np
import pytest

from preface_hf.faces.landmarks import INDICES, MIRRORED
from preface_hf.faces.networks.face_mesh import DIRECT, LEFT_JAW, NUM_POINTS, RIGHT_JAW, evenly, to_ibug
from preface_hf.faces.networks.yunet import turn_back
from preface_hf.faces.turned_squares import Surroundings, TurnedSquare, carry, cut_turned, square_about


pytest.importorskip("cv2")


def spot(center: np.ndarray, height: int = 300, width: int = 320, spread: float = 3.0) -> np.ndarray:
    """A picture with one bright spot."""
    y, x = np.mgrid[:height, :width]
    value = 255 * np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (2 * spread**2))
    return np.repeat(value[..., None], 3, axis=2).astype(np.uint8)


def middle(picture: np.ndarray) -> np.ndarray:
    """Where the spot is."""
    weights = picture[..., 0].astype(float)
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    return np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()


def turn_of(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2, -2.5])
def test_a_turned_square_shows_what_its_matrix_says(angle):
    place = np.array([150.25, 141.75])
    square = TurnedSquare(place + [9, -14], 96.0, angle)
    found = middle(cut_turned(spot(place), square, 64))
    assert carry(found[None], square.matrix(64))[0] == pytest.approx(place, abs=0.1)


def test_the_square_about_turned_points_is_the_turned_square():
    points = np.random.default_rng(0).normal(0, 20, (50, 2))
    for angle in (0.3, 1.5, -3.0):
        plain, turned = square_about(points, 0.2, 1.5), square_about(points @ turn_of(angle).T, 0.2 + angle, 1.5)
        assert turned.side == pytest.approx(plain.side)
        assert turned.center == pytest.approx(turn_of(angle) @ plain.center)
    inside = (points - plain.center) @ turn_of(0.2)
    assert np.abs(inside).max() == pytest.approx(plain.side / 2 / 1.5)


@pytest.mark.parametrize("box", [[60, 70, 100, 130], [20, 10, 290, 290], [-60, 100, 200, 290]])
def test_surroundings_keep_places(box):
    place = np.array([101.5, 120.25])
    around = Surroundings(spot(place, spread=6.0), np.array(box, np.float32), 32)
    assert around.block == max(np.array(box)[2:] - np.array(box)[:2]) // 32
    found = middle(around.pixels)
    assert around.outside(found) == pytest.approx(place, abs=0.15)
    assert around.inside(around.outside(found)) == pytest.approx(found)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_boxes_of_turned_pictures_come_back(quarters):
    picture = np.zeros((40, 60), np.uint8)
    picture[5:9, 10:22] = 1
    rows, columns = np.nonzero(np.rot90(picture, quarters))
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, 0.5]
    assert turn_back(np.array([box]), quarters, 40, 60)[0].tolist() == [10, 5, 22, 9, 0.5]


def test_points_on_a_line_are_evenly_spaced():
    line = np.array([[0, 0], [1, 0], [1, 0], [4, 0], [4, 5]], float)
    assert evenly(line, 4).tolist() == [[0, 0], [3, 0], [4, 2], [4, 5]]


def test_the_ibug_points_turn_and_grow_with_the_mesh():
    mesh = np.random.default_rng(1).normal(0, 30, (NUM_POINTS, 2))
    moved = 1.7 * mesh @ turn_of(1.1).T + [40, -3]
    assert to_ibug(moved) == pytest.approx(1.7 * to_ibug(mesh) @ turn_of(1.1).T + [40, -3])


def test_the_jaw_runs_from_ear_to_ear_and_every_point_is_set():
    mesh = np.random.default_rng(2).normal(0, 30, (NUM_POINTS, 2))
    points = to_ibug(mesh)
    assert points[[0, 8, 16]].tolist() == mesh[[RIGHT_JAW[0], RIGHT_JAW[-1], LEFT_JAW[0]]].tolist()
    assert RIGHT_JAW[-1] == LEFT_JAW[-1] and len(DIRECT) == 51 - len(INDICES["brows"])
    assert len(np.unique(points, axis=0)) == 68


def test_a_mirrored_mesh_has_mirrored_points():
    """Swap the mesh's sides as the map names them: the iBUG points swap theirs."""
    mesh = np.random.default_rng(3).normal(0, 30, (NUM_POINTS, 2))
    other = mesh * [-1, 1]
    swapped = other.copy()
    direct = dict(zip(range(27, 68), DIRECT, strict=True))
    for index, place in direct.items():
        swapped[place] = other[direct[int(MIRRORED[index])]]
    swapped[RIGHT_JAW], swapped[LEFT_JAW] = other[LEFT_JAW], other[RIGHT_JAW]
    expected, found = to_ibug(mesh)[MIRRORED] * [-1, 1], to_ibug(swapped)
    assert found[27:] == pytest.approx(expected[27:]) and found[:17] == pytest.approx(expected[:17])
