"""Squares that leave the picture: mirrored and soon blurred, by one rule; no streaks, no second face."""

from __future__ import annotations

import numpy as np
import pytest

from preface_hf.data.views import cut_tube, square_at
from preface_hf.faces.crops import CROP_RAISE, CROP_SIDE
from preface_hf.faces.landmarks import part_boxes, square_boxes
from preface_hf.faces.squares import BLURRED_FROM, cut_square, mirrored, to_square
from preface_hf.synthetic import draw_clip


cv2 = pytest.importorskip("cv2")


def repeated(picture: np.ndarray) -> float:
    """The share of the rows or columns of `(H, W, 3)` pixels, whichever is larger, that hardly differ from the last
    one: of streaks all."""
    steps = [np.abs(np.diff(picture.astype(int), axis=axis)).mean(axis=(1 - axis, 2)) for axis in (0, 1)]
    return max(float((step < 0.1).mean()) for step in steps)


@pytest.fixture(scope="module")
def tight():
    """Frames cut tightly about a face, as many videos are, and its landmarks in them."""
    clip = draw_clip(3, "happiness", seed=5, num_frames=4, size=256)
    low = np.floor(clip.landmarks.min(axis=(0, 1))).astype(int) - 4
    high = np.ceil(clip.landmarks.max(axis=(0, 1))).astype(int) + 4
    frames = np.ascontiguousarray(clip.frames[:, low[1] : high[1], low[0] : high[0]])
    return frames, (clip.landmarks - low).astype(np.float32)


def crops_of(frames, landmarks, side=224):
    """Crops as large about the face as those of `prepare`, and the landmarks in them."""
    low, high = landmarks.min(axis=1), landmarks.max(axis=1)
    extent = (high - low).max()
    boxes = square_boxes((low + high) / 2 - [0, CROP_RAISE * extent], CROP_SIDE * extent)
    crops = np.stack([cut_square(frame, box, side) for frame, box in zip(frames, boxes, strict=True)])
    return crops, np.stack([to_square(face, box, side) for face, box in zip(landmarks, boxes, strict=True)])


def test_crops_and_hair_tubes_of_tight_faces_have_no_streaks(tight):
    frames, landmarks = tight
    crops, points = crops_of(frames, landmarks)
    assert max(repeated(crop) for crop in crops) < 0.05, "0.45 where the edge is repeated"
    for pixels, face in ((crops, points), (frames, landmarks)):
        tube = cut_tube(pixels, part_boxes(face, "hair"), 96).permute(0, 2, 3, 1).numpy()
        assert max(repeated(frame) for frame in tube) < 0.2, "1.0 where the edge is repeated"


def test_a_tight_face_has_no_second_face_above(tight):
    """Mirrored alone, eyes and mouth would stand above the face, upside down."""
    frames, landmarks = tight
    (crop, *_), (points, *_) = crops_of(frames, landmarks)
    top = int(points[:, 1].min()) - 2 * round(BLURRED_FROM * len(crop))
    assert top > 10, "there is something above the face"
    detail = [np.abs(cv2.Laplacian(part, cv2.CV_32F)).mean() for part in (crop[:top], crop[top:])]
    assert detail[0] < 0.4 * detail[1], "0.88 where it is mirrored alone"


def test_inside_the_picture_nothing_is_touched():
    frame = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    inside = cut_square(frame, np.array([9.5, 9.5, 49.5, 49.5]), 40)
    assert (inside == frame[10:50, 10:50]).all()
    beyond = cut_square(frame, np.array([-20.5, -20.5, 59.5, 59.5]), 80)
    assert (beyond[20:, 20:] == frame[:60, :60]).all() and (beyond[:20] != beyond[40:20:-1]).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (40, 30)])
@pytest.mark.parametrize(("x", "y", "side"), [(-3, -2, 4), (-90, -70, 16), (60, 55, 9), (-20, -20, 80)])
def test_tubes_and_opencv_mirror_alike(shape, x, y, side):
    frame = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    padding = 100  # OpenCV's own border, as far out as any of the squares
    padded = cv2.copyMakeBorder(frame, *[padding] * 4, cv2.BORDER_REFLECT_101)
    expected = padded[padding + y : padding + y + side, padding + x : padding + x + side]
    assert (square_at(frame, x, y, side) == expected).all()


def test_places_go_back_and_forth():
    assert mirrored(np.arange(-4, 8), 3).tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]
    assert mirrored(np.arange(-2, 3), 1).tolist() == [0] * 5
