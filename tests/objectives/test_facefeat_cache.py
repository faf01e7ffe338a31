"""The FaceFeat Cache against a dictionary that is updated row by row."""

import math
import sys

import pytest
import torch

from preface_hf import FaceFeatCache
from preface_hf.objectives.cache.facefeat_cache import count_filled, rounds
from preface_hf.objectives.cache.mapped import copy_bytes, saved_rows


def unit(values):
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


@pytest.mark.parametrize(("instances", "size", "batch"), [(1, 2, 1), (5, 3, 4), (40, 16, 64)])
def test_fill_and_update_agree_with_a_loop(instances, size, batch):
    generator = torch.Generator().manual_seed(instances)
    cache = FaceFeatCache(instances, size, momentum=0.6, dtype=torch.float32)
    first = torch.randn(instances, size, generator=generator)
    cache.fill(torch.arange(instances), first)
    slow = {i: unit(first[i].tolist()) for i in range(instances)}
    for _ in range(3):
        ids = torch.randint(instances, (batch,), generator=generator)  # instances repeat within the batch
        features = torch.randn(batch, size, generator=generator)
        cache.update(ids, features)
        for i, z in zip(ids.tolist(), features.tolist(), strict=True):
            slow[i] = unit([0.6 * m + 0.4 * new for m, new in zip(slow[i], unit(z), strict=True)])
    expected = torch.tensor([slow[i] for i in range(instances)])
    torch.testing.assert_close(cache.entries, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ids", [[], [3], [4, 4, 4], [5, 1, 5, 2, 1, 5], [2, 1, 0]])
def test_rounds_take_the_rows_of_an_instance_in_order(ids):
    expected: list[list[int]] = []
    for row, instance in enumerate(ids):
        number = ids[:row].count(instance)
        expected += [[]] * (number + 1 - len(expected))
        expected[number] = [*expected[number], row]
    assert [rows.tolist() for rows in rounds(torch.tensor(ids, dtype=torch.long))] == expected


def work(cache, device="cpu"):
    """Some steps of a cache of 50 entries of width 8; what they read, and the entries in the end."""
    generator = torch.Generator().manual_seed(0)
    cache.fill(torch.arange(50, device=device), torch.randn(50, 8, generator=generator).to(device))
    read = []
    for step in range(5):
        ids = torch.randint(50, (20,), generator=generator).to(device)
        cache.update(ids, torch.randn(20, 8, generator=generator).to(device))
        read += [cache.lookup(ids), *cache.negatives(1, step, ids.device)]
    assert {tensor.device for tensor in read} == {ids.device}
    return [*read, cache.entries]


def test_entries_in_a_file_are_the_same_bits(tmp_path):
    in_memory, in_file = (FaceFeatCache(50, 8, num_negatives=16, folder=folder) for folder in (None, tmp_path))
    for one, other in zip(work(in_memory), work(in_file), strict=True):
        assert torch.equal(one, other)


def test_a_file_is_saved_and_restored_and_leaves_nothing(tmp_path):
    cache, other = (FaceFeatCache(3000, 8, folder=tmp_path) for _ in range(2))
    assert not list(tmp_path.iterdir()) and not cache.state_dict()
    cache.fill(torch.arange(3000), torch.randn(3000, 8))
    cache.mapped.save(tmp_path / "saved")
    assert (tmp_path / "saved").stat().st_size == 2 * 3000 * 8
    before = cache.entries.clone()
    cache.update(torch.tensor([5, 2999]), torch.randn(2, 8))
    other.fill(torch.arange(3000), torch.randn(3000, 8))
    for restored in (cache, other):
        restored.mapped.restore(tmp_path / "saved")
        assert torch.equal(restored.entries, before)
    assert torch.equal(saved_rows(tmp_path / "saved", 8, torch.bfloat16), before)
    with pytest.raises(ValueError, match="saved has 48000 bytes where 47984 are needed"):
        FaceFeatCache(2999, 8, folder=tmp_path).mapped.restore(tmp_path / "saved")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_system_is_told_that_rows_are_read_at_random(tmp_path):
    cache = FaceFeatCache(3000, 8, folder=tmp_path)
    place, flags = cache.entries.data_ptr(), None
    with open("/proc/self/smaps", encoding="utf-8") as areas:
        for line in areas:
            if (first := line.split()[0]).count("-") == 1 and not first.endswith(":"):
                begin, end = (int(number, 16) for number in first.split("-"))
            elif first == "VmFlags:" and begin <= place < end:
                flags = line.split()[1:]
    assert flags is not None and "rr" in flags  # MADV_RANDOM


def test_a_cut_off_copy_is_noticed(tmp_path):
    (tmp_path / "short").write_bytes(bytes(100))
    complaint = pytest.raises(OSError, match="ends after 100 of 200 bytes")
    with (tmp_path / "short").open("rb") as source, (tmp_path / "copy").open("wb") as target, complaint:
        copy_bytes(source.fileno(), target.fileno(), 200)


def test_bytes_are_copied_where_the_system_has_no_call_for_it(tmp_path, monkeypatch):
    monkeypatch.delattr("os.copy_file_range", raising=False)
    content = torch.randint(256, (20_000_000,), dtype=torch.uint8).numpy().tobytes()
    (tmp_path / "source").write_bytes(content)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "copy").open("wb") as target:
        copy_bytes(source.fileno(), target.fileno(), len(content))
    assert (tmp_path / "copy").read_bytes() == content


def test_a_file_that_finds_no_room_is_refused(tmp_path):
    with pytest.raises(OSError, match="a file of 1152921504.6 GB finds no room in"):
        FaceFeatCache(2**57, 4, folder=tmp_path)


@pytest.mark.parametrize("on_disk", [False, True])
def test_neighbors_are_those_of_a_full_sort(tmp_path, on_disk):
    cache = FaceFeatCache(101, 6, dtype=torch.float32, folder=tmp_path if on_disk else None)
    cache.fill(torch.arange(101), torch.randn(101, 6, generator=torch.Generator().manual_seed(0)))
    queries = 3 * cache.lookup(torch.tensor([100, 7]))
    cosines = torch.nn.functional.cosine_similarity(queries[:, None], cache.entries, dim=-1)
    expected, order = cosines.sort(descending=True)
    for k, block in ((1, 200), (5, 3), (9, 100), (150, 10)):
        ids, similarities = cache.neighbors(queries, k, block)
        assert torch.equal(ids, order[:, :k])
        torch.testing.assert_close(similarities, expected[:, :k])
    assert ids[:, 0].tolist() == [100, 7]
    with pytest.raises(ValueError, match="k=0 neighbors"):
        cache.neighbors(queries, 0)


def test_only_the_instances_that_are_seen_change():
    cache = FaceFeatCache(10, 4)
    cache.fill(torch.arange(10), torch.randn(10, 4))
    before = cache.entries.clone()
    cache.update(torch.tensor([2, 7]), torch.randn(2, 4))
    changed = (cache.entries != before).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [2, 7]


def test_negatives_are_all_entries_of_a_small_cache():
    cache = FaceFeatCache(6, 4, num_negatives=6)
    ids, entries = cache.negatives(seed=0, step=0)
    assert ids.tolist() == list(range(6))
    assert entries.data_ptr() != cache.entries.data_ptr()


def test_negatives_of_a_large_cache_are_drawn_from_seed_and_step():
    cache = FaceFeatCache(1000, 4, num_negatives=16)
    cache.fill(torch.arange(1000), torch.randn(1000, 4))
    ids, entries = cache.negatives(seed=3, step=5)
    again, _ = cache.negatives(seed=3, step=5)
    other, _ = cache.negatives(seed=3, step=6)
    assert ids.tolist() == again.tolist() != other.tolist()
    assert entries.shape == (16, 4) and torch.equal(entries, cache.entries[ids])


def test_entries_cost_two_bytes_a_number_and_survive_saving():
    cache = FaceFeatCache(100, 8)
    cache.fill(torch.arange(100), torch.randn(100, 8))
    assert cache.entries.nbytes == 2 * 100 * 8
    other = FaceFeatCache(100, 8)
    other.load_state_dict(cache.state_dict())
    assert torch.equal(other.entries, cache.entries)


@pytest.mark.parametrize("wrong", [-1, 5])
def test_an_unknown_instance_is_named(wrong):
    with pytest.raises(ValueError, match=f"instance_id {wrong} .* of 5"):
        FaceFeatCache(5, 4).update(torch.tensor([0, wrong]), torch.randn(2, 4))


def test_an_empty_cache_is_refused():
    with pytest.raises(ValueError, match="0 instances"):
        FaceFeatCache(0, 4)


def test_the_first_empty_entry_is_found_in_any_block():
    entries = torch.nn.functional.normalize(torch.randn(50, 4), dim=1)
    assert count_filled(entries, block=8) == 50
    for empty in (0, 7, 8, 21, 49):
        some = entries.clone()
        some[[empty, 49]] = 0
        assert count_filled(some, block=8) == empty
