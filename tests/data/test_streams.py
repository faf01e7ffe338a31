"""A stream goes on exactly from where it is started, and reads no more than it needs."""

from dataclasses import replace
from itertools import islice

import pytest
import torch

from preface_hf.data import row_groups, streams
from preface_hf.data.opening import Mixture, as_mixture, open_prepared
from preface_hf.data.order import shares_of
from preface_hf.data.streams import PlainClips, ViewStream
from preface_hf.data.views import ViewConfig
from preface_hf.data.workers import loader
from tests.data.rows import write_rows


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
    loaded = list(islice(loader(stream, 2), 4))
    assert all(same(one, other) for one, other in zip(direct, loaded, strict=True))


def test_tubes_of_several_speeds_come_from_seed_epoch_and_instance(data):
    config = replace(VIEWS, global_rates=[1, 4], local_rates=[2, 3])
    stream = ViewStream(data, config, batch_size=4, seed=2)
    whole, late = list(islice(stream, 3)), next(iter(ViewStream(data, config, batch_size=4, seed=2, start=2)))
    assert same(whole[2], late) and whole[0].small_tubes.shape == (4, 7, 4, 3, 16, 16)
    [(_, row)] = next(ViewStream(data, config, batch_size=1, seed=2).blocks())
    assert not torch.equal(stream.views(0, row).global_tubes, stream.views(1, row).global_tubes)


def test_starting_later_skips_exactly(data):
    whole = list(islice(ViewStream(data, VIEWS, batch_size=5, seed=2), 6))
    late = list(islice(ViewStream(data, VIEWS, batch_size=5, seed=2, start=4), 2))
    assert same(whole[4], late[0]) and same(whole[5], late[1])


def test_two_processes_share_the_global_batch(data):
    whole = ids(islice(ViewStream(data, VIEWS, batch_size=6, seed=3), 3))
    halves = [ids(islice(ViewStream(data, VIEWS, batch_size=3, seed=3, rank=r, world=2), 3)) for r in range(2)]
    assert whole == [left + right for left, right in zip(*halves, strict=True)]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A set of 32 row groups of 16 rows and one of 5, which are not decoded."""
    return open_prepared(write_rows(tmp_path_factory.mktemp("many"), 517))


@pytest.fixture
def read(monkeypatch):
    """The row groups that are read, in order."""
    groups, whole = [], row_groups.read_group
    monkeypatch.setattr(row_groups, "read_group", lambda opened, group: groups.append(group) or whole(opened, group))
    return groups


def undecoded(data, size, batches, **options):
    stream = ViewStream(data, VIEWS, size, seed=5, **options)
    return [[int(row["instance_id"]) for _, row in block] for block in islice(stream.blocks(), batches)]


@pytest.mark.parametrize("start", [1, 7, 32, 64, 65])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_a_start_is_exact_for_every_process(many, start, world):
    whole = undecoded(many, 16, start + 3)
    for rank in range(world):
        mine = undecoded(many, 16 // world, 3, start=start, rank=rank, world=world, window=512)
        assert mine == [batch[rank * 16 // world :][: 16 // world] for batch in whole[start:]]


@pytest.mark.parametrize("world", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_a_start_is_exact_with_loading_processes(data, world):
    options = {"batch_size": 2, "seed": 6, "rank": world - 1, "world": world}
    whole = list(islice(ViewStream(data, VIEWS, **options), 6))
    late = list(islice(loader(ViewStream(data, VIEWS, start=3, **options), 2), 3))
    assert all(same(one, other) for one, other in zip(whole[3:], late, strict=True))


def test_every_row_group_is_read_once_an_epoch(many, read):
    undecoded(many, 47, 11)
    assert sorted(read) == list(range(33))


def test_a_start_in_the_middle_reads_nothing_before(many, read):
    batches = list(islice(ViewStream(many, VIEWS, 8, seed=5, window=128).batches(), 64))
    for start in (1, 15, 36, 63):
        read.clear()
        undecoded(many, 8, 1, start=start, window=128)
        assert sorted(read) == sorted({draw.group for draw in batches[start]})
    read.clear()
    undecoded(many, 8, 1, start=10**7, window=128)
    assert len(read) <= 8


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_read_parts_of_their_own(many, read, world):
    total = 0
    for rank in range(world):
        undecoded(many, 16, 512 // 16 // world, rank=rank, world=world)
        assert len(read) <= 33 / world + 4
        total += len(read)
        read.clear()
    assert 32 <= total <= 40


def test_windows_keep_memory_bounded(many):
    stream = ViewStream(many, VIEWS, 8, seed=0, window=64)
    reader = as_mixture(many).reader()
    for mine in islice(stream.batches(), 100):
        reader.rows(mine)
        assert len(reader.tables) <= 2 * 64 / 16 + 1


def test_plain_clips_cover_the_set_once(data):
    found = list(PlainClips(data, VIEWS, batch_size=5))
    assert sum((part.tolist() for part, _ in found), []) == list(range(12))
    assert found[0][1].shape == (5, 4, 3, 32, 32)
    parts = [torch.cat([part for part, _ in PlainClips(data, VIEWS, 2, rank, 5)]).tolist() for rank in range(5)]
    assert parts == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11], [11, 11, 11]]
    new = [torch.cat([part for part, _ in PlainClips(data, VIEWS, 2, rank, 2, first=7)]).tolist() for rank in (0, 1)]
    assert new == [[7, 8, 9], [10, 11, 11]]


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_plain_clips_do_not_depend_on_loading_processes(data, workers):
    clips = PlainClips(data, VIEWS, batch_size=5)
    for (ids, here), (others, there) in zip(clips, loader(clips, workers), strict=True):
        assert torch.equal(ids, others) and torch.equal(here, there)


def test_plain_clips_read_their_part(many, read, monkeypatch):
    monkeypatch.setattr(streams, "read_frames", lambda row, indices: (torch.zeros(4, 32, 32, 3).byte().numpy(), None))
    assert len(list(PlainClips(many, VIEWS, 64, rank=1, world=4))) == 3
    assert len(read) == len(set(read)) <= 10  # 130 rows of row groups of 16


def test_a_mixture_has_a_slot_for_every_row(data, many):
    both = Mixture([many, data], shares_of([1, 3]))
    drawn = sum(undecoded(both, 50, 20), [])
    assert both.num_rows == 529 and sum(number >= 517 for number in drawn) == 750
    assert {number for number in drawn if number >= 517} == set(range(517, 529))
    assert undecoded(both, 50, 3, start=17) == undecoded(both, 50, 20)[17:]
    halves = [undecoded(both, 25, 20, rank=rank, world=2) for rank in range(2)]
    assert sum((one + other for one, other in zip(*halves, strict=True)), []) == drawn


def test_a_mixture_is_decoded_row_by_row(data):
    both = Mixture([data, data], shares_of([1, 1]))
    batch = next(iter(ViewStream(both, VIEWS, batch_size=24, seed=0)))
    assert batch.instance_ids.max() >= 12 > batch.instance_ids.min()
    clips = list(PlainClips(both, VIEWS, batch_size=12))
    assert torch.equal(clips[0][0] + 12, clips[1][0]) and torch.equal(clips[0][1], clips[1][1])


@pytest.mark.parametrize("rows", [1, 3])
def test_a_set_smaller_than_a_batch_goes_on_for_ever(tmp_path, rows):
    batches = undecoded(open_prepared(write_rows(tmp_path, rows)), 4, 5 * rows)
    assert sorted(sum(batches, [])) == sorted([*range(rows)] * 20)
