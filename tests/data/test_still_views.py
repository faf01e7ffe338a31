"""Views of one frame: the same frame throughout, the same whatever the order, each change as often as is set."""

import numpy as np
import pytest
import torch

from preface_hf.data.crop_views import make_crop_views
from preface_hf.data.still_views import StillConfig, make_still_views
from preface_hf.data.streams import PlainClips, StillStream
from tests.objectives.test_small_sets import write_some


SIZES = {"global_size": 32, "local_size": 16, "num_local": 3}


def noise(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)


def test_a_batch_shows_one_frame_of_each_clip_in_all_its_frames(prepared, tmp_path):
    data = write_some(prepared, tmp_path, 6)
    stream = StillStream(data, StillConfig(**SIZES, num_frames=4), batch_size=3, seed=0)
    batch, again = next(iter(stream)), next(iter(stream))
    assert batch.global_tubes.shape == (3, 2, 4, 3, 32, 32) and batch.small_tubes.shape == (3, 3, 4, 3, 16, 16)
    assert batch.colors.shape == (3, 5, 3, 4)
    for tubes in (batch.global_tubes, batch.small_tubes):
        assert (tubes == tubes[:, :, :1]).all() and (tubes[:, 0] != tubes[:, 1]).any()
    assert torch.equal(batch.small_tubes, again.small_tubes)


def test_frames_are_drawn_from_the_whole_clip_and_the_middle_one_is_plain(prepared, tmp_path):
    config, rng = StillConfig(**SIZES), np.random.default_rng(0)
    drawn = np.array([config.frames_of(20, rng) for _ in range(400)])
    assert (drawn == drawn[:, :1]).all() and set(drawn[:, 0]) == set(range(20))
    assert config.frames_of(20).tolist() == [10, 10] and config.frames_of(1).tolist() == [0, 0]
    data = write_some(prepared, tmp_path, 2)
    _, clips = next(iter(PlainClips(data, config, 2)))
    assert (clips[:, 0] == clips[:, 1]).all()


def test_without_blur_and_solarization_they_are_the_crops():
    config = StillConfig(**SIZES, blur_probability=0.0, solarize_probability=0.0)
    still = make_still_views(noise(), config, np.random.default_rng(3))
    crops = make_crop_views(noise(), config, np.random.default_rng(3), np.zeros((5, 1), int))
    assert torch.equal(still.global_tubes[:, 1:], crops.global_tubes) and still.names == crops.names
    assert torch.equal(still.small_tubes[:, 1:], crops.small_tubes) and torch.equal(still.colors, crops.colors)


@pytest.mark.parametrize("setting", ["blur_probability", "solarize_probability"])
def test_changes_come_as_often_as_is_set_and_change_what_they_should(setting):
    never = {"blur_probability": 0.0, "solarize_probability": 0.0}
    few = {**SIZES, "num_local": 400, "flip_probability": 0.0}
    plain = make_still_views(noise(), StillConfig(**few, **never), np.random.default_rng(0)).small_tubes[:, 0]
    config = StillConfig(**few, **{**never, setting: 0.3}, blur_radius=(1.0, 1.5))
    views = make_still_views(noise(), config, np.random.default_rng(0)).small_tubes[:, 0]
    changed = (views != plain).flatten(1).any(1)
    assert 90 < int(changed.sum()) < 150
    if setting == "solarize_probability":
        inverted = torch.where(plain < 128, plain, 255 - plain)
        assert torch.equal(views[changed], inverted[changed])
    else:
        # Noise loses most of its variance, and keeps its mean.
        assert (views[changed].float().std((1, 2, 3)) < 0.7 * plain[changed].float().std((1, 2, 3))).all()
        torch.testing.assert_close(views[changed].float().mean(), plain[changed].float().mean(), atol=2.0, rtol=0)


def test_a_wider_blur_smooths_more():
    spread = []
    for radius in (0.2, 1.0, 4.0):
        config = StillConfig(**SIZES, blur_probability=1.0, blur_radius=(radius, radius), solarize_probability=0.0)
        spread.append(make_still_views(noise(), config, np.random.default_rng(0)).global_tubes.float().std())
    assert spread[0] > spread[1] > spread[2]


def test_there_may_be_no_small_views():
    views = make_still_views(noise(), StillConfig(global_size=32, num_local=0), np.random.default_rng(0))
    assert views.global_tubes.shape == (2, 2, 3, 32, 32) and len(views.small_tubes) == 0


@pytest.mark.parametrize("rates", [{"global_rates": [1]}, {"local_rates": [2]}])
def test_rates_are_refused(rates):
    with pytest.raises(ValueError, match="a still has none: set both to"):
        StillConfig(**rates)
