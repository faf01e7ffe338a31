"""How fast is a stream read, and how soon does it start? Row groups only: nothing is decoded.

    OMP_NUM_THREADS=1 python benchmarks/streams.py [ROWS] [KILOBYTES]

Makes a prepared set of ROWS rows (20000) with videos of KILOBYTES (10) of noise in a temporary folder. Prints rows per
second of 1 process alone and of each of 4 (one after the other), how many row groups each read in an epoch, and the
time to the first batch at position 0 and in the middle.
"""

from __future__ import annotations

import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np

from preface_hf.data import row_groups
from preface_hf.data.opening import open_prepared
from preface_hf.data.shards import prepared_features, write_shards
from preface_hf.data.streams import ViewStream
from preface_hf.data.views import ViewConfig


BATCH = 32  # rows of a global batch
FRAMES = 16


def write_noise(folder: Path, rows: int, size: int) -> None:
    rng = np.random.default_rng(0)
    row = {"landmarks": np.zeros((FRAMES, 68, 2), np.float32), "fps": 25.0, "num_frames": FRAMES, "source": ""}
    row |= {"start_seconds": 0.0, "track": 0, "quality": 1.0}
    videos = ({"instance_id": i, "video": {"bytes": rng.bytes(size), "path": None}} for i in range(rows))
    (folder / "data").mkdir()
    write_shards(folder / "data", "train", ({**row, **video} for video in videos), prepared_features({}))


def main(rows: str = "20000", kilobytes: str = "10") -> None:
    with tempfile.TemporaryDirectory() as name:
        write_noise(Path(name), int(rows), 1000 * int(kilobytes))
        started = time.perf_counter()
        data = open_prepared(name)
        print(
            f"{data.num_rows} rows in {len(data.groups)} row groups, opened in {time.perf_counter() - started:.2f} s"
        )
        read: list[int] = []
        whole = row_groups.read_group
        row_groups.read_group = lambda opened, group: read.append(group) or whole(opened, group)
        for world in (1, 4):
            for rank in range(world):
                read.clear()
                stream = ViewStream(data, ViewConfig(), BATCH // world, seed=0, rank=rank, world=world)
                started, batches = time.perf_counter(), data.num_rows // BATCH
                count = sum(len(block) for block in islice(stream.blocks(), batches))
                seconds = time.perf_counter() - started
                print(
                    f"process {rank} of {world}: {count / seconds:.0f} rows/s of its own, "
                    f"{BATCH * batches / seconds:.0f} of all; {len(read)} row groups read"
                )
        for start in (0, data.num_rows // BATCH // 2):
            read.clear()
            started = time.perf_counter()
            next(ViewStream(data, ViewConfig(), BATCH, seed=0, start=start).blocks())
            seconds = time.perf_counter() - started
            print(f"first batch at {start}: {1000 * seconds:.0f} ms, {len(read)} row groups read")


if __name__ == "__main__":
    main(*sys.argv[1:])
