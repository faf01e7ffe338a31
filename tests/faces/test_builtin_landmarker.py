"""The built-in landmarker on drawn faces, whose points are known, and on real ones where ../shared has them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from preface_hf.faces.builtin_landmarker import BuiltinLandmarker, distinct
from preface_hf.faces.detection import detect_faces
from preface_hf.faces.landmarkers import load_landmarker, resolve_landmarker
from preface_hf.faces.sidecars import read_pts
from preface_hf.faces.tracking import segments
from preface_hf.synthetic import draw_clip
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video


cv2 = pytest.importorskip("cv2")
ROOT = Path(__file__).parents[2]


def turned(frame: np.ndarray, points: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its points, turned about the picture's center in a frame that holds all of it."""
    height, width = frame.shape[:2]
    side = int(np.ceil(np.hypot(height, width)))
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    matrix[:, 2] += [(side - width) / 2, (side - height) / 2]
    return cv2.warpAffine(frame, matrix, (side, side)), points @ matrix[:, :2].T + matrix[:, 2]


def error(points: np.ndarray, true: np.ndarray) -> float:
    return float(np.linalg.norm(points - true, axis=1).mean() / np.linalg.norm(true[36] - true[45]))


@pytest.fixture(scope="module")
def landmarker() -> BuiltinLandmarker:
    return BuiltinLandmarker()


@pytest.fixture(scope="module")
def drawn() -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures of 144² with a drawn face in the middle, and its landmarks."""
    clips = [draw_clip(person, "neutral", seed=person, num_frames=1, size=96) for person in range(6)]
    margin = ((24, 24), (24, 24), (0, 0))
    return [(np.pad(clip.frames[0], margin, constant_values=90), clip.landmarks[0] + 24) for clip in clips]


@pytest.mark.parametrize("degrees", [0, 30, 60, 90, -90, 180])
def test_drawn_faces_at_any_angle(landmarker, drawn, degrees):
    errors = []
    for frame, true in drawn:
        frame, true = turned(frame, true, degrees)
        (box,) = landmarker.detect(frame)
        assert (box[:2] < true.mean(axis=0)).all() and (true.mean(axis=0) < box[2:4]).all() and box[4] > 0.6
        (points,) = landmarker.landmarks([frame], [box])
        assert points.shape == (68, 2) and points.dtype == np.float32
        errors.append(error(points, true))
    assert np.mean(errors) < 0.075, "0.064 measured at each of these angles"


def test_a_face_s_points_do_not_depend_on_what_is_asked_with_it(landmarker, drawn):
    frames = [frame for frame, _ in drawn]
    boxes = [landmarker.detect(frame)[0] for frame in frames]
    together = landmarker.landmarks(frames, boxes)
    alone = [landmarker.landmarks([frame], [box])[0] for frame, box in zip(frames, boxes, strict=True)]
    assert np.abs(together - alone).max() < 1e-3
    assert landmarker.landmarks([], []).shape == (0, 68, 2)
    assert np.ptp(together, axis=0).max() > 1, "each has its own points"


def test_threads_and_a_new_landmarker_change_nothing(drawn):
    before, found = cv2.getNumThreads(), []
    try:
        for threads in (1, 2):
            cv2.setNumThreads(threads)
            landmarker = BuiltinLandmarker()
            boxes = [landmarker.detect(frame)[0] for frame, _ in drawn]
            found.append((np.stack(boxes), landmarker.landmarks([frame for frame, _ in drawn], boxes)))
    finally:
        cv2.setNumThreads(before)
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_large_face_and_one_at_the_border(landmarker, drawn):
    frame, true = drawn[1]
    large = cv2.resize(frame, None, fx=9, fy=9, interpolation=cv2.INTER_CUBIC)
    (points,) = landmarker.landmarks([large], [landmarker.detect(large)[0]])
    assert error(points, 9 * true + 4) < 0.07
    cut, left = frame[:, 40:], np.array([40, 0])
    (points,) = landmarker.landmarks([cut], [landmarker.detect(cut)[0]])
    assert error(points, true - left) < 0.09


def test_no_face_in_plain_pictures_and_odd_shapes(landmarker):
    for shape in [(240, 320, 3), (1, 1, 3), (3, 700, 3), (48, 48, 3)]:
        assert landmarker.detect(np.full(shape, 90, np.uint8)).shape == (0, 5)


def test_a_box_beyond_the_picture_has_finite_points(landmarker):
    frame = np.full((40, 60, 3), 90, np.uint8)
    for box in ([-80, -80, -10, -10], [0, 0, 1, 1], [-500, -500, 900, 900], [59, 39, 200, 200]):
        assert np.isfinite(landmarker.landmarks([frame], [np.array(box, np.float32)])).all()


def test_of_boxes_of_one_face_the_surest_stays():
    boxes = np.array([[0, 0, 30, 30, 0.7], [1, 0, 18, 16, 0.9], [20, 0, 30, 10, 0.8]], np.float32)
    assert distinct(boxes).tolist() == boxes[[1, 2]].tolist()
    assert distinct(boxes[:0]).shape == (0, 5)


def test_auto_is_the_built_in_one_unless_there_are_weights(tmp_path):
    assert resolve_landmarker("auto") == "builtin" and resolve_landmarker("auto", tmp_path) == "onnx"
    assert resolve_landmarker("given", tmp_path) == "given"
    assert load_landmarker("auto").name == load_landmarker("builtin").name == "builtin"
    with pytest.raises(ValueError, match=r"does not read --weights .*take onnx"):
        load_landmarker("builtin", tmp_path)


@pytest.mark.parametrize("every", [1, 4])
def test_a_drawn_face_in_a_turned_video(landmarker, every):
    """Through detection and tracking, with boxes interpolated between detections."""
    clip = draw_clip(3, "happiness", seed=5, num_frames=9, size=96)  # upright, YuNet sees a face here and there
    shown = [turned(frame, points, 80) for frame, points in zip(clip.frames, clip.landmarks, strict=True)]
    found = detect_faces([frame for frame, _ in shown], landmarker, every)
    ((track,),) = (segment.tracks for segment in segments(found, Clock.steady(9, 25.0), 100))
    assert len(track.boxes) == 9
    assert np.mean([error(a, b) for a, (_, b) in zip(track.landmarks, shown, strict=True)]) < 0.085


@pytest.mark.parametrize("degrees", [30, 60, 90])
def test_a_real_face_in_a_turned_video(landmarker, shared, degrees):
    """The turned frames' points are the upright frames' points, turned."""
    frames = list(islice(open_video(shared / "faces/marlin_clips/video02.mp4", "pyav"), 0, 24, 3))

    def track_of(pictures):
        clock = Clock.steady(len(pictures), 8.0)
        tracks = [track for part in segments(detect_faces(pictures, landmarker), clock, 100) for track in part.tracks]
        return max(tracks, key=lambda track: np.ptp(track.landmarks[0], axis=0).prod())

    upright = track_of(frames)
    expected = [turned(frame, points, degrees) for frame, points in zip(frames, upright.landmarks, strict=True)]
    again = track_of([frame for frame, _ in expected])
    assert len(again.landmarks) == len(frames)
    assert np.mean([error(a, b) for a, (_, b) in zip(again.landmarks, expected, strict=True)]) < 0.04


@pytest.mark.parametrize(("degrees", "inner", "everything"), [(0, 0.040, 0.049), (90, 0.045, 0.06)])
def test_helen_and_afw(landmarker, shared, degrees, inner, everything):
    errors, shifts = [], []
    for file in sorted((shared / "faces/helen_afw_68pts").rglob("*.pts"))[::2]:
        true, upright = read_pts(file), next(iter(open_video(file.with_suffix(".jpg"))))
        frame, true = turned(upright, true, degrees) if degrees else (upright, true)
        boxes = landmarker.detect(frame)
        distances = np.abs((boxes[:, :2] + boxes[:, 2:4]) / 2 - true.mean(axis=0)).max(axis=1)
        if not len(boxes) or distances.min() > 0.5 * np.ptp(true, axis=0).max():
            continue  # another person was found
        (points,) = landmarker.landmarks([frame], [boxes[distances.argmin()]])
        errors.append(np.linalg.norm(points - true, axis=1) / np.linalg.norm(true[36] - true[45]))
        shifts.append(np.median((points - true)[27:], axis=0) / np.linalg.norm(true[36] - true[45]))
    assert len(errors) >= 75, "of 80"
    assert np.mean(errors) <= everything and np.mean([one[17:] for one in errors]) <= inner
    assert np.abs(np.median(shifts, axis=0)).max() < 0.01, "a shift of all points: pixel centers?"


@pytest.mark.slow
def test_a_wheel_brings_the_networks(tmp_path):
    source = tmp_path / "source"  # setuptools leaves folders behind where it builds
    others = shutil.ignore_patterns(".*", "build", "demo", "runs", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, symlinks=True, ignore=others)
    pip = [sys.executable, "-m", "pip"]
    wheel = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path / "wheel", source]
    subprocess.run(wheel, check=True, cwd=tmp_path)
    (file,) = (tmp_path / "wheel").glob("*.whl")
    subprocess.run([*pip, "install", "-q", "--no-deps", "--target", tmp_path / "site", file], check=True)
    code = (
        "from preface_hf.faces.landmarkers import load_landmarker; import preface_hf; print(preface_hf.__file__); "
        "print(load_landmarker('auto').name)"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path / "site")}
    run = subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment, capture_output=True)
    place, name = run.stdout.decode().split()
    assert place.startswith(str(tmp_path)) and name == "builtin"
    networks = tmp_path / "site/preface_hf/faces/networks"
    assert {"NOTICE", "LICENSE.mediapipe", "LICENSE.yunet"} <= {entry.name for entry in networks.iterdir()}
    assert sum(entry.stat().st_size for entry in networks.glob("*.onnx")) < 2e6
