"""Loading processes: how they are started, share a stream, and end with the process they load for."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from multiprocessing.forkserver import ensure_running
from threading import current_thread, main_thread
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from preface_hf.executors import end_with_parent


def loading_process() -> tuple[int, int]:
    """Which loading process this is, of how many; torch works in one thread there."""
    worker = get_worker_info()
    if worker:
        torch.set_num_threads(1)
    return (worker.id, worker.num_workers) if worker else (0, 1)


def loader(stream: IterableDataset, workers: int) -> DataLoader:
    """The stream through `workers` loading processes (0: in this one); the batches are the same."""
    # A forked process would inherit the locks of this one's parquet reading threads, and could wait without end.
    context = "forkserver" if workers else None
    if workers:
        start_fork_server()
    return DataLoader(
        stream, batch_size=None, num_workers=workers, multiprocessing_context=context, worker_init_fn=begin_loading
    )


def loaded(batches: DataLoader) -> Generator[Any, None, None]:
    """What a [`loader`] yields; close it, and the loading processes end. Raises `ChildProcessError`, in one sentence,
    where one has died."""
    iterator = iter(batches)
    try:
        while True:
            try:
                batch = next(iterator)
            except StopIteration:
                return
            except (ValueError, RuntimeError, EOFError, ConnectionError) as error:
                told = explained(error, batches.num_workers)
                if told is error:
                    raise
                raise told from error
            yield batch
    finally:
        # Loading processes ignore the signal by which Python would end them: without this the program would wait for
        # them without end wherever an error still holds the iterator. For the same reason whoever uses this generator
        # closes it.
        if shut_down := getattr(iterator, "_shutdown_workers", None):
            shut_down()


def explained(error: Exception, workers: int) -> Exception:
    """What a user is told of an error that reached the training process from loading."""
    # torch hands an error from inside a loading process on as "Caught ..." with the traceback; its last line says it.
    caught = str(error).startswith("Caught ")
    if isinstance(error, ValueError):
        return ValueError(str(error).strip().splitlines()[-1].removeprefix("ValueError: ")) if caught else error
    died = not isinstance(error, RuntimeError) or str(error).startswith("DataLoader worker")
    if not workers or not died or caught:
        return error
    return ChildProcessError(
        "a loading process was killed, most often because memory ran out: end other programs or lower num_workers "
        "(a script of your own begins its work below `if __name__ == '__main__':`)"
    )


def start_fork_server() -> None:
    """Have a fork server that SIGTERM does not end, as SIGINT does not either."""
    # torch's loading processes take the end of the server for that of the process they load for. What a process
    # ignores, those that it starts ignore too: so SIGTERM is ignored here while the server starts.
    if current_thread() is not main_thread():  # elsewhere signals can't be set
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        ensure_running()
    finally:
        signal.signal(signal.SIGTERM, before)


def begin_loading(_: int) -> None:
    """What a loading process does first: ignore signals, and end with the process that it loads for."""
    # Ctrl-C and SLURM's SIGTERM reach loading processes too: when they end, the training process says. Started by
    # `forkserver`, a loading process and its fork server each wait for the other to end: both would stay when the
    # training process is killed.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()


@contextmanager
def cores_for_loading(processes: int) -> Iterator[None]:
    """Within the block, leave as many cores as there are loading `processes` to them."""
    # torch's threads spin while they wait for one that shares a core with a loading process. With a core left free, a
    # step of the demo took 0.56 instead of 0.75 seconds (2 cores, 1 loading process).
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, (os.cpu_count() or 1) - processes)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
