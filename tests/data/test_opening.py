"""What is opened, alone or by weight, and what is refused."""

import pytest

from preface_hf.data.opening import open_mixture, open_prepared, open_splits
from preface_hf.features.encoders import load_encoder
from preface_hf.features.labeled import open_split
from tests.data.rows import write_rows


def test_splits_and_their_rows(prepared):
    sets = open_splits(prepared)
    assert list(sets) == ["train", "test"]
    assert [(data.num_rows, data.counts.tolist()) for data in sets.values()] == [(12, [12])] * 2


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_folder_without_a_set_is_refused(tmp_path, name):
    for refuses in (open_prepared, open_mixture, open_splits):
        with pytest.raises(ValueError, match="preface-hf prepare"):
            refuses(tmp_path / name)


def test_sets_by_weight(prepared, tmp_path):
    other = write_rows(tmp_path / "other", 40)
    alone = open_mixture(prepared)
    assert (alone.num_rows, alone.shares.tolist()) == (12, [1000])
    both = open_mixture({str(other): 1, str(prepared): 0.25})
    assert (both.num_rows, both.shares.tolist()) == (52, [800, 200])
    assert both.reader().first_ids.tolist() == [0, 0, 0, 40]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": 1, "b": -2}, "weight -2 of 'b' is no positive number"),
        ({"a": 0, "b": 1}, "weight 0 of 'a'"),
        ({"a": float("nan")}, "weight nan of 'a'"),
        ({"a": "much"}, "weight 'much' of 'a'"),
        ({"a": True}, "weight True of 'a'"),
        ({"a": 1, "a/": 1}, "'a' is given twice"),
        ({"a": 1, "b": 1e-9}, "weight 1e-09 of 'b' is less than one of 1000 draws"),
    ],
)
def test_weights_that_do_not_fit_are_named(weights, message):
    with pytest.raises(ValueError, match=message):
        open_mixture(weights)


def test_a_missing_set_among_several_is_named(prepared, tmp_path):
    with pytest.raises(ValueError, match="cannot open split 'train' of .*nowhere"):
        open_mixture({str(prepared): 1, str(tmp_path / "nowhere"): 1})


@pytest.mark.parametrize("name", ["nowhere", "./nowhere", "/no/where", "a/b/c"])
def test_a_path_where_nothing_lies_is_not_asked_of_the_hub(name, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a network was asked"))
    for door in (
        open_prepared,
        open_splits,
        open_mixture,
        load_encoder,
        lambda path: open_split(path, "train", "label", None),
    ):
        with pytest.raises(ValueError, match=rf"cannot open .*'{name}' .*there is no such folder"):
            door(name)
