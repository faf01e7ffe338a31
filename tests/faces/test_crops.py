from __future__ import annotations

import numpy as np
import pytest

from preface_hf.faces.crops import crop_boxes, crop_landmarks, smooth
from preface_hf.faces.landmarks import part_boxes
from tests.faces.test_tracking import face, tracks


SECONDS = np.arange(100) / 25  # of the frames of a video


def shaking() -> list:
    noise = np.random.default_rng(0).normal(0, 2, (100, 2))
    return [[face(100 + 1.5 * index + noise[index, 0], 150 + noise[index, 1])] for index in range(100)]


def accelerations(boxes: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff((boxes[:, :2] + boxes[:, 2:]) / 2, n=2, axis=0), axis=1)


def test_the_crop_glides_and_holds_the_face_with_its_hair():
    (track,) = tracks(shaking())
    boxes = crop_boxes(track, SECONDS[: len(track.boxes)])
    assert np.ptp(boxes[:, 2:] - boxes[:, :2]) < 1e-3, "one side through the track"
    assert accelerations(boxes).max() < 0.4, "no jitter"
    landmarks = crop_landmarks(track, boxes, 224)
    hair = part_boxes(landmarks, "hair")
    assert landmarks.min() > 0 and landmarks.max() < 223
    assert hair.min() > -12 and hair.max() < 223


def test_three_ways_to_crop():
    (track,) = tracks(shaking())
    smooth_boxes, fixed, per_frame = (crop_boxes(track, SECONDS, crop) for crop in ("smooth", "fixed", "per-frame"))
    assert np.ptp(fixed, axis=0).max() == 0
    assert np.median(accelerations(smooth_boxes)) < 0.1 * np.median(accelerations(per_frame))
    for boxes in (fixed, per_frame):
        landmarks = crop_landmarks(track, boxes, 224)
        assert landmarks.min() > 0 and landmarks.max() < 223


@pytest.mark.parametrize("crop", ["smooth", "fixed", "per-frame"])
def test_a_growing_and_leaping_face_never_leaves_the_crop(crop):
    frames = [[face(200 + 25 * (index > 20), 200, height=40 + 2 * index)] for index in range(40)]
    (track,) = tracks(frames)
    landmarks = crop_landmarks(track, crop_boxes(track, SECONDS[: len(track.boxes)], crop), 224)
    assert landmarks.min() > 0 and landmarks.max() < 223


def test_smoothing_keeps_constants_and_lines():
    assert smooth(np.full((9, 2), 3.0), SECONDS[:9], 0.16) == pytest.approx(np.full((9, 2), 3.0))
    line = np.arange(60.0)[:, None]
    assert smooth(line, SECONDS[:60], 0.12) == pytest.approx(line, abs=1e-6)
    assert smooth(line, SECONDS[:60], 0.004) == pytest.approx(line, abs=1e-3)


def test_smoothing_follows_the_seconds():
    """A face that nods, seen in every frame or in some, moves alike; counted by frames it would not."""
    times = np.arange(150) / 50
    path = np.sin(2 * np.pi * times)[:, None]
    some = np.sort(np.random.default_rng(0).choice(150, 75, replace=False))
    whole, part = smooth(path, times, 0.1)[some], smooth(path[some], times[some], 0.1)
    by_frames = smooth(path[some], np.linspace(times[some[0]], times[some[-1]], 75), 0.1)
    inside = slice(5, -5)
    assert np.abs(part - whole)[inside].max() < 0.5 * np.abs(by_frames - whole)[inside].max()
    assert np.abs(part - whole)[inside].mean() < 0.04


def test_a_frame_that_stands_alone_keeps_its_place():
    values = np.array([[0.0], [1.0], [9.0]])
    assert smooth(values, np.array([0.0, 0.1, 50.0]), 0.3)[2] == pytest.approx(9)
    assert smooth(values[:1], np.zeros(1), 0.3) == pytest.approx(values[:1])
