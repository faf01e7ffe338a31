"""Tubes on real clips: the boxes of the parts sit where the detector's own five points are."""

import numpy as np
import pytest

from preface_hf.faces.builtin_landmarker import BuiltinLandmarker
from preface_hf.faces.detection import detect_faces
from preface_hf.faces.landmarks import flip_landmarks, part_boxes
from preface_hf.faces.tracking import segments
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video


@pytest.fixture(scope="module")
def track(shared):
    video = open_video(shared / "faces/marlin_clips/cropped01.mp4")
    frames = [frame for _, frame in zip(range(12), video, strict=False)]
    return frames, only_track(frames, BuiltinLandmarker())


def only_track(frames, landmarker):
    clock = Clock.steady(len(frames), 25.0)
    ((track,),) = (segment.tracks for segment in segments(detect_faces(frames, landmarker), clock, 40))
    return track


def center(boxes):
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def test_parts_stand_where_a_face_has_them(track):
    _, face = track
    middle = {
        part: center(part_boxes(face.landmarks, part)) for part in ("left_eye", "right_eye", "nose", "mouth", "hair")
    }
    assert (middle["right_eye"][:, 0] < middle["nose"][:, 0]).all() and (
        middle["nose"][:, 0] < middle["left_eye"][:, 0]
    ).all()
    order = ["hair", "left_eye", "nose", "mouth"]
    heights = np.stack([middle[part][:, 1] for part in order])
    assert (np.diff(heights, axis=0) > 0).all()


def test_the_mirrored_clip_finds_the_mirrored_parts(track, shared):
    """Detect and track the mirrored pixels anew: its left eye is where the right eye's reflection must be."""
    frames, face = track
    mirrored = [np.ascontiguousarray(frame[:, ::-1]) for frame in frames]
    again = only_track(mirrored, BuiltinLandmarker())
    assert len(again.landmarks) == len(face.landmarks)
    expected = flip_landmarks(face.landmarks, frames[0].shape[1])
    eye_distance = np.linalg.norm(face.landmarks[:, 36] - face.landmarks[:, 45], axis=-1).mean()
    for part in ("left_eye", "right_eye"):
        off = np.linalg.norm(center(part_boxes(again.landmarks, part)) - center(part_boxes(expected, part)), axis=-1)
        assert off.mean() < 0.1 * eye_distance
