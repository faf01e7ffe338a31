"""Files and folders that are there whole or not at all.

What is written lies under another name until it is whole, so a killed process never leaves half of anything under a
name that others read. `replacing` does it for a file, `building` for a folder; where several processes write one
folder, each step of `building` is called by itself (`start_building`, `put_in_place`).
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError


DEFAULT = Path(__file__).with_name("default_model")  # trained on drawn faces alone: no person's data is in it


def shown(path: str | Path) -> str:
    """A path as text: a byte that is not UTF-8, which Python keeps as half a character, as an escape like `\\xe9`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def check_path(path: str | Path) -> None:
    """Raise `ValueError` for a path that is not UTF-8: neither parquet nor a report can name it."""
    if shown(path) != str(path):
        raise ValueError(f"the path {shown(path)} is not Unicode text (UTF-8): rename the file or its folder")


class OnceLoader(yaml.SafeLoader):
    """YAML in which no mapping has a key twice: its parser would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As before, once the keys were looked at."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                place = key.start_mark.line + 1
                raise yaml.YAMLError(f"line {place} sets {key.value!r} a second time: leave one of the two")
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep)


def read_yaml(file: str | Path, what: str) -> Any:
    """What a YAML file says; `ValueError`, which calls it `what`, where it cannot be read or sets a key twice."""
    try:
        return yaml.load(Path(file).read_text(encoding="utf-8"), OnceLoader)  # noqa: S506 (a safe loader)
    # The parser recurses, and takes some words for dates that do not exist.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"cannot read {what} {str(file)!r}: {reason}.") from error


def packaged(name: str | Path, kind: str = "encoder") -> str | Path:
    """`default` as the folder of a small model that is part of the package; any other name as it is.

    Args:
        name: what a user gave as a model.
        kind: encoder, or landmarks (one that was trained further, with a head for 68 points).
    """
    return str(DEFAULT / kind) if str(name) == "default" and not Path("default").exists() else name


def is_missing(name: str | Path) -> bool:
    """Whether `name` is a path, not the `org/name` of a Hub repository, and nothing lies there.

    The Hub is not asked for what is clearly a path: without a network that takes more than a minute.
    """
    path = Path(name)
    return not path.exists() and (path.is_absolute() or len(path.parts) != 2 or path.parent.is_dir())


def why_unopened(error: Exception) -> str:
    """Why a file of weights or of a checkpoint was not opened, in one line."""
    if isinstance(error, pickle.UnpicklingError):
        # torch tells how to have the code run all the same: nobody should.
        return "it holds more than tensors and numbers, which may be code that harms"
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Say what could not be written, and what to do, where the disk is full."""
    try:
        yield
    except OSError as error:
        raise OSError(f"cannot write {place} ({error.strerror or error}): make room and run the same again") from error


@contextmanager
def writing_tensors(place: Path) -> Iterator[None]:
    """`writing` for a folder of a run: whatever a writer of tensors raises on a full disk is an `OSError` too."""
    try:
        yield
    # torch raises RuntimeError and safetensors its own error where a disk is full.
    except (OSError, RuntimeError, SafetensorError) as error:
        raise OSError(
            f"{place} could not be written ({str(error).splitlines()[0]}): make room on the disk and go on with "
            f"--resume; what was there before is whole."
        ) from error


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A path to write to, put in the place of `file` in one step when the block ends well, else deleted."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with writing(file):
            # The temporary file lies beside `file`: a rename is one step only within a file system.
            yield temporary
            os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """A folder to write to that becomes `target` when the block ends well, and is gone when it does not."""
    # Whatever happens in the block, the folder under its first name is gone after it.
    folder = unfinished(target)
    start_building(folder)
    try:
        yield folder
        put_in_place(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unfinished(target: Path) -> Path:
    """The name of the folder `target` while it is not whole."""
    return target.with_name(f".building-{target.name}")


def start_building(folder: Path) -> None:
    """Make `folder` anew: what a killed process left under that name is deleted."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def put_in_place(folder: Path, target: Path) -> None:
    """Give `folder` the name `target`; so what has that name is whole."""
    # An empty folder needs no deleting: the rename takes its place.
    if target.is_dir() and any(target.iterdir()):
        discard(target)
    folder.replace(target)


def discard(folder: Path) -> None:
    """Delete `folder`. It loses its name first, so that half of it is never taken for the whole."""
    old = folder.with_name(f".building-old-{folder.name}")
    shutil.rmtree(old, ignore_errors=True)  # of a killed process
    shutil.rmtree(folder.rename(old))
