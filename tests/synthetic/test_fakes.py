"""Blended fakes: the donor's face in the target's place, and nothing else."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from preface_hf.synthetic import Blend, draw_clip, draw_fake, identity_shape
from preface_hf.synthetic.appearance import appearance
from preface_hf.synthetic.brush import hull
from preface_hf.synthetic.fakes import face_masks, sample, warp_places


PAIRS = [(0, 5), (1, 30), (2, 11), (3, 40), (4, 9), (6, 17)]
GOOD = Blend(strength=1.0, matched=False)


@pytest.fixture(scope="module")
def pairs():
    """Real and fake clips of the same arguments."""
    return [
        (draw_clip(one, "happiness", 3, 4, 96, parsing=True), draw_fake(one, two, "happiness", 3, 4, 96, parsing=True))
        for one, two in PAIRS
    ]


def inside(landmarks, size, grown=0.0):
    """The convex hull of landmarks as `(size, size)` bool, grown by pixels."""
    middle = landmarks.mean(axis=0)
    away = landmarks - middle
    outline = hull(landmarks + grown * away / np.linalg.norm(away, axis=1, keepdims=True))
    picture = Image.new("L", (size, size))
    ImageDraw.Draw(picture).polygon(outline.ravel().tolist(), fill=1)
    return np.asarray(picture).astype(bool)


def test_a_fake_is_the_target_but_for_its_face(pairs):
    for (real, fake), (identity, donor) in zip(pairs, PAIRS, strict=True):
        assert (fake.fake, fake.donor, fake.identity) == (True, donor, identity) and not real.fake
        for name in ("landmarks", "mouth_opening", "pose"):
            np.testing.assert_array_equal(getattr(real, name), getattr(fake, name))
        assert fake.frames.shape == real.frames.shape and fake.frames.dtype == np.uint8
        for before, after, points in zip(real.frames, fake.frames, real.landmarks, strict=True):
            changed = (before != after).any(axis=-1)
            assert not changed[~inside(points, 96, 8)].any()
            assert changed[inside(points, 96, -12)].mean() > 0.9


def test_fakes_are_the_same_again_and_differ_by_seed_and_donor():
    frames = [draw_fake(*who, 2, 64).frames.tobytes() for who in
              ((0, 3, "fear", 1), (0, 3, "fear", 1), (0, 3, "fear", 2), (0, 4, "fear", 1))]  # fmt: skip
    assert frames[0] == frames[1] and len(set(frames)) == 3


@pytest.mark.parametrize("donor", [4, -1])
def test_a_donor_is_somebody_else(donor):
    with pytest.raises(ValueError, match=f"donor {donor}"):
        draw_fake(4, donor, "fear", 0, 2, 32)


def test_sound_is_the_targets():
    real, fake = draw_clip(3, "anger", 1, 4, 32, sound=True), draw_fake(3, 8, "anger", 1, 4, 32, sound=True)
    np.testing.assert_array_equal(real.audio, fake.audio)


def test_the_face_takes_the_donors_color_unless_colors_are_matched():
    skins = [max(appearance(person).skin) for person in range(60)]
    identity, donor = int(np.argmax(skins)), int(np.argmin(skins))
    real = draw_clip(identity, "neutral", 2, 3, 96)
    core = np.stack([inside(points, 96, -14) for points in real.landmarks])
    means = {
        matched: draw_fake(identity, donor, "neutral", 2, 3, 96, blend=Blend(matched=matched)).frames[core].mean()
        for matched in (True, False)
    }
    target = real.frames[core].mean()
    assert abs(means[True] - target) < 0.4 * abs(means[False] - target)
    assert abs(means[False] - target) > 20


def test_the_maps_show_the_donors_parts_where_the_targets_landmarks_are(pairs):
    for _, fake in pairs:
        for parsing, points in zip(fake.parsing, fake.landmarks, strict=True):
            x, y = np.rint(points[[62, 66]].mean(axis=0)).astype(int)
            assert parsing[y, x] == 5
            x, y = np.rint(points[30]).astype(int)
            assert parsing[y, x] == 4


def test_masks_are_soft_and_stay_within_the_hull():
    points = draw_clip(0, "neutral", 0, 2, 128).landmarks
    masks = face_masks(points, 128, Blend(feather=0.05, strength=0.9))
    assert masks.max() == pytest.approx(0.9, abs=0.01) and masks.min() == 0
    for mask, face in zip(masks, points, strict=True):
        assert (mask[~inside(face, 128, 1)]).max() < 0.25
        assert np.abs(np.diff(mask, axis=1)).max() < 0.3


def grid(width, height):
    """All pixels of a picture, `(width * height, 2)`, row by row."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2)


def test_a_warp_meets_the_landmarks_and_does_not_fold():
    for (one, two), yaw in zip(PAIRS, (0, 0.3, -0.3, 0.5, -0.5, 0.6), strict=True):
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0]])
        places, sources = (60 * identity_shape(who) @ turn.T + [64, 56] for who in (one, two))
        found = warp_places(places, sources, grid(128, 128)).reshape(128, 128, 2)
        x, y = np.rint(places).astype(int).T
        error = np.linalg.norm(found[y, x] - sources, axis=1)
        assert np.median(error) < 1.2 and error.max() < 4
        across, down = np.diff(found, axis=1)[:-1], np.diff(found, axis=0)[:, :-1]
        area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
        assert area[inside(places, 128)[:-1, :-1]].min() > 0.05


def test_a_warp_of_equal_landmarks_moves_nothing():
    places = 30 * identity_shape(0)[:, :2] + [40, 32]
    found = warp_places(places, places, grid(80, 64)).reshape(64, 80, 2)
    np.testing.assert_allclose(found, grid(80, 64).reshape(64, 80, 2), atol=1e-4)


def test_sampling_reads_between_pixels():
    picture = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    places = np.array([[0, 0], [3, 2], [1.5, 0.5], [-5, 9]])
    np.testing.assert_allclose(sample(picture, places)[:, 0], [0, 11, 3.5, 8])
