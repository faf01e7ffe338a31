from __future__ import annotations

import numpy as np
import pytest

from preface_hf.data.faces import Face, crop_boxes, crop_frames, crop_landmarks, find_track, given_faces, smooth
from preface_hf.data.landmarks import part_boxes

from .media import face_points


def face(x: float, y: float = 100, height: float = 60) -> Face:
    points = face_points((x, y), height)
    return Face(np.concatenate([points.min(axis=0), points.max(axis=0)]), points)


def test_a_face_in_every_frame_is_one_track():
    track = find_track([[face(100 + index)] for index in range(20)], fps=25)
    assert (track.start, track.stop) == (0, 20)
    assert track.landmarks.shape == (20, 68, 2) and track.boxes.shape == (20, 4)
    assert track.landmarks[7] == pytest.approx(face(107).landmarks)


def test_short_gaps_are_bridged_by_interpolation():
    frames = [[face(100 + 2 * index)] if index not in (5, 6, 7) else [] for index in range(20)]
    track = find_track(frames, fps=25)
    assert (track.start, track.stop) == (0, 20)
    assert track.landmarks[6] == pytest.approx(face(112).landmarks, abs=1e-3)
    assert track.boxes[6] == pytest.approx(face(112).box, abs=1e-3)


def test_a_long_gap_ends_the_track_and_the_longer_part_is_kept():
    frames = [[face(100)] if index < 10 or index >= 30 else [] for index in range(60)]
    track = find_track(frames, fps=25)
    assert (track.start, track.stop) == (30, 60)


@pytest.mark.parametrize("order", [1, -1])
def test_two_people_are_not_mixed_up(order):
    frames = [
        [face(100 + 3 * index, height=60), face(300 - 3 * index, y=220, height=50)][::order] for index in range(40)
    ]
    track = find_track(frames, fps=25)
    assert track.landmarks[-1] == pytest.approx(face(100 + 3 * 39).landmarks, abs=1e-3)


def test_a_jump_to_another_place_ends_the_track():
    frames = [[face(100)]] * 12 + [[face(400)]] * 20
    assert find_track(frames, fps=25).start == 12
    assert find_track(frames, fps=25, min_iou=0.0).start == 0, "given landmarks are trusted"


def test_no_face_and_a_glimpse_have_their_reasons():
    with pytest.raises(ValueError, match="no face found"):
        find_track([[]] * 10, fps=25)
    with pytest.raises(ValueError, match="seen in 2 frames, 5 are needed"):
        find_track([[face(100)]] * 2 + [[]] * 50, fps=25)
    assert find_track([[face(100)]], fps=1.0).stop == 1, "a picture is a track"


def test_given_landmarks_with_unknown_frames():
    points = np.stack([face(100 + index).landmarks for index in range(10)])
    points[4], points[0] = np.nan, np.nan
    track = find_track(given_faces(points), fps=25, min_iou=0.0)
    assert (track.start, track.stop) == (1, 10)
    assert track.landmarks[3] == pytest.approx(face(104).landmarks, abs=1e-3)


def test_the_crop_glides_and_holds_the_face_with_its_hair():
    noise = np.random.default_rng(0).normal(0, 2, (100, 2))
    frames = [[face(100 + 1.5 * index + noise[index, 0], 150 + noise[index, 1])] for index in range(100)]
    track = find_track(frames, fps=25)
    boxes = crop_boxes(track, fps=25)
    sides = boxes[:, 2:] - boxes[:, :2]
    assert np.ptp(sides) < 1e-3, "one side through the track"
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert np.abs(np.diff(centres, n=2, axis=0)).max() < 0.3, "no jitter"
    landmarks = crop_landmarks(track, boxes, 224)
    hair = part_boxes(landmarks, "hair")
    assert landmarks.min() > 0 and landmarks.max() < 223
    assert hair.min() > -12 and hair.max() < 223


def test_a_growing_face_never_leaves_the_crop():
    track = find_track([[face(200, 200, height=40 + 2 * index)] for index in range(40)], fps=25)
    landmarks = crop_landmarks(track, crop_boxes(track, fps=25), 224)
    assert landmarks.min() > 0 and landmarks.max() < 223


def test_smoothing_keeps_constants_and_lines():
    assert smooth(np.full((9, 2), 3.0), 4.0) == pytest.approx(np.full((9, 2), 3.0))
    line = np.arange(60.0)[:, None]
    assert smooth(line, 3.0) == pytest.approx(line, abs=1e-6)
    assert smooth(line, 0.1) == pytest.approx(line, abs=1e-3)


def test_crops_need_all_frames_of_the_track():
    pytest.importorskip("cv2")
    track = find_track([[face(100)]] * 10, fps=25)
    frames = [np.zeros((200, 200, 3), np.uint8)] * 10
    boxes = crop_boxes(track, 25)
    crops = list(crop_frames(frames, track, boxes, 64))
    assert len(crops) == 10 and crops[0].shape == (64, 64, 3)
    with pytest.raises(ValueError, match="only 7 of the track's 10"):
        list(crop_frames(frames[:7], track, boxes, 64))
