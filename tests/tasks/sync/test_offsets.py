"""Offsets, their sign, confidence, and what an untrained and a perfect expert give."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from preface_hf import PrefAceSyncConfig, PrefAceSyncModel
from preface_hf.tasks.sync.measure import pairs_auc
from preface_hf.tasks.sync.offsets import Offsets, correlated, find_offsets
from preface_hf.tasks.sync.talks import Talk


def noise(frames: int, margin: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values of so many frames, and the same with `margin` more at both ends."""
    values = np.random.default_rng(seed).normal(size=frames + 2 * margin)
    return values[margin : margin + frames], values


class Perfect(torch.nn.Module):
    """An expert that sees in a mouth and in a sound the numbers that are written there."""

    config = SimpleNamespace(num_frames=8)

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def get_video_features(self, pixels):
        return torch.nn.functional.normalize(pixels[:, :, 0, 0, 0] - 0.5, dim=-1)

    def get_audio_features(self, features):
        return torch.nn.functional.normalize(features[:, ::4, 0], dim=-1)


def written_talk(late: int, margin: int, frames: int = 40) -> Talk:
    """A talk whose sound is `late` frames late."""
    seen, heard = noise(frames, margin)
    mouths = (seen * 30 + 127.5).round().clip(0, 255).astype(np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    mels = np.roll(heard, late).repeat(4)[:, None].repeat(80, 1).astype(np.float32)
    return Talk(mouths, mels, seen, margin)


@pytest.mark.parametrize("late", [0, 6, -4])
@pytest.mark.parametrize("margin", [0, 15])
def test_late_sound_has_a_positive_offset(late, margin):
    found = find_offsets(Perfect(), written_talk(late, margin))
    assert found.offset == late and found.distance < 0.1 and found.confidence > 0.8
    assert found.distances.shape == (33, 31) and np.isfinite(found.mean).all()
    assert np.isfinite(found.distances).all() == bool(margin), "without a margin the sound does not reach everywhere"


def test_a_stride_leaves_windows_out():
    assert find_offsets(Perfect(), written_talk(2, 15), stride=5).distances.shape == (7, 31)


def test_confidence_is_median_minus_least():
    distances = np.full((2, 31), 1.4)
    distances[:, 18] = [0.3, 0.5]
    found = Offsets(distances)
    assert (found.offset, found.distance, found.confidence) == (3, pytest.approx(0.4), pytest.approx(1.0))


def test_windows_at_the_right_place_are_told_from_others():
    distances = np.full((4, 31), 1.4)
    distances[:, 15] = 1.0
    distances[:, [13, 14, 16, 17]] = 0.2  # too near to count
    assert pairs_auc(distances) == 1.0
    distances[2:, 15] = 1.8
    assert pairs_auc(distances) == 0.5
    distances[:, 20:] = np.nan
    assert pairs_auc(distances) == 0.5


def test_a_talk_shorter_than_a_window_is_refused():
    with pytest.raises(ValueError, match=r"in sight for 0\.20 seconds, 0\.32 are needed"):
        find_offsets(Perfect(), written_talk(0, 15, frames=5))


def test_an_untrained_expert_says_nothing():
    torch.manual_seed(0)
    model = PrefAceSyncModel(PrefAceSyncConfig(num_frames=8, image_size=4, vision_channels=[4]))
    found = find_offsets(model, written_talk(0, 15))
    assert found.confidence < 0.1


@pytest.mark.parametrize("late", [0, 5, -3])
def test_how_far_a_mouth_is_open_against_how_loud_it_is(late):
    talk = written_talk(0, 15)
    loud = np.roll(noise(40, 15)[1], late)
    talk.mels = np.log10((0.01 * np.exp(loud)) ** 2).repeat(4)[:, None].repeat(80, 1).astype(np.float32)
    talk.openings = np.exp(talk.openings)
    assert correlated(talk).offset == late and correlated(talk).distance < 0.3


def test_a_mouth_that_does_not_move_correlates_with_nothing():
    talk = written_talk(0, 15)
    talk.openings = np.zeros(40)
    with pytest.raises(ValueError, match="does not move"):
        correlated(talk)
