"""What a case is, and how its end is judged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fuzz.forked import GRACE, Ended, run_forked


@dataclass
class Case:
    """`what` was done to which file, the command or function that is given it, and the call that tries it."""

    number: int
    what: str
    command: str
    run: Callable[[], Outcome]


@dataclass
class Outcome:
    """How a case ended. `done` is a first word only: results are compared then."""

    outcome: str
    detail: str
    seconds: float

    @classmethod
    def of(cls, ended: Ended, words: tuple[int, ...] = (2,)) -> Outcome:
        """The outcome by exit code and standard error; exit codes in `words` stand for a refusal in one sentence."""
        last = (ended.err.strip().splitlines() or [""])[-1][:400]
        if ended.code is None:
            return cls("hang", f"killed after {ended.seconds:.0f} s", ended.seconds)
        if ended.code < 0:
            places = [line.strip() for line in ended.err.splitlines() if line.startswith("  File ")]
            return cls("crash", f"signal {-ended.code} in {'; '.join(places[:4])}", ended.seconds)
        if "Traceback (most recent call last)" in ended.err:
            return cls("traceback", f"exit code {ended.code}: {last}", ended.seconds)
        if ended.code == 0:
            return cls("done", "", ended.seconds)
        said = last.startswith("preface-hf: ") and one_sentence(last)
        return cls(
            "refused" if ended.code in words and said else "no sentence", f"exit {ended.code}: {last}", ended.seconds
        )


def one_sentence(text: str) -> bool:
    """Whether a message is one line of at most 600 characters with some words in it."""
    return 10 < len(text) <= 600 and "\n" not in text.strip() and " " in text.strip()


def command(arguments: list[str], log: Path, good_seconds: float) -> Ended:
    """The command line in a forked process: what `preface-hf` does, without the seconds of its imports."""
    from preface_hf.cli import main

    return run_forked(lambda: main([str(word) for word in arguments]), log, good_seconds + GRACE)


def digest(value: Any) -> str:
    """A few letters that differ where values do."""
    return hashlib.sha256(value if isinstance(value, bytes) else repr(value).encode()).hexdigest()[:12]
