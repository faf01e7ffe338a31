"""The FaceFeat Cache against a dictionary that is updated row by row."""

import math

import pytest
import torch

from preface_hf import FaceFeatCache


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
