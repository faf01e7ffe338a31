"""Windows for the generator: what is seen and heard at the same time, and what the losses make of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from preface_hf import PrefAceLipSyncConfig, PrefAceSyncConfig, PrefAceSyncModel
from preface_hf.faces.crops import MOUTH_IN_TIGHT, face_boxes, mouth_boxes
from preface_hf.faces.squares import cut_square
from preface_hf.tasks.lipsync.clips import LipSyncClips, elsewhere
from preface_hf.tasks.lipsync.losses import feature_distance, mouths_of, out_of_sync
from preface_hf.tasks.lipsync.talks import heard
from preface_hf.tasks.sync.talks import cut_mouths
from tests.media import face_points, pattern
from tests.modeling.test_lipsync import SMALL


CONFIG = PrefAceLipSyncConfig(**{**SMALL, "num_frames": 16})


@pytest.fixture(scope="module")
def train(spoken) -> LipSyncClips:
    return LipSyncClips(spoken, "train", CONFIG, windows=2)


def test_an_item_is_a_window_its_sound_and_the_person_elsewhere(train):
    assert len(train) == 4 * 2 and train.left_out == 1
    item, talk = train[3], train.talk(train.rows[3])
    assert item["pixel_values_videos"].shape == item["reference_values_videos"].shape == (16, 3, 32, 32)
    assert item["input_features"].shape == (4 * (16 + 2 * 2), 80)
    first, other = (
        int(np.abs(talk.faces - (item[name][0].permute(1, 2, 0) * 255).numpy()).sum(axis=(1, 2, 3)).argmin())
        for name in ("pixel_values_videos", "reference_values_videos")
    )
    assert abs(first - other) >= 16
    # Mel frame 4 i of the window, after the margin, is of frame i.
    sound = item["input_features"].numpy() + talk.level
    np.testing.assert_allclose(sound[8:-8], talk.mels[4 * first : 4 * (first + 16)], atol=1e-4)
    assert torch.equal(item["labels"], item["pixel_values_videos"])
    assert torch.equal(train[3]["input_features"], item["input_features"]), "the same each time"


def test_training_draws_from_torch(spoken):
    clips = LipSyncClips(spoken, "train", CONFIG, augment=True)
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(clips[2])
    assert all(torch.equal(draws[0][name], draws[1][name]) for name in draws[0])
    assert not torch.equal(draws[0]["pixel_values_videos"], draws[2]["pixel_values_videos"])
    assert draws[2]["labels"].min() >= 0 and draws[2]["labels"].max() <= 1


@pytest.mark.parametrize(("first", "room"), [(0, 40), (20, 40), (40, 40), (2, 5), (0, 0)])
def test_a_reference_shares_no_frame_where_there_is_room(first, room):
    places = elsewhere(first, room, 16)
    assert places and all(0 <= place <= room for place in places)
    assert room < 32 or min(abs(place - first) for place in places) >= 16


def test_before_and_after_a_recording_it_is_silent():
    mels = np.arange(40.0)[:, None].repeat(80, axis=1).astype(np.float32)
    found = heard(mels, 1.0, -2, 16)  # of 10 frames, from two before it
    assert found.shape == (64, 80) and (found[:8] == -9).all() and (found[48:] == -9).all()
    np.testing.assert_array_equal(found[8:48, 0], np.arange(40) - 1)
    assert (heard(mels, 1.0, 50, 16) == -9).all() and (heard(mels, 1.0, -50, 16) == -9).all()


def test_the_mouth_is_always_at_the_same_place_of_the_tight_face():
    points = np.stack([face_points((60 + i, 50), 40) for i in range(20)])
    times = np.arange(20) / 25
    faces, mouths = face_boxes(points, times), mouth_boxes(points, times)
    side = faces[:, 2:3] - faces[:, :1]
    shares = (mouths - np.tile(faces[:, :2], 2)) / side
    np.testing.assert_allclose(shares, np.tile(MOUTH_IN_TIGHT, (20, 1)), atol=1e-3)
    assert (faces[:, 3] > points[:, 8, 1]).all(), "the chin is in it"
    middle = (faces[:, 1] + faces[:, 3]) / 2
    assert (middle >= points[:, 30, 1]).all() and (middle < points[:, 48:, 1].min(axis=1)).all(), (
        "half above the mouth"
    )


def test_the_expert_sees_generated_mouths_as_it_sees_true_ones():
    frame = pattern(1, 120, 120)[0]
    points, times = face_points((60, 60), 50)[None], np.zeros(1)
    face = cut_square(frame, face_boxes(points, times)[0], 96)
    found = mouths_of(torch.from_numpy(face).permute(2, 0, 1)[None, None].float() / 255, 48)
    true = next(cut_mouths([frame], mouth_boxes(points, times), 48))
    assert found.shape == (1, 1, 1, 48, 48)
    assert np.abs(found[0, 0, 0].numpy() * 255 - true).mean() < 6


def test_the_expert_says_what_fits_with_gradients_to_the_pixels(train):
    torch.manual_seed(0)
    expert = PrefAceSyncModel(PrefAceSyncConfig()).eval().requires_grad_(False)
    item = train[0]
    frames, sounds = item["labels"][None].clone().requires_grad_(True), item["input_features"][None]
    loss = out_of_sync(expert, frames, sounds, 2)
    loss.sum().backward()
    left, top, right, bottom = (round(share * 32) for share in MOUTH_IN_TIGHT)
    outside = frames.grad.clone()
    outside[..., top:bottom, left:right] = 0
    assert frames.grad.abs().max() > 0 and outside.abs().max() == 0
    logits = expert(mouths_of(frames, 48), sounds[:, 8:-8]).logits
    torch.testing.assert_close(loss, torch.log1p(torch.exp(-logits)))


def test_features_differ_by_nothing_for_the_same_frames(train):
    from preface_hf import PrefAceForLipSync

    encoder = PrefAceForLipSync(CONFIG).preface.eval().requires_grad_(False)
    true = train[0]["labels"][None]
    found = true.clone().requires_grad_(True)
    assert feature_distance(encoder, CONFIG, true, true) == 0
    distance = feature_distance(encoder, CONFIG, found + 0.1 * torch.randn_like(found), true)
    distance.backward()
    assert distance > 0.01 and found.grad.abs().max() > 0
