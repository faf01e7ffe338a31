"""The order of a stream is a function of seed and position alone."""

from itertools import islice

import numpy as np
import pytest

from preface_hf.data.order import BLOCK, draws, rows_in_order, shares_of, spread_rows


UNEVEN = np.array([16, 3, 0, 16, 7, 1, 16, 16, 2, 16])


def order(count, *, counts=(UNEVEN,), weights=(1,), seed=0, window=32, position=0):
    return list(islice(draws(counts, shares_of(weights), seed, window, position), count))


def test_an_epoch_has_every_row_once():
    drawn = order(2 * 93)
    for epoch in range(2):
        found = {(draw.group, draw.row) for draw in drawn if draw.epoch == epoch}
        assert found == {(group, row) for group, rows in enumerate(UNEVEN) for row in range(rows)}
    assert [draw.epoch for draw in drawn] == [0] * 93 + [1] * 93
    assert [draw[3:] for draw in drawn[:93]] != [draw[3:] for draw in drawn[93:]]


@pytest.mark.parametrize("weights", [(1,), (1, 2.5), (3, 1, 1)])
def test_any_position_can_be_the_first(weights):
    counts = [UNEVEN, np.array([5]), np.array([1])][: len(weights)]
    whole = order(2500, counts=counts, weights=weights)
    for position in (0, 1, 92, 93, 999, 1000, 1001, 2345):
        assert order(50, counts=counts, weights=weights, position=position) == whole[position : position + 50]


def test_seeds_matter():
    assert order(93) == order(93) != order(93, seed=1)


def test_windows_are_of_neighboring_units_and_bounded():
    windows = {}
    for draw in order(93):
        windows.setdefault(draw.window, []).append(draw)
    assert len(windows) > 1 and max(len(rows) for rows in windows.values()) < 32 + 16
    owners = [window for window, rows in windows.items() for _ in {draw.group for draw in rows}]
    assert len(owners) == 9


@pytest.mark.parametrize("size", [8, 16, 64])
def test_every_run_is_spread_over_its_window(size):
    places = np.array([draw.place for draw in order(512, counts=[np.full(32, 16)], window=512)])
    assert sorted(places) == [number / 512 for number in range(512)]
    for start in range(0, 512 - size):
        run = np.sort(places[start : start + size])
        assert np.abs(run - (np.arange(size) + 0.5) / size).max() < 3 / size


def test_a_window_of_one_unit_is_shuffled():
    drawn = order(12 * 200, counts=[np.array([12])])
    first = np.bincount([draw.row for draw in drawn[::12]], minlength=12)
    assert first.min() > 4 and first.max() < 36


def test_the_rows_of_a_group_are_permuted():
    """What follows a row is not told by the row: the spread over the window alone would only turn their order."""
    rows = np.array([draw.row for draw in order(12 * 100, counts=[np.array([12])])]).reshape(100, 12)
    assert len(set((rows[:, 1] - rows[:, 0]) % 12)) == 11
    assert (np.sort(rows) == np.arange(12)).all()


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ([1], [1000]),
        ([1, 1, 1], [334, 333, 333]),
        ([2, 1], [667, 333]),
        ([1, 999], [1, 999]),
        ([1, 1e6], [0, 1000]),
    ],
)
def test_shares_are_weights_of_1000(weights, shares):
    assert shares_of(weights).tolist() == shares


def test_every_1000_draws_have_the_shares():
    sets = np.array([draw.set for draw in order(3000, counts=[UNEVEN, np.array([9, 9])], weights=(1, 3))])
    blocks = sets.reshape(3, BLOCK)
    assert blocks.sum(axis=1).tolist() == [750] * 3
    assert (blocks[0] != blocks[1]).any()


def test_units_are_counted_over_all_sets():
    counts = [UNEVEN, np.array([9, 9])]
    drawn = order(1000, counts=counts, weights=(1, 1))
    assert {draw.group for draw in drawn if draw.set == 1} == {10, 11}
    stored = list(rows_in_order(counts, np.arange(111)))
    assert [(draw.group, draw.row) for draw in stored] == [
        (group, row) for group, rows in enumerate(np.concatenate(counts)) for row in range(rows)
    ]


def test_rows_are_spread_group_by_group():
    counts = [np.full(40, 5), np.full(60, 5)]
    rows = spread_rows(counts)
    assert sorted(rows.tolist()) == [*range(500)]
    assert all((rows[i : i + 5] == np.arange(rows[i], rows[i] + 5)).all() for i in range(0, 500, 5))
    assert 0.25 < (rows[:100] < 200).mean() < 0.55  # the first set holds two of five rows
    assert sorted(spread_rows(counts, first=488).tolist()) == [*range(488, 500)]
