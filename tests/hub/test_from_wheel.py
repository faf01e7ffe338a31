"""`benchmarks/hub_path.py` in an environment with the wheel alone: by name, with the package and without."""

import pytest

from benchmarks.hub_path import Walk
from tests.hub_server import Hub


@pytest.mark.slow
def test_the_whole_path_from_the_wheel(installed, tmp_path):
    server = Hub()
    walk = Walk(installed, tmp_path, server)
    # Features, scores of the pipeline and the adapter's logits.
    assert list(walk.with_package()) == list(walk.without_package())
    assert len(walk.rows) == 16
    server.shutdown(), server.server_close()
