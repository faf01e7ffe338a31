"""Row groups are read as they were written, wherever they lie."""

import fsspec
import numpy as np
import pytest

from preface_hf.data.order import rows_in_order
from preface_hf.data.row_groups import GroupReader, read_footer
from tests.data.rows import write_rows


@pytest.fixture(params=["folder", "remote"])
def file(request, tmp_path):
    (local,) = (write_rows(tmp_path / "set", 37) / "data").iterdir()
    if request.param == "folder":
        return str(local)
    fsspec.filesystem("memory").pipe("/set/train.parquet", local.read_bytes())
    return "memory://set/train.parquet"


def test_rows_are_those_written(file):
    counts = [group.rows for group in read_footer(file)]
    assert counts == [16, 16, 5]
    reader = GroupReader([(file, group) for group in range(3)], np.array([0, 0, 1000]))
    rows = reader.rows(rows_in_order([np.array(counts)], np.array([36, 3, 17])))
    assert [row["instance_id"] for row in rows] == [1036, 3, 17]
    assert [row["video"]["bytes"] for row in rows] == [b"36", b"3", b"17"]
    assert [row["landmarks"].shape for row in rows] == [(1, 68, 2)] * 3
    assert [float(row["landmarks"].max()) for row in rows] == [36, 3, 17]
    assert rows[0]["landmarks"].dtype == np.float32 and rows[0]["num_frames"] == 1
