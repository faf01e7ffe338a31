"""Metrics of lip synchronization, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from preface_hf.metrics.mouths import MouthDistance, mouth_pictures
from preface_hf.metrics.sync import LipSync
from tests.media import face_points


def clips() -> list[list[float]]:
    """Five offsets, -2 to 2: found at 0, at 1 and at -2."""
    return [[9.0, 9.0, 5.0, 8.0, 9.0], [8.0, 7.0, 8.0, 4.0, 8.0], [6.0, 7.0, 7.5, 9.0, 9.0]]


def test_lse_and_offsets():
    found = LipSync().compute(predictions=clips(), references=[0, 0, 0], expert="run/expert")
    assert found["lse_d"] == pytest.approx((5 + 4 + 6) / 3)
    assert found["lse_c"] == pytest.approx((4 + 4 + 1.5) / 3)
    assert found["within_one"] == pytest.approx(2 / 3) and found["offset_error"] == pytest.approx(1.0)
    assert found["offsets"] == {"-2": 1, "0": 1, "1": 1} and found["expert"] == "run/expert"
    assert found["count"] == 3 and found["left_out"] == 0
    assert LipSync().compute(predictions=clips(), references=[0, 1, -2])["within_one"] == 1.0


def test_offsets_without_sound_are_left_out():
    rows = clips()
    rows[0][0] = float("nan")
    found = LipSync().compute(
        predictions=[*rows, [float("nan")] * 5], references=[0] * 4, groups=list("aabb"), samples=20
    )
    assert found["count"] == 3 and found["left_out"] == 1 and found["expert"] == "unnamed"
    assert found["lse_d_low"] <= found["lse_d"] <= found["lse_d_high"]


def test_distance_of_mouths():
    true = np.stack([face_points((50, 50), 40), face_points((60, 40), 80)])
    moved = true + [3.0, 4.0]
    found = MouthDistance().compute(predictions=moved.tolist(), references=true.tolist())
    assert found["lmd_pixels"] == pytest.approx(5.0, abs=1e-4)
    heights = [np.linalg.norm(points[17:27].mean(axis=0) - points[8]) for points in true]
    assert found["lmd"] == pytest.approx(np.mean([5 / height for height in heights]), rel=1e-4)
    centered = MouthDistance().compute(predictions=moved.tolist(), references=true.tolist(), centered=True)
    assert centered["lmd_pixels"] == pytest.approx(0.0, abs=1e-4)
    moved[:, :48] += 99  # the rest of the face does not count
    assert MouthDistance().compute(predictions=moved.tolist(), references=true.tolist())[
        "lmd_pixels"
    ] == pytest.approx(5.0, abs=1e-4)


@pytest.mark.parametrize("shape", [(3, 24, 20), (3, 24, 20, 3)])
def test_pictures_of_mouths(shape):
    pytest.importorskip("torchmetrics")
    rng = np.random.default_rng(0)
    true = rng.integers(20, 200, shape, np.uint8)
    darker = true - 10
    found = mouth_pictures(darker, true)
    assert found["psnr"] == pytest.approx(20 * np.log10(255 / 10), abs=1e-3) and found["count"] == 3
    assert 0.9 < found["ssim"] < 1 and mouth_pictures(true, true)["ssim"] == pytest.approx(1.0)
    other = rng.integers(0, 255, shape, np.uint8)
    assert mouth_pictures(other, true)["ssim"] < 0.2
    with pytest.raises(ValueError, match="cannot be compared: give two of one shape"):
        mouth_pictures(true, true[:2])
