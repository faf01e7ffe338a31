import os
import signal
import sys
import time
from itertools import count

import pytest
import torch
from torch.utils.data import IterableDataset

from preface_hf.data.workers import loader


class Parents(IterableDataset):
    """The process that started the loading one, again and again."""

    def __iter__(self):
        for _ in count():
            yield torch.tensor(os.getppid())


@pytest.mark.skipif(sys.platform == "win32", reason="has neither fork server nor SIGTERM")
def test_loading_goes_on_when_the_fork_server_gets_sigterm():
    batches = iter(loader(Parents(), workers=1))
    server = int(next(batches))
    os.kill(server, signal.SIGTERM)
    time.sleep(0.5)
    assert {int(next(batches)) for _ in range(20)} == {server}
