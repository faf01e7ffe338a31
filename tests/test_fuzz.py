"""The fuzz of `benchmarks/fuzz`: a few cases of each kind, and what is in the log is not done again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
KINDS = ("videos", "checkpoints", "sets")


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and limits memory as Linux does")
def test_a_few_cases_of_each_kind(tmp_path):
    log = tmp_path / "log.jsonl"
    known = [{"kind": kind, "seed": 1, "case": 0, "outcome": "known"} for kind in KINDS]
    log.write_text("".join(json.dumps(line) + "\n" for line in known), encoding="utf-8")
    flags = {"--count": 2, "--minutes": 5, "--seed": 1, "--work": tmp_path / "work", "--log": log}
    command = [sys.executable, "-m", "benchmarks.fuzz", *(str(word) for flag in flags.items() for word in flag)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=400)
    # 1 is for a fault that it found.
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert lines[:3] == known and all(line["outcome"] for line in lines)
    assert [(line["kind"], line["case"]) for line in lines[3:]] == [(k, n) for k in KINDS for n in range(1, 2)]
    assert all(f"{kind}: 2 of 2 cases: " in done.stdout for kind in KINDS)
