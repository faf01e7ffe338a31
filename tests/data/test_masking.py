"""Masks beside a slow reference, over random region maps; chance that is fair; mirrors."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chisquare

from preface_hf.data.masked_clips import MaskConfig, MaskStream, TubeMaskConfig, token_regions
from preface_hf.data.masking import FACE_STRATEGIES, STRATEGIES, draw_mask, face_candidates, keep_order, visible_tokens
from preface_hf.faces.landmarks import PARTS, flip_landmarks
from preface_hf.faces.regions import REGIONS
from tests.objectives.test_small_sets import write_some


GRID = (8, 14, 14)
BACKGROUND, SKIN = (REGIONS.index(name) for name in ("background", "skin"))


def random_regions(rng, grid=GRID):
    """A map of blobs: each region has a random share of the cells, sometimes none."""
    shares = rng.dirichlet(np.full(len(REGIONS), 0.3))
    return rng.choice(len(REGIONS), size=grid, p=shares).astype(np.uint8)


def slow_candidates(regions, order, share):
    """Token by token: region after region is opened in a tubelet until a share of its tokens is."""
    shown = set()
    for time in range(regions.shape[0]):
        opened = []
        for code in order:
            for row in range(regions.shape[1]):
                for column in range(regions.shape[2]):
                    if regions[time, row, column] == code:
                        opened.append((time, row, column))
            if len(opened) >= share * regions.shape[1] * regions.shape[2]:
                break
        shown |= set(opened)
    return shown


@pytest.mark.parametrize("strategy", FACE_STRATEGIES)
def test_masks_are_those_of_a_slow_reference(strategy):
    rng = np.random.default_rng(0)
    for number in range(500):
        grid = (2, 6, 6) if number % 10 else GRID
        regions = random_regions(rng, grid)
        order = keep_order(strategy, np.random.default_rng(number))
        expected = slow_candidates(regions, order, 0.1)
        found = {tuple(place) for place in np.argwhere(face_candidates(regions, order, 0.1)).tolist()}
        assert found == expected
        mask = draw_mask(strategy, grid, 0.9, np.random.default_rng(number), regions)
        assert mask.shape == (np.prod(grid),) and (~mask).sum() == np.prod(grid) // 10
        assert {tuple(place) for place in np.argwhere(~mask.reshape(grid)).tolist()} <= expected


def test_parts_are_hidden_first_and_seen_first_by_the_opposite():
    rng = np.random.default_rng(1)
    for number in range(50):
        regions = random_regions(rng)
        mask, other = (draw_mask(s, GRID, 0.9, np.random.default_rng(number), regions) for s in FACE_STRATEGIES)
        # Where background and skin are enough in every tubelet, no part is seen; and the other way round.
        face = ~np.isin(regions, (BACKGROUND, SKIN))
        if (face.mean(axis=(1, 2)) <= 0.9).all():
            assert mask[face.ravel()].all()
        if (face.mean(axis=(1, 2)) >= 0.1).all():
            assert other[~face.ravel()].all()


def test_the_order_of_the_parts_is_fair_and_alike_in_all_tubelets():
    orders = Counter(tuple(keep_order("fasking", np.random.default_rng([7, i]))[2:]) for i in range(12_000))
    expected = list(permutations([REGIONS.index(part) for part in PARTS]))
    assert set(orders) == set(expected) and len(expected) == 120
    assert chisquare([orders[order] for order in expected]).pvalue > 0.001
    assert keep_order("fasking", np.random.default_rng(0))[:2].tolist() == [BACKGROUND, SKIN]
    assert keep_order("opposite", np.random.default_rng(0))[5:].tolist() == [SKIN, BACKGROUND]
    # A face without background: all tubelets show skin and then the same part.
    regions = np.full(GRID, SKIN, np.uint8)
    regions[:, :, 1:] = np.array([REGIONS.index(PARTS[i % len(PARTS)]) for i in range(13)])
    seen = {tuple(np.unique(regions[t].ravel()[~m])) for t, m in enumerate(
        draw_mask("fasking", GRID, 0.5, np.random.default_rng(3), regions).reshape(8, -1))}  # fmt: skip
    shown = face_candidates(regions, keep_order("fasking", np.random.default_rng(3)), 0.5)
    assert (shown == shown[:1]).all() and set().union(*seen) == set(np.unique(regions[shown]))


@pytest.mark.parametrize("ratio", [0.5, 0.75, 0.9, 0.95])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_count_is_exact(strategy, ratio):
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = draw_mask(strategy, GRID, ratio, rng, random_regions(rng))
        assert mask.dtype == bool and (~mask).sum() == int(round(1568 * (1 - ratio), 6))


def test_tubes_frames_and_random_masks_have_their_shapes():
    rng = np.random.default_rng(0)
    shown = ~draw_mask("tube", GRID, 0.9, rng, None).reshape(8, -1)
    assert shown.any(axis=0).sum() == 20  # 156 of 8 x 20
    shown = ~draw_mask("frame", GRID, 0.75, rng, None).reshape(8, -1)
    assert sorted(shown.sum(axis=1)) == [0] * 6 + [196] * 2
    seen = np.mean([~draw_mask("random", GRID, 0.9, rng, None) for _ in range(2000)], axis=0)
    assert abs(seen - 156 / 1568).max() < 0.035  # five deviations of a binomial


@pytest.mark.parametrize(("tokens", "ratio"), [(1568, 0.0), (1568, 1.0), (9, 0.9), (1568, float("nan")), (16, 1.2)])
def test_a_ratio_that_hides_all_or_nothing_is_refused(tokens, ratio):
    with pytest.raises(ValueError, match=f"mask_ratio={ratio} .*tokens"):
        visible_tokens(tokens, ratio)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="mask_strategy='faces' is unknown: choose one of fasking"):
        MaskConfig(mask_strategy="faces")
    with pytest.raises(ValueError, match="needs to know where"):
        draw_mask("fasking", GRID, 0.9, np.random.default_rng(0), None)
    with pytest.raises(ValueError, match="hides all or nothing of the 4 tokens"):
        MaskConfig(num_frames=2, global_size=32)


def test_mirrored_clips_swap_left_and_right(prepared):
    stream = MaskStream(prepared_set(prepared), small(), 4, seed=0)
    _, row = next(iter(stream.blocks()))[0]
    points = np.asarray(row["landmarks"], np.float32)[:8]
    box = np.array([[-0.5, -0.5, 63.5, 63.5]])
    plain, mirrored = (token_regions(p, box, small()) for p in (points, flip_landmarks(points, 64)))
    swapped = {REGIONS.index(a): REGIONS.index(b) for a, b in (("left_eye", "right_eye"), ("right_eye", "left_eye"))}
    expected = np.vectorize(lambda code: swapped.get(code, code))(plain[:, :, ::-1])
    assert (mirrored == expected).mean() > 0.99 and (plain != mirrored).any()


def small(**settings):
    return MaskConfig(**{"num_frames": 8, "global_size": 64, "patch_size": 4, **settings})


def prepared_set(folder):
    from preface_hf.data.opening import open_prepared

    return open_prepared(folder)


def test_batches_are_drawn_from_seed_epoch_and_instance(prepared):
    data = prepared_set(prepared)
    one, other = (next(iter(MaskStream(data, small(flip_probability=0.5), 4, seed=0))) for _ in range(2))
    third = next(iter(MaskStream(data, small(flip_probability=0.5), 4, seed=1)))
    assert one.clips.shape == (4, 8, 3, 64, 64) and one.masks.shape == (4, 4 * 16 * 16)
    assert all((a == b).all() for a, b in zip(vars(one).values(), vars(other).values(), strict=True))
    assert (one.masks != third.masks).any()


def test_the_face_is_hidden_on_drawn_faces(prepared):
    """Eyes, nose, mouth and hair of the clip's own landmarks are hidden, as background and skin are enough."""
    stream = MaskStream(prepared_set(prepared), small(), 12, seed=0)
    for epoch, row in next(iter(stream.blocks())):
        _, mask = stream.sample(epoch, row)
        points = np.asarray(row["landmarks"], np.float32)
        start = (len(points) - 15) // 2  # frames differ by a pixel or so: any clip of the video serves
        regions = token_regions(points[start : start + 8], np.array([[-0.5, -0.5, 63.5, 63.5]]), small())
        middle = np.isin(regions, [REGIONS.index(part) for part in ("nose", "mouth")])
        assert middle.sum() > 20 and mask[middle.ravel()].mean() > 0.97


@pytest.mark.parametrize("landmarks", ["nan", "empty"])
def test_a_set_without_landmarks_names_the_masks_that_do_without(prepared, tmp_path, landmarks):
    data = write_some(prepared, tmp_path / "set", 5, landmarks)
    with pytest.raises(ValueError, match="set views.mask_strategy to tube, random or frame, or prepare the set"):
        next(iter(MaskStream(data, small(), 4, seed=0)))
    config = TubeMaskConfig(num_frames=8, global_size=64, patch_size=4)
    assert next(iter(MaskStream(data, config, 4, seed=0))).masks.shape == (4, 1024)
