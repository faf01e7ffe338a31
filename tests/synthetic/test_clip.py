"""What is true of a clip: the same arguments give the same clip, and truth and picture agree."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from preface_hf.faces.landmarks import MIRRORED, flip_landmarks, part_boxes
from preface_hf.synthetic import EXPRESSIONS, MEAN_FACE, draw_clip, draw_fake, identity_shape
from preface_hf.synthetic.appearance import appearance
from preface_hf.synthetic.camera import Camera, rotation
from preface_hf.synthetic.clip import rehearse


SIZE = 512


def test_same_arguments_give_the_same_bytes_and_others_do_not():
    first, again, other = (draw_clip(3, "fear", seed, 4, 64) for seed in (5, 5, 6))
    assert first.frames.tobytes() == again.frames.tobytes()
    assert first.landmarks.tobytes() == again.landmarks.tobytes()
    assert first.frames.tobytes() != other.frames.tobytes()


def test_shapes_types_and_ranges():
    clip = draw_clip(1, "neutral", 2, num_frames=5, size=96, fps=30.0)
    assert clip.frames.shape == (5, 96, 96, 3) and clip.frames.dtype == np.uint8
    assert clip.landmarks.shape == (5, 68, 2) and clip.landmarks.dtype == np.float32
    assert clip.mouth_opening.shape == (5,) and clip.pose.shape == (5, 3)
    assert (clip.identity, clip.expression, clip.fps) == (1, "neutral", 30.0)


@pytest.mark.parametrize("size", [64, 128])
def test_landmarks_stay_in_the_picture(size):
    for seed in range(40):
        landmarks = draw_clip(seed, EXPRESSIONS[seed % 8], seed, 6, size).landmarks
        assert np.isfinite(landmarks).all()
        assert landmarks.min() >= 0 and landmarks.max() <= size - 1


def test_what_tubes_of_the_hair_show_is_drawn():
    """Above a face at the picture's edge a tube of its hair would be filled with what is not there."""
    for seed in range(60):
        boxes = part_boxes(draw_clip(seed, EXPRESSIONS[seed % 8], seed, 6, 64).landmarks, "hair")
        assert boxes[:, 1].min() >= 0 and boxes[:, 3].max() <= 63, seed


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"expression": "joy"}, "unknown expression 'joy': choose one of neutral, happiness"),
        ({"seed": -1}, "seed -1"),
        ({"size": 0}, "size 0"),
        ({"num_frames": 0}, "num_frames 0"),
        ({"fps": 0.0}, "fps 0.0"),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(arguments, match):
    with pytest.raises(ValueError, match=match):
        draw_clip(**({"identity": 0, "expression": "neutral", "seed": 0} | arguments))


def test_mean_face_and_traits_are_symmetric():
    for face in (MEAN_FACE, identity_shape(11)):
        np.testing.assert_allclose(face[MIRRORED] * [-1, 1, 1], face, atol=1e-12)


def test_mirrored_pose_gives_mirrored_landmarks():
    face, middle = identity_shape(4), np.array([(SIZE - 1) / 2, 100.0])
    one, other = (Camera(80 * rotation(*pose)[:2], middle) for pose in ((20, 8, -9), (-20, 8, 9)))
    np.testing.assert_allclose(flip_landmarks(one(face), SIZE), other(face), atol=1e-9)


def test_signs_of_the_pose():
    nose_tip, crown = np.array([0, 0, 1.0]), np.array([0, -1.0, 0])
    assert (rotation(20, 0, 0) @ nose_tip)[0] > 0
    assert (rotation(0, 20, 0) @ nose_tip)[1] < 0
    assert (rotation(0, 0, 20) @ crown)[0] > 0


def test_clips_of_one_person_have_closer_shapes_than_those_of_two():
    """Place, size and roll removed and the sides averaged, what remains of the mean shape is mostly identity."""
    people, seeds = range(10), range(12)
    mean = np.stack([[normalized(person, seed) for seed in seeds] for person in people])
    halves = mean[:, ::2].mean(axis=1), mean[:, 1::2].mean(axis=1)
    distances = np.linalg.norm(halves[0][:, None] - halves[1][None], axis=(2, 3))
    assert (distances.argmin(axis=1) == np.arange(len(people))).mean() >= 0.8


def normalized(person, seed):
    """Landmarks of a small clip and their mirror image, averaged, in the frame of the eyes and the chin."""
    landmarks = draw_clip(person, "neutral", seed, 4, 16).landmarks.mean(axis=0).astype(float)
    across = landmarks[42:48].mean(axis=0) - landmarks[36:42].mean(axis=0)
    cosine, sine = across / np.linalg.norm(across)
    upright = (landmarks - landmarks[27:31].mean(axis=0)) @ np.array([[cosine, -sine], [sine, cosine]])
    upright = (upright + upright[MIRRORED] * [-1, 1]) / 2
    return upright / np.linalg.norm(upright)


def fingerprint():
    """A digest of all that is drawn of two clips."""
    clips = draw_clip(3, "fear", 5, 4, 64, sound=True, parsing=True), draw_fake(3, 8, "fear", 5, 3, 64, parsing=True)
    digest = hashlib.sha256()
    for clip in clips:
        for part in (clip.frames, clip.landmarks, clip.parsing, clip.audio):
            digest.update(b"" if part is None else part.tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("threads", ["1", "4"])
def test_another_process_with_other_threads_draws_the_same(threads):
    code = "from tests.synthetic.test_clip import fingerprint; print(fingerprint())"
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], capture_output=True, text=True,
        env=os.environ | dict.fromkeys(names, threads),
    )  # fmt: skip
    assert run.stdout.strip() == fingerprint()


def test_sound_and_parsing_leave_the_rest_of_a_clip_as_it_is():
    plain, rich = draw_clip(2, "sadness", 4, 3, 48), draw_clip(2, "sadness", 4, 3, 48, sound=True, parsing=True)
    assert (plain.audio, plain.sample_rate, plain.parsing, plain.fake, plain.donor) == (None, None, None, False, None)
    assert rich.audio is not None and rich.parsing is not None
    for name in ("frames", "landmarks", "mouth_opening", "pose"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(rich, name))


def test_a_thousand_people_differ_in_face_and_can_all_be_drawn():
    shapes = np.stack([identity_shape(person) for person in range(1000)]).reshape(1000, -1)
    squares = (shapes**2).sum(axis=1)
    distances = np.sqrt((squares[:, None] + squares - 2 * shapes @ shapes.T).clip(0)) + 9 * np.eye(1000)
    assert distances.min() > 0.03  # face units: a fiftieth of brow line to chin, over all points
    assert len({appearance(person) for person in range(1000)}) > 980
    some = range(0, 1000, 5)
    frames = [draw_clip(person, EXPRESSIONS[person % 8], person, 1, 24).frames.tobytes() for person in some]
    assert len(set(frames)) == len(some)


def test_poses_cover_what_a_camera_sees():
    poses = np.stack([rehearse(0, "neutral", seed, 1, 8, 25.0)[1].pose[0] for seed in range(1000)])
    assert (poses.min(axis=0) < [-24, -11, -11]).all() and (poses.max(axis=0) > [24, 11, 11]).all()
    counts = np.histogram(poses[:, 0], bins=[-40, -12, 0, 12, 40])[0]
    assert counts.min() > 150
