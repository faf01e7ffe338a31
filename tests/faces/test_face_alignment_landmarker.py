"""The real package with networks of random weights under the names that it looks for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from preface_hf.faces.face_alignment_landmarker import FaceAlignmentLandmarker
from preface_hf.faces.landmarkers import load_landmarker
from preface_hf.faces.sidecars import read_pts
from preface_hf.video.decoding import open_video
from tests.media import SHARED, pattern


BOXES = [np.array(box, np.float32) for box in ([20.5, 8, 80, 77], [50, 20, 131, 90], [30, 30, 50, 51])]


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch) -> Path:
    pytest.importorskip("face_alignment")
    import torch
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(FAN(4).state_dict(), folder / "2DFAN4-11f355bf06.pth.tar")
    torch.save(s3fd().state_dict(), folder / "s3fd-619a316812.pth")
    return folder


@pytest.mark.slow
def test_batches_give_the_points_that_the_package_gives_one_by_one(checkpoints: Path):
    landmarker = FaceAlignmentLandmarker(device="cpu")
    landmarker.batch_size = 2
    frames = list(pattern(3, 96, 128))
    found = landmarker.landmarks(frames, BOXES)
    assert found.shape == (3, 68, 2) and found.dtype == np.float32
    expected = np.stack(
        [
            landmarker._aligner.get_landmarks_from_image(frame, [[*map(float, box), 1.0]])[0]
            for frame, box in zip(frames, BOXES, strict=True)
        ]
    )
    assert np.abs(found - expected).max() <= 1, "whole pixels may round over"
    assert (found == expected).mean() > 0.99


@pytest.mark.slow
def test_a_crop_s_maps_do_not_depend_on_its_batch(checkpoints: Path):
    landmarker = FaceAlignmentLandmarker(device="cpu")
    crops = np.random.default_rng(0).integers(0, 255, (2, 256, 256, 3), np.uint8)
    alone = landmarker._heat_maps(crops[1:])
    assert np.abs(landmarker._heat_maps(crops)[1:] - alone).max() < 1e-4 * np.abs(alone).max()


@pytest.mark.slow
def test_bfloat16_maps_are_near(checkpoints: Path):
    import torch

    landmarker = FaceAlignmentLandmarker(device="cpu")
    crops = np.ascontiguousarray(pattern(1, 256, 256))
    exact = landmarker._heat_maps(crops)
    landmarker._aligner.dtype = torch.bfloat16
    landmarker._aligner.face_alignment_net.bfloat16()
    rough = landmarker._heat_maps(crops)
    assert rough.dtype == np.float32
    assert np.corrcoef(rough.ravel(), exact.ravel())[0, 1] > 0.99


@pytest.mark.skipif(not (SHARED / "faces").is_dir(), reason="no ../shared/faces")
@pytest.mark.skipif(not (SHARED / "weights").is_dir(), reason="no ../shared/weights")
def test_an_offline_detector_finds_a_real_face(checkpoints: Path):
    for weights in (SHARED / "weights" / "blazeface").iterdir():
        shutil.copy(weights, checkpoints)
    landmarker = load_landmarker("face-alignment:blazeface")
    file = next((SHARED / "faces" / "helen_afw_68pts" / "helen").rglob("*.jpg"))
    frame, true = next(iter(open_video(file))), read_pts(file.with_suffix(".pts"))
    boxes = landmarker.detect(frame)
    assert boxes.shape[1] == 5 and len(boxes)
    center = (boxes[:, :2] + boxes[:, 2:4]) / 2
    assert np.abs(center - true.mean(axis=0)).max(axis=1).min() < 0.3 * np.ptp(true[:, 0])


def test_an_unknown_detector_is_named():
    with pytest.raises(ValueError, match=r"face-alignment:mtcnn: choose one of sfd, blazeface"):
        load_landmarker("face-alignment:mtcnn")


def test_without_face_alignment_the_extra_is_named():
    try:
        import face_alignment  # noqa: F401
    except ImportError:
        with pytest.raises(ValueError, match=r"preface-hf\[face-alignment\]"):
            load_landmarker("face-alignment")
    else:
        pytest.skip("face-alignment is installed")
