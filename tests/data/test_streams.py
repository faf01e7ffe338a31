"""The order of a stream is a function of seed and position alone."""

from itertools import islice

import pytest
import torch
from datasets import Dataset

from preface_hf.data.streams import ViewStream, open_prepared, plain_clips, shuffled_rows, view_loader
from preface_hf.data.views import ViewConfig


VIEWS = ViewConfig(num_frames=4, global_size=32, num_local=2, local_size=16)


def ids(batches):
    return [batch.instance_ids.tolist() for batch in batches]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))


@pytest.fixture(scope="module")
def data(prepared):
    return open_prepared(prepared)


def test_an_epoch_holds_every_instance_once(data):
    stream = ViewStream(data, VIEWS, batch_size=4, seed=0)
    first, second = ids(islice(stream, 3)), ids(islice(stream, 3, 6))
    assert data.num_rows == 12
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == list(range(12))
    assert first != second


def test_batches_do_not_depend_on_the_loading_processes(data):
    stream = ViewStream(data, VIEWS, batch_size=5, seed=1, start=1)
    direct = list(islice(stream, 4))
    for workers in (1, 2):
        loaded = list(islice(view_loader(stream, workers), 4))
        assert all(same(one, other) for one, other in zip(direct, loaded, strict=True))


def test_starting_later_skips_exactly(data):
    whole = list(islice(ViewStream(data, VIEWS, batch_size=5, seed=2), 6))
    late = list(islice(ViewStream(data, VIEWS, batch_size=5, seed=2, start=4), 2))
    assert same(whole[4], late[0]) and same(whole[5], late[1])


def test_two_processes_share_the_global_batch(data):
    whole = ids(islice(ViewStream(data, VIEWS, batch_size=6, seed=3), 3))
    halves = [ids(islice(ViewStream(data, VIEWS, batch_size=3, seed=3, rank=r, world=2), 3)) for r in range(2)]
    assert whole == [left + right for left, right in zip(*halves, strict=True)]


def test_windows_keep_memory_bounded_and_lose_nothing(tmp_path):
    for shard in range(3):
        Dataset.from_dict({"instance_id": list(range(10 * shard, 10 * shard + 10))}).to_parquet(
            tmp_path / f"{shard}.parquet"
        )
    rows = Dataset.from_parquet([str(tmp_path / f"{shard}.parquet") for shard in range(3)]).to_iterable_dataset(3)
    order = [row["instance_id"] for row in shuffled_rows(rows, seed=0, epoch=0, window=4)]
    assert sorted(order) == list(range(30))
    assert order != sorted(order)
    for start in range(0, 30, 4):
        for shard in range(3):
            rows_of_shard = [n for n in order[start : start + 4] if n // 10 == shard]
            assert not rows_of_shard or max(rows_of_shard) - min(rows_of_shard) == len(rows_of_shard) - 1
    assert order == [row["instance_id"] for row in shuffled_rows(rows, seed=0, epoch=0, window=4)]
    assert order != [row["instance_id"] for row in shuffled_rows(rows, seed=0, epoch=1, window=4)]


def test_plain_clips_cover_the_set_once(data):
    found = list(plain_clips(data, VIEWS, batch_size=5))
    assert sum((part.tolist() for part, _ in found), []) == list(range(12))
    assert found[0][1].shape == (5, 4, 3, 32, 32)
    halves = [torch.cat([part for part, _ in plain_clips(data, VIEWS, 5, rank, 2)]).tolist() for rank in range(2)]
    assert halves == [list(range(0, 12, 2)), list(range(1, 12, 2))]


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_folder_without_a_set_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="preface-hf prepare"):
        open_prepared(tmp_path / name)
