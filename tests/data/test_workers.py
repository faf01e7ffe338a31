import os
import signal
import sys
import time
from itertools import count

import pytest
import torch
from torch.utils.data import IterableDataset

from preface_hf.data.workers import loader


class Processes(IterableDataset):
    """The process that loads and the one that started it, again and again."""

    def __iter__(self):
        for _ in count():
            yield torch.tensor([os.getpid(), os.getppid()])


@pytest.mark.skipif(sys.platform == "win32", reason="has neither fork server nor SIGTERM")
def test_loading_goes_on_when_all_its_processes_get_the_signals():
    batches = iter(loader(Processes(), workers=1))
    loading, server = processes = next(batches).tolist()
    for process, number in ((server, signal.SIGTERM), (loading, signal.SIGTERM), (loading, signal.SIGINT)):
        os.kill(process, number)
    time.sleep(0.5)
    assert all(next(batches).tolist() == processes for _ in range(20))
