from __future__ import annotations

import numpy as np
import pytest

from preface_hf.faces.crops import crop_boxes, crop_landmarks, smooth
from preface_hf.faces.landmarks import part_boxes
from tests.faces.test_tracking import face, tracks


def shaking() -> list:
    noise = np.random.default_rng(0).normal(0, 2, (100, 2))
    return [[face(100 + 1.5 * index + noise[index, 0], 150 + noise[index, 1])] for index in range(100)]


def accelerations(boxes: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff((boxes[:, :2] + boxes[:, 2:]) / 2, n=2, axis=0), axis=1)


def test_the_crop_glides_and_holds_the_face_with_its_hair():
    (track,) = tracks(shaking())
    boxes = crop_boxes(track, fps=25)
    assert np.ptp(boxes[:, 2:] - boxes[:, :2]) < 1e-3, "one side through the track"
    assert accelerations(boxes).max() < 0.4, "no jitter"
    landmarks = crop_landmarks(track, boxes, 224)
    hair = part_boxes(landmarks, "hair")
    assert landmarks.min() > 0 and landmarks.max() < 223
    assert hair.min() > -12 and hair.max() < 223


def test_three_ways_to_crop():
    (track,) = tracks(shaking())
    smooth_boxes, fixed, per_frame = (crop_boxes(track, 25, crop) for crop in ("smooth", "fixed", "per-frame"))
    assert np.ptp(fixed, axis=0).max() == 0
    assert np.median(accelerations(smooth_boxes)) < 0.1 * np.median(accelerations(per_frame))
    for boxes in (fixed, per_frame):
        landmarks = crop_landmarks(track, boxes, 224)
        assert landmarks.min() > 0 and landmarks.max() < 223


@pytest.mark.parametrize("crop", ["smooth", "fixed", "per-frame"])
def test_a_growing_and_leaping_face_never_leaves_the_crop(crop):
    frames = [[face(200 + 25 * (index > 20), 200, height=40 + 2 * index)] for index in range(40)]
    (track,) = tracks(frames)
    landmarks = crop_landmarks(track, crop_boxes(track, 25, crop), 224)
    assert landmarks.min() > 0 and landmarks.max() < 223


def test_smoothing_keeps_constants_and_lines():
    assert smooth(np.full((9, 2), 3.0), 4.0) == pytest.approx(np.full((9, 2), 3.0))
    line = np.arange(60.0)[:, None]
    assert smooth(line, 3.0) == pytest.approx(line, abs=1e-6)
    assert smooth(line, 0.1) == pytest.approx(line, abs=1e-3)
