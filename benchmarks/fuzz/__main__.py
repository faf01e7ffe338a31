"""Damaged input, seeded and bounded in time: no crash, hang, traceback or wrong result without a word may come of it.

    make fuzz MINUTES=10
    OMP_NUM_THREADS=1 python -m benchmarks.fuzz --kind videos --count 300 --seed 0 --minutes 20 --log fuzz.jsonl

The log has a line for each case. Started again, what stands there is not done again. Ends with 1 where a case failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any


# Set before torch and numpy are imported: the cases are forked, which threads do not survive.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "HF_HUB_OFFLINE"), "1")
os.environ |= {"ACCELERATE_USE_CPU": "true", "TOKENIZERS_PARALLELISM": "false"}

FAILURES = ("crash", "hang", "traceback", "no sentence", "wrong", "code ran", "good file refused too")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("videos", "checkpoints", "sets", "all"), default="all")
    parser.add_argument("--count", type=int, help="cases of each kind (300 videos, 200 checkpoints, 150 sets)")
    parser.add_argument("--only", type=int, nargs="*", help="the numbers of some cases, whose files are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60, help="no case begins later")
    parser.add_argument("--log", type=Path, help="JSON lines")
    parser.add_argument("--work", type=Path, help="folder for files (a temporary one)")
    options = parser.parse_args()
    kinds = {"videos": 300, "checkpoints": 200, "sets": 150}
    chosen = kinds if options.kind == "all" else {options.kind: kinds[options.kind]}
    work = options.work or Path(tempfile.mkdtemp(prefix="fuzz-"))
    deadline = time.monotonic() + 60 * options.minutes
    lines = [json.loads(line) for line in read_lines(options.log)]
    for kind, count in chosen.items():
        wanted = options.only if options.only is not None else range(options.count or count)
        lines += run_kind(kind, wanted, lines, options, work / kind, deadline)
    summary(lines, options.seed, {kind: options.count or count for kind, count in chosen.items()})
    if not options.work:
        shutil.rmtree(work, ignore_errors=True)
    return int(any(line["outcome"] in FAILURES for line in lines))


def run_kind(kind: str, wanted: Any, known: list[dict[str, Any]], options: Any, folder: Path, deadline: float) -> list:
    """Try the cases of a kind that the log does not have; returns their lines."""
    from benchmarks.fuzz import checkpoints, sets, videos
    from benchmarks.fuzz.forked import run_forked

    warm_imports()
    module: Any = {"videos": videos, "checkpoints": checkpoints, "sets": sets}[kind]
    done = {line["case"] for line in known if (line["kind"], line["seed"]) == (kind, options.seed)}
    left = [number for number in wanted if number not in done]
    base = folder.with_name(module.BASE)
    if left and not (base / "ready").exists():
        shutil.rmtree(base, ignore_errors=True)
        # Made by another process: this one must stay without threads.
        made = run_forked(lambda: module.make_base(base), folder / "log", 600)
        if made.code:
            raise RuntimeError(f"the good input cannot be made: {made.err}")
        (base / "ready").touch()
    lines = []
    for case in module.cases(base, folder, options.seed, left):
        if time.monotonic() > deadline:
            print(f"{kind}: time is up before case {case.number}")
            break
        outcome = case.run()
        line = {"kind": kind, "seed": options.seed, "case": case.number, "what": case.what, "command": case.command}
        line |= dataclasses.asdict(outcome) | {"seconds": round(outcome.seconds, 2)}
        lines.append(line)
        if options.log:
            with options.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        if outcome.outcome in FAILURES or options.only:
            print(
                f"{kind} {case.number} ({case.what}; {case.command}): {outcome.outcome}: {outcome.detail}", flush=True
            )
        if outcome.outcome not in FAILURES and not options.only:
            shutil.rmtree(folder / f"case-{case.number}", ignore_errors=True)
    return lines


def warm_imports() -> None:
    """Import what the commands import inside, so that no case pays for it."""
    for room in ("curation.curate", "features.extract", "features.probe", "plan.table", "prepare.run", "recipes"):
        import_module(f"preface_hf.{room}")
    for name in ("preface_hf.cli", "preface_hf.training.loop", "matplotlib.pyplot", "sklearn.neighbors"):
        import_module(name)


def read_lines(log: Path | None) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines() if log and log.exists() else []


def summary(lines: list[dict[str, Any]], seed: int, counts: dict[str, int]) -> None:
    """The number of cases by kind and outcome."""
    for kind, count in counts.items():
        of_kind = [line for line in lines if line["kind"] == kind and line["seed"] == seed]
        outcomes = Counter(line["outcome"] for line in of_kind)
        told = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
        print(f"{kind}: {len(of_kind)} of {count} cases: {told}")


if __name__ == "__main__":
    sys.exit(main())
