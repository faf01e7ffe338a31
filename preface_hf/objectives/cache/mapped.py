"""Rows in a file that is mapped into memory: for a tensor that the host's memory does not hold."""

from __future__ import annotations

import mmap
import os
import shutil
import warnings
from pathlib import Path
from tempfile import TemporaryFile

import torch


class MappedRows:
    """A tensor of zeros `shape` `(n, width)` in a file without a name in `folder`.

    The file is memory, not a record: it goes with the process, however that ends, and [`save`] copies it. All its
    bytes are reserved at once, so that a full disk is found here (`OSError`) and does not kill the run later on.
    """

    def __init__(self, folder: str | Path, shape: tuple[int, int], dtype: torch.dtype):
        self.row_bytes = shape[1] * dtype.itemsize
        size, free = shape[0] * self.row_bytes, shutil.disk_usage(folder).free
        if size > free:
            raise OSError(
                f"a file of {size / 1e9:.1f} GB finds no room in {str(folder)!r}, where {free / 1e9:.1f} GB are free: "
                f"make room there, or choose a folder on another disk."
            )
        self.file = TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as its rows)
        reserve(self.file.fileno(), size)
        self.memory = mmap.mmap(self.file.fileno(), size)
        self.advises = hasattr(self.memory, "madvise")  # not on Windows
        if self.advises:
            self.memory.madvise(mmap.MADV_RANDOM)  # else the system reads 128 KB around every row: fifty times slower
        self.tensor = torch.frombuffer(self.memory, dtype=dtype).view(shape)

    def expect(self, row: int, count: int = 1) -> None:
        """Let the system read `count` rows from `row` on, without waiting for them."""
        if self.advises:
            # The system takes whole pages: begin at the one that holds the first byte. Asked row by row, reads run
            # side by side (4,096 random rows: 0.07 s instead of 0.3).
            first = row * self.row_bytes // mmap.PAGESIZE * mmap.PAGESIZE
            self.memory.madvise(mmap.MADV_WILLNEED, first, (row + count) * self.row_bytes - first)

    def save(self, target: Path) -> None:
        """Write all rows to `target`."""
        with target.open("wb") as copy:
            copy_bytes(self.file.fileno(), copy.fileno(), len(self.memory))

    def restore(self, source: Path) -> None:
        """Set all rows to those that [`save`] wrote; `ValueError` where the file is of another size."""
        size = source.stat().st_size
        if size != len(self.memory):
            raise ValueError(f"{source} has {size} bytes where {len(self.memory)} are needed: it is of other rows.")
        with source.open("rb") as copy:
            copy_bytes(copy.fileno(), self.file.fileno(), size)


def saved_rows(source: Path, width: int, dtype: torch.dtype) -> torch.Tensor:
    """The rows `(n, width)` that [`MappedRows.save`] wrote, mapped: to be read only."""
    with source.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they cannot be written
        return torch.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=dtype).view(-1, width)


def reserve(file: int, size: int) -> None:
    """Make `file` (a descriptor) `size` bytes long, with room for them where the system can promise it."""
    # A file that is only made longer has holes: writing into one on a full disk ends the process (SIGBUS).
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


def copy_bytes(source: int, target: int, size: int) -> None:
    """Copy the first `size` bytes between two descriptors. XFS and btrfs share the blocks and copy nothing."""
    done = 0
    while done < size:
        # Either call may copy less than it was asked for.
        if hasattr(os, "copy_file_range"):
            copied = os.copy_file_range(source, target, min(size - done, 2**30), done, done)
        else:
            os.lseek(source, done, os.SEEK_SET)
            os.lseek(target, done, os.SEEK_SET)
            copied = os.write(target, os.read(source, 2**24))
        if not copied:
            raise OSError(f"the file ends after {done} of {size} bytes")
        done += copied
