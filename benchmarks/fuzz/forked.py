"""A case in a process of its own: forked after the imports, so that it costs milliseconds and its end harms nobody."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


GRACE = 10.0  # seconds that a case may take longer than the same work on good input
MEMORY = 6 * 2**30  # bytes of address space that a case may take beyond what is there at its start


@dataclass
class Ended:
    """How a case ended: exit code (None: killed for time, negative: by that signal), what it printed, its result."""

    code: int | None
    out: str
    err: str
    seconds: float
    value: Any


def run_forked(work: Callable[[], Any], folder: Path, limit: float) -> Ended:
    """Call `work` in a forked process with its own folder; its result goes by JSON. Kill it after `limit` seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    started, child = time.monotonic(), os.fork()
    if not child:
        _in_child(work, folder)
    code = _wait(child, started + limit)
    texts = [(folder / name).read_text(encoding="utf-8", errors="replace") for name in ("stdout", "stderr")]
    value = json.loads((folder / "value").read_text(encoding="utf-8")) if (folder / "value").exists() else None
    return Ended(code, *texts, time.monotonic() - started, value)


def _in_child(work: Callable[[], Any], folder: Path) -> None:
    """Run `work` and leave, without what Python does at the end of the parent."""
    code = 1
    try:
        os.setsid()
        _redirect(folder)
        _limit_memory()
        value = work()
        (folder / "value").write_text(json.dumps(value), encoding="utf-8")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(folder: Path) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    faulthandler.enable()  # where a library crashes


def _limit_memory() -> None:
    """A case that asks for all memory is to fail alone."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        taken = next(int(line.split()[1]) for line in lines if line.startswith("VmSize"))
        resource.setrlimit(resource.RLIMIT_AS, (taken * 1024 + MEMORY,) * 2)


def _wait(child: int, until: float) -> int | None:
    """The exit code of a child, None where it is killed at the time `until`."""
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
