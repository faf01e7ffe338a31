"""A face that is small, blurred, turned away or cut off by the border scores less than the same face well seen."""

from __future__ import annotations

import numpy as np
import pytest

from preface_hf.faces.quality import frontality, sharpness, track_quality, visibility
from preface_hf.synthetic import MEAN_FACE, draw_clip
from preface_hf.synthetic.camera import rotation
from tests.media import face_points


cv2 = pytest.importorskip("cv2")


def turned(yaw: float) -> np.ndarray:
    return (MEAN_FACE @ rotation(yaw, 0, 0).T)[None, :, :2].astype(np.float32)


def test_frontality_falls_as_the_head_turns():
    scores = [float(frontality(turned(yaw))[0]) for yaw in (0, 20, 40, 60, 80)]
    assert scores[0] > 0.95 and scores[-1] == 0 and scores == sorted(scores, reverse=True)
    assert frontality(turned(30)) == pytest.approx(frontality(turned(-30)))
    rolled = (turned(25)[0] @ np.array([[0.8, -0.6], [0.6, 0.8]]).T)[None]
    assert frontality(rolled) == pytest.approx(frontality(turned(25)), abs=1e-5), "roll does not matter"


def test_sharpness_falls_with_blur_and_enlargement():
    clip = draw_clip(3, "neutral", 1, num_frames=1, size=224)
    frame, points = clip.frames[0], clip.landmarks[0]
    blurred = [frame] + [cv2.GaussianBlur(frame, (0, 0), sigma) for sigma in (2, 4, 8)]
    scores = [sharpness(picture, points) for picture in blurred]
    assert scores == sorted(scores, reverse=True) and scores[0] > 2 * scores[-1]
    enlarged = cv2.resize(cv2.resize(frame, (40, 40), interpolation=cv2.INTER_AREA), (224, 224))
    assert sharpness(enlarged, points) < scores[0]
    assert 0 <= sharpness(np.zeros((64, 64, 3), np.uint8), points - 500) <= 1, "a face outside the crop"


def test_visibility_is_the_share_inside():
    boxes = np.array([[10, 10, 30, 30], [-10, 0, 10, 20], [90, 90, 110, 110], [200, 0, 210, 10]], float)
    assert visibility(boxes, 100, 100) == pytest.approx([1, 0.5, 0.25, 0])


def test_quality_is_the_geometric_mean():
    points = np.stack([face_points((100, 100), 50)] * 3)
    height = np.linalg.norm(points[0, 8] - points[0, 17:27].mean(axis=0))
    sharp, visible, scores = np.array([0.5, 0.5, 0.25]), np.array([1.0, 0.5, 1.0]), np.array([0.9, 0.8, 0.7])
    expected = np.mean([(height / 100 * s * v * c) ** 0.25 for s, v, c in zip(sharp, visible, scores, strict=True)])
    assert track_quality(points, scores, visible, sharp) == pytest.approx(expected, abs=1e-4)
