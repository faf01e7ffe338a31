"""Loading processes that end with the process they load for."""

from __future__ import annotations

import os
from multiprocessing import parent_process
from threading import Thread


def end_with_parent(_: int = 0) -> None:
    """For `DataLoader(worker_init_fn=)`. Started by `forkserver`, a loading process and its fork server each wait for
    the other to end, and both stay for ever when the trainer is killed."""
    Thread(target=leave, daemon=True).start()


def leave() -> None:
    """End this process as soon as the one that asked for it has ended."""
    if parent := parent_process():
        parent.join()
        os._exit(1)
