from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from preface_hf.faces.landmarkers import OnnxLandmarker, load_landmarker
from preface_hf.faces.networks import FOLDER
from preface_hf.faces.sidecars import read_landmarks, read_pts
from preface_hf.faces.squares import cut_square, from_square, to_square
from preface_hf.video.decoding import open_video
from tests.media import SHARED


needs_weights = pytest.mark.skipif(not (SHARED / "weights").is_dir(), reason="no ../shared/weights")
needs_faces = pytest.mark.skipif(not (SHARED / "faces").is_dir(), reason="no ../shared/faces")


@needs_weights
@needs_faces
def test_onnx_landmarks_on_helen_and_afw():
    pytest.importorskip("cv2")
    landmarker = OnnxLandmarker(SHARED / "weights")
    errors, shifts = [], []
    for file in sorted((SHARED / "faces" / "helen_afw_68pts").rglob("*.pts")):
        true = read_pts(file)
        frame = next(iter(open_video(file.with_suffix(".jpg"))))
        boxes = landmarker.detect(frame)
        distances = np.abs((boxes[:, :2] + boxes[:, 2:4]) / 2 - true.mean(axis=0)).sum(axis=1)
        (points,) = landmarker.landmarks([frame], [boxes[distances.argmin(), :4]])
        assert points.shape == (68, 2) and points.dtype == np.float32
        errors.append(np.linalg.norm(points - true, axis=1).mean() / np.linalg.norm(true[36] - true[45]))
        shifts.append(np.median(points - true, axis=0))
    assert len(errors) >= 100
    assert np.mean(errors) < 0.0355, "3.40 % measured; in YuNet's box as it is, 3.66 %"
    assert np.abs(np.median(shifts, axis=0)).max() < 0.5, "a whole pixel off: counted from 0 or from 1?"


@needs_weights
def test_each_face_of_each_frame_has_its_own_points():
    pytest.importorskip("cv2")
    landmarker = OnnxLandmarker(SHARED / "weights")
    frames = [np.random.default_rng(seed).integers(0, 255, (90, 120, 3), np.uint8) for seed in (0, 1)]
    boxes = np.array([[10, 10, 50, 60], [60, 20, 100, 80], [10, 10, 50, 60]], np.float32)
    found = landmarker.landmarks([frames[0], frames[0], frames[1]], boxes)
    alone = [landmarker.landmarks([frames[0]], boxes[:1])[0], landmarker.landmarks([frames[1]], boxes[2:])[0]]
    assert found.shape == (3, 68, 2)
    assert (found[[0, 2]] == alone).all() and (found[0] != found[2]).any()
    assert landmarker.landmarks([], []).shape == (0, 68, 2)


@needs_weights
def test_no_face_in_noise_and_odd_shapes():
    pytest.importorskip("cv2")
    landmarker = OnnxLandmarker(SHARED / "weights")
    for shape in [(240, 320, 3), (1, 1, 3), (3, 700, 3), (48, 48, 3)]:
        assert landmarker.detect(np.full(shape, 90, np.uint8)).shape == (0, 5)


def test_unknown_names_and_missing_weights_say_what_to_do(tmp_path: Path):
    with pytest.raises(ValueError, match="choose one of auto, builtin, onnx"):
        load_landmarker("dlib")
    pytest.importorskip("cv2")
    with pytest.raises(ValueError, match="--weights DIR"):
        load_landmarker("onnx")
    with pytest.raises(ValueError, match="yunet"):
        load_landmarker("onnx", tmp_path)
    assert load_landmarker("given") is None
    (tmp_path / "yunet_n_640_640.onnx").write_bytes(b"half a file")
    with pytest.raises(ValueError, match=r"yunet_n_640_640.onnx is not a YuNet detector .* copy the file again"):
        load_landmarker("onnx", tmp_path)
    shutil.copy(FOLDER / "mesh.onnx", tmp_path / "yunet_n_640_640.onnx")
    with pytest.raises(ValueError, match="is not a YuNet detector"):
        load_landmarker("auto", tmp_path)


def test_a_folder_without_a_landmark_network_says_so(tmp_path: Path):
    pytest.importorskip("cv2")
    shutil.copy(FOLDER / "yunet_n_640_640.onnx", tmp_path)
    with pytest.raises(ValueError, match="136 values"):
        load_landmarker("onnx", tmp_path)


@pytest.mark.parametrize("side", [30.0, 64.0, 201.5])
def test_squares_are_cut_where_points_say(side):
    pytest.importorskip("cv2")
    y, x = np.mgrid[:300, :300].astype(np.float32)
    spot = np.array([120.25, 141.75], np.float32)
    frame = np.repeat((255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 18))[..., None], 3, 2).astype(
        np.uint8
    )
    box = np.array([spot[0] - 0.4 * side, spot[1] - 0.6 * side, spot[0] + 0.6 * side, spot[1] + 0.4 * side])
    cut = cut_square(frame, box, 64)[..., 0].astype(float)
    v, u = np.mgrid[:64, :64]
    found = np.array([(u * cut).sum(), (v * cut).sum()]) / cut.sum()
    expected = to_square(spot, box, 64)
    assert np.abs(found - expected).max() < 0.15
    assert from_square(expected, box, 64) == pytest.approx(spot, abs=1e-3)


def test_squares_beyond_the_border_have_the_colors_of_the_picture():
    pytest.importorskip("cv2")
    frame = np.full((40, 40, 3), 200, np.uint8)
    assert (cut_square(frame, np.array([-30.0, -30.0, 30.0, 30.0]), 32) == 200).all()


def test_pts_with_and_without_header(tmp_path: Path):
    lines = [f"{index + 1}.5 {2 * index + 1}" for index in range(68)]
    (tmp_path / "plain.pts").write_text("\n".join(lines))
    (tmp_path / "header.pts").write_text("\n".join(["version: 1", "n_points:  68", "{", *lines, "}", ""]))
    plain = read_pts(tmp_path / "plain.pts")
    assert plain.shape == (68, 2)
    assert plain[1].tolist() == [1.5, 2.0], "counted from 0"
    assert (read_pts(tmp_path / "header.pts") == plain).all()
    assert read_landmarks(tmp_path / "plain.jpg", 1).shape == (1, 68, 2)


def test_landmarks_beside_the_media_are_checked(tmp_path: Path):
    with pytest.raises(ValueError, match=r"add a\.npy"):
        read_landmarks(tmp_path / "a.mp4", 5)
    np.save(tmp_path / "a.npy", np.zeros((4, 68, 2)))
    with pytest.raises(ValueError, match=r"\(4, 68, 2\).*make it \(5, 68, 2\)"):
        read_landmarks(tmp_path / "a.mp4", 5)
