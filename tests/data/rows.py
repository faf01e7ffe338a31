"""Prepared sets of rows that nobody decodes."""

from pathlib import Path

import numpy as np

from preface_hf.data.shards import prepared_features, write_shards


def write_rows(folder: Path, count: int) -> Path:
    """A prepared set of `count` rows of one frame, whose videos are no videos; returns its folder."""
    (folder / "data").mkdir(parents=True)
    write_shards(folder / "data", "train", (row(number) for number in range(count)), prepared_features({}))
    return folder


def row(number: int) -> dict:
    return {
        "instance_id": number, "video": {"bytes": b"%d" % number, "path": None}, "source": "",
        "landmarks": np.full((1, 68, 2), number, dtype=np.float32), "fps": 25.0, "num_frames": 1,
        "start_seconds": 0.0, "track": 0, "quality": 1.0,
    }  # fmt: skip
