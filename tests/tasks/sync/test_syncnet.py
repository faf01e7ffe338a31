"""The public SyncNet: its file, its windows and offsets. Its weights are not here: those of these tests are random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from preface_hf.metrics.sync import LipSync
from preface_hf.tasks.sync.syncnet import SyncNet, compare, face_squares, load_syncnet, syncnet_offsets


mfcc = pytest.importorskip("python_speech_features").mfcc


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A file as releases of PyTorch of its time have written it: batches are not counted."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model"
    state = {name: value for name, value in SyncNet().state_dict().items() if "num_batches" not in name}
    torch.save(state, file)
    return file


def test_a_video_has_distances_at_every_offset(weights, talking):
    video = sorted(talking.rglob("*.mp4"))[0]
    found = syncnet_offsets(video, weights)
    windows, offsets = found.distances.shape
    assert windows > 10 and offsets == 31 and np.isfinite(found.distances).all()
    assert np.array_equal(syncnet_offsets(video, weights).distances, found.distances)
    scores = LipSync().compute(predictions=[found.mean.tolist()], references=[0], expert="SyncNet")
    assert scores["expert"] == "SyncNet" and scores["lse_d"] == pytest.approx(found.distance)


def test_the_file_is_checked(weights, tmp_path):
    assert load_syncnet(weights).training is False
    with pytest.raises(ValueError, match="there is no file .*nowhere.* of SyncNet's weights"):
        load_syncnet(tmp_path / "nowhere")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other")
    (tmp_path / "text").write_text("no weights")
    (tmp_path / "empty").write_bytes(b"")
    torch.save([1], tmp_path / "list")
    for name in ("other", "text", "empty", "list"):
        with pytest.raises(ValueError, match=f"{name}' holds no weights of SyncNet"):
            load_syncnet(tmp_path / name)


class Loudness:
    """In the place of SyncNet: how bright the first frame of a window is, and how loud its sound."""

    def see(self, faces: torch.Tensor) -> torch.Tensor:
        return faces[:, :, 0].mean(dim=(1, 2, 3))[:, None]

    def hear(self, sounds: torch.Tensor) -> torch.Tensor:
        return sounds[:, 0, 0].mean(dim=1)[:, None]


@pytest.mark.parametrize("late", [-3, 0, 5])
def test_sound_that_is_late_has_a_positive_offset(late):
    rng = np.random.default_rng(0)
    loud = np.repeat(10 ** rng.uniform(1, 4, 100), 640)  # a loudness for each frame of 40 ms
    samples = (loud * rng.standard_normal(len(loud))).clip(-32000, 32000).astype(np.int16)
    steps = mfcc(samples, 16000)[:, 0]
    heard = np.array([steps[4 * i : 4 * i + 20].mean() for i in range(95)])
    shown = np.roll(heard, -late)  # a mouth is seen `late` frames before it is heard
    faces = np.zeros((95, 224, 224, 3), np.uint8) + shown[:, None, None, None].round().astype(np.uint8)
    assert compare(Loudness(), faces, samples).offset == late


def test_what_is_too_short_is_refused():
    with pytest.raises(ValueError, match="too short for SyncNet"):
        compare(Loudness(), np.zeros((5, 224, 224, 3), np.uint8), np.zeros(16000, np.int16))


def test_faces_are_cut_wide_and_low_and_one_jump_moves_nothing():
    boxes = np.tile([100.0, 100.0, 140.0, 150.0], (20, 1))
    boxes[10] += 30
    squares = face_squares(boxes)
    assert np.allclose(squares, [120 - 35, 125 + 10 - 35, 120 + 35, 125 + 10 + 35])
