"""Pickles in a checkpoint, looked through before Accelerate or torch opens them: unpickling can run any code.

Accelerate reads optimizer and generators with `weights_only`, which refuses code, and goes on without generators that
it could not read. Of a sharded checkpoint torch unpickles without a look: `.metadata`, and values that are no tensors.
"""

from __future__ import annotations

import importlib
import io
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from accelerate.utils import load
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, Metadata

from preface_hf.objectives.base import PICKLED_STATE, unsafe


# What Accelerate reads at the top of a checkpoint, by `torch.load`.
PICKLED = (
    "pytorch_model*.bin",
    "optimizer*.bin",
    "scheduler*.bin",
    "sampler*.bin",
    "dl_state_dict*.bin",
    "scaler*.pt",
    "random_states_*.pkl",
)
# What a `.metadata` is made of.
PLAIN = {
    "builtins": {"set", "frozenset"},
    "collections": {"OrderedDict"},
    "pathlib": {"Path", "PosixPath", "WindowsPath"},
    "torch": {"Size", "device"},
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    },
    "torch.serialization": {"_get_layout"},
}


def check_pickles(checkpoint: Path) -> None:
    """Raise `ValueError` for the first file of a checkpoint that is damaged or holds more than tensors and numbers."""
    for file in sorted(file for pattern in PICKLED for file in checkpoint.glob(pattern)):
        with refusing(file):
            load(file, map_location="cpu", weights_only=True, mmap=True)  # mapped: tensors are not read
    for file in sorted(checkpoint.glob("*/*.metadata")):
        with refusing(file):
            check_shards(file)


@contextmanager
def refusing(file: Path) -> Iterator[None]:
    """Refuse `file` where reading it raises: of one that is cut or changed, torch may raise almost anything."""
    try:
        yield
    except Exception as error:
        raise unsafe(file, error) from error


def check_shards(file: Path) -> None:
    """Raise where the `.metadata` of a sharded checkpoint, or a value that it points to, holds code."""
    with file.open("rb") as opened:
        metadata = PlainUnpickler(opened).load()
    if not isinstance(metadata, Metadata):
        raise ValueError("it describes no shards")
    for index, place in (metadata.storage_data or {}).items():
        if getattr(place, "transform_descriptors", None):
            raise ValueError("it names transforms, which no run writes")
        # A tensor is read by `weights_only`; every other value by plain unpickling.
        if isinstance(metadata.state_dict_metadata.get(index.fqn), BytesStorageMetadata):
            with (file.parent / place.relative_path).open("rb") as shard:
                shard.seek(place.offset)
                torch.load(io.BytesIO(shard.read(place.length)), map_location="cpu", weights_only=True)


class PlainUnpickler(pickle.Unpickler):
    """Makes what a `.metadata` is made of, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The classes of `PLAIN`, and torch's types of numbers."""
        if name in PLAIN.get(module, ()):
            return getattr(importlib.import_module(module), name)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a checkpoint")


@contextmanager
def without_pickled_state(checkpoint: Path) -> Iterator[Path]:
    """`checkpoint` as a folder for Accelerate, which refuses one with a state of ours of an earlier release: such a
    one by links to all else."""
    if not (checkpoint / PICKLED_STATE).exists():
        yield checkpoint
        return
    with TemporaryDirectory() as folder:
        for file in checkpoint.iterdir():
            if file.name != PICKLED_STATE:
                os.symlink(file.resolve(), Path(folder) / file.name, target_is_directory=file.is_dir())
        yield Path(folder)
