"""What a FaceFeat Cache costs a step, in memory and in a file, and to fill, save, restore and query it.

    OMP_NUM_THREADS=1 python benchmarks/cache.py FOLDER [PLACE:INSTANCES:WIDTH ...]

PLACE is `host` (memory) or `disk` (a mapped file in FOLDER, deleted afterwards). Prints milliseconds, the median of 30
and their quartiles; the loss is that of 9 views of 32 clips with its gradient. A file is measured first with nothing
of it in memory, then with as much as a query has left there. What would leave less than 20 GB free is left out.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from preface_hf import FaceFeatCache
from preface_hf.objectives.losses import instance_loss


CASES = ["host:100000:256", "host:1000000:256", "host:10000000:256", "disk:10000000:256", "disk:100000000:128"]
BLOCK = 16_384  # rows that the run fills at once
SPARE = 20 * 10**9
VIEWS, CLIPS, TEMPERATURE = 9, 32, 0.07


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def spread(name: str, call: Callable[[], Callable[[], object]], times: int = 30) -> None:
    """Time what `call` returns; what it needs it makes before."""
    taken = [1000 * seconds(call()) for _ in range(times)]
    low, middle, high = statistics.quantiles(taken, n=4)
    print(f"  {name}: {middle:.2f} ms ({low:.2f} to {high:.2f})", flush=True)


def fill(cache: FaceFeatCache) -> None:
    features = torch.randn(BLOCK, cache.entries.shape[1])
    for start in range(0, len(cache), BLOCK):
        ids = torch.arange(start, min(start + BLOCK, len(cache)))
        cache.fill(ids, features[: len(ids)].roll(start // BLOCK, dims=1))


def steps(cache: FaceFeatCache, rng: np.random.Generator) -> None:
    def ids(count: int) -> torch.Tensor:
        return torch.from_numpy(rng.integers(len(cache), size=count))

    def lookup(count: int) -> Callable[[], object]:
        wanted = ids(count)
        return lambda: cache.lookup(wanted)

    def negatives(count: int) -> Callable[[], object]:
        cache.num_negatives, step = count, int(rng.integers(2**31))
        return lambda: cache.negatives(0, step)

    def update(count: int) -> Callable[[], object]:
        seen, features = ids(count), torch.randn(count, cache.entries.shape[1])
        return lambda: cache.update(seen, features)

    for count in (256, 1024):
        spread(f"lookup of {count}", lambda count=count: lookup(count))
    for count in (4096, 16_384):
        spread(f"{count} negatives", lambda count=count: negatives(count))
    for count in (256, 1024, 8192):
        spread(f"update of {count}", lambda count=count: update(count))


def loss(cache: FaceFeatCache, count: int) -> Callable[[], object]:
    cache.num_negatives = count
    seen = torch.arange(CLIPS)
    positives, (ids, entries) = cache.lookup(seen), cache.negatives(0, 0)
    features = torch.randn(VIEWS, CLIPS, cache.entries.shape[1], requires_grad=True)
    return lambda: instance_loss(features, seen, positives, entries, ids, TEMPERATURE).mean().backward()


def save_and_restore(cache: FaceFeatCache, folder: Path) -> None:
    """As a checkpoint does it."""
    file = folder / "saved"
    if shutil.disk_usage(folder).free - cache.entries.nbytes < SPARE:
        print("  save and restore: no room for a copy")
        return
    if cache.mapped:
        write, read = (lambda: cache.mapped.save(file)), (lambda: cache.mapped.restore(file))
    else:
        write = lambda: torch.save(cache.state_dict(), file)  # noqa: E731
        read = lambda: cache.load_state_dict(torch.load(file, map_location="cpu"))  # noqa: E731
    try:
        print(f"  save {seconds(write):.1f} s, onto the disk {seconds(lambda: sync(file)):.1f} s more")
        print(f"  restore {seconds(read):.1f} s", flush=True)
    finally:
        file.unlink(missing_ok=True)


def sync(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def forget(cache: FaceFeatCache) -> None:
    """Leave nothing of a mapped file in memory."""
    import mmap

    cache.mapped.memory.flush()
    cache.mapped.memory.madvise(mmap.MADV_DONTNEED)
    os.posix_fadvise(cache.mapped.file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(place: str, instances: int, width: int, folder: Path) -> None:
    print(f"{place}, {instances:,} instances, width {width}: {2 * instances * width / 1e9:.2f} GB", flush=True)
    if place == "disk" and shutil.disk_usage(folder).free - 2 * instances * width < SPARE:
        print("  left out: no room")
        return
    rng = np.random.default_rng(0)
    cache = FaceFeatCache(instances, width, folder=folder if place == "disk" else None)
    print(f"  fill {seconds(lambda: fill(cache)):.1f} s", flush=True)
    if cache.mapped:
        print(f"  nothing in memory (put out of it in {seconds(lambda: forget(cache)):.1f} s):")
    steps(cache, rng)
    queries = cache.lookup(torch.from_numpy(rng.integers(instances, size=16)))
    print(f"  10 neighbours of 16 {seconds(lambda: cache.neighbours(queries, 10)):.1f} s", flush=True)
    if cache.mapped:
        print("  after that:")
        steps(cache, rng)
    for count in (4096, 16_384):
        spread(f"loss with {count} negatives", lambda count=count: loss(cache, count))
    save_and_restore(cache, folder)


def main(folder: str, *cases: str) -> None:
    for case in cases or CASES:
        place, instances, width = case.split(":")
        measure(place, int(instances), int(width), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
