"""What a FaceFeat Cache costs a step, in memory and in a file, and to fill, save, restore and query it.

    OMP_NUM_THREADS=1 python benchmarks/cache.py FOLDER [PLACE:INSTANCES:WIDTH ...]

PLACE is `host` (memory) or `disk` (a mapped file in FOLDER, deleted afterwards). Prints milliseconds, the median of 20
with quartiles, and of them the CPU's; the loss is that of 9 views of 32 clips with its gradient. Of a file
nothing is in memory at first. What would leave less than 20 GB of the disk free is left out, and neighbors are asked
of 10 million instances at most.
"""

from __future__ import annotations

import mmap
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from preface_hf import FaceFeatCache
from preface_hf.objectives.losses import instance_loss


CASES = ["host:100000:256", "host:1000000:256", "host:10000000:256", "disk:10000000:256", "disk:100000000:128"]
BLOCK = 16_384  # rows that the run fills at once
SPARE = 20 * 10**9
MOST_QUERIED = 10**7
VIEWS, CLIPS, TEMPERATURE = 9, 32, 0.07


def spread(name: str, call: Callable[[], Callable[[], object]], times: int = 20) -> None:
    """Time what `call` returns; what it needs it makes before."""
    wall, cpu = [], []
    for _ in range(times):
        work, started, spent = call(), time.perf_counter(), time.process_time()
        work()
        wall.append(1000 * (time.perf_counter() - started))
        cpu.append(1000 * (time.process_time() - spent))
    low, middle, high = statistics.quantiles(wall, n=4)
    print(f"  {name}: {middle:.2f} ms ({low:.2f} to {high:.2f}), {statistics.median(cpu):.2f} of the CPU", flush=True)


def once(name: str, work: Callable[[], object]) -> None:
    started, spent = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - started, time.process_time() - spent
    print(f"  {name}: {wall:.1f} s, {cpu:.1f} of the CPU", flush=True)


def write_all(cache: FaceFeatCache) -> None:
    """Unit vectors into all entries; into a file straight to the disk, so that nothing of it is in memory."""
    block = normalize(torch.randn(BLOCK, cache.entries.shape[1]), dim=-1).to(cache.entries.dtype)
    if not cache.mapped:
        for start in range(0, len(cache), BLOCK):
            cache.entries[start : start + BLOCK] = block[: len(cache) - start]
        return
    content = block.view(torch.uint8).numpy().tobytes()
    buffer = mmap.mmap(-1, len(content))  # in whole pages, as the disk wants them
    buffer[:] = content
    file = os.open(f"/proc/self/fd/{cache.mapped.file.fileno()}", os.O_RDWR | os.O_DIRECT)
    size = cache.entries.nbytes
    for start in range(0, size, len(buffer)):
        os.pwritev(file, [memoryview(buffer)[: size - start]], start)
    os.close(file)


def fill(cache: FaceFeatCache) -> None:
    for start in range(0, 5 * BLOCK, BLOCK):
        cache.fill(torch.arange(start, start + BLOCK), torch.randn(BLOCK, cache.entries.shape[1]))


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
    try:
        if cache.mapped:
            once("save", lambda: cache.mapped.save(file))
            once("onto the disk", lambda: sync(file))
            once("restore", lambda: cache.mapped.restore(file))
        else:
            once("save", lambda: torch.save(cache.state_dict(), file))
            once("onto the disk", lambda: sync(file))
            once("restore", lambda: cache.load_state_dict(torch.load(file, map_location="cpu")))
    finally:
        file.unlink(missing_ok=True)


def sync(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def measure(place: str, instances: int, width: int, folder: Path) -> None:
    print(f"{place}, {instances:,} instances, width {width}: {2 * instances * width / 1e9:.2f} GB", flush=True)
    if place == "disk" and shutil.disk_usage(folder).free - 2 * instances * width < SPARE:
        print("  left out: no room")
        return
    rng = np.random.default_rng(0)
    cache = FaceFeatCache(instances, width, folder=folder if place == "disk" else None)
    once(f"fill {5 * BLOCK} entries", lambda: fill(cache))
    once("write all", lambda: write_all(cache))
    steps(cache, rng)
    save_and_restore(cache, folder)
    if instances <= MOST_QUERIED:
        queries = cache.lookup(torch.from_numpy(rng.integers(instances, size=16)))
        once("10 neighbors of 16", lambda: cache.neighbors(queries, 10))


def main(folder: str, *cases: str) -> None:
    for case in cases or CASES:
        place, instances, width = case.split(":")
        measure(place, int(instances), int(width), Path(folder))
    for count in (4096, 16_384):
        cache = FaceFeatCache(20_000, 256, num_negatives=count)
        spread(f"loss with {count} negatives", lambda cache=cache, count=count: loss(cache, count), times=5)


if __name__ == "__main__":
    main(*sys.argv[1:])
