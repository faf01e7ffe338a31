"""The good input of the fuzz of checkpoints, sets and settings, the commands that are given it, and their results."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

from benchmarks.fuzz.cases import Outcome, command, digest
from benchmarks.fuzz.forked import GRACE, Ended, run_forked


SETTINGS: dict[str, Any] = {
    "size": "vit-t",
    "model": {
        "image_size": 32, "num_frames": 4, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64, "projector_hidden_size": 32, "projector_output_size": 16, "num_prototypes": 32,
        "facefeat_size": 16,
    },
    "views": {"num_local": 2, "local_size": 16, "brightness": 0.2},
    "objective": {"teacher_momentum": 0.99},
    "batch_size": 4, "max_steps": 2, "warmup_steps": 1, "save_steps": 1, "keep_checkpoints": None, "logging_steps": 1,
    "num_workers": 0, "learning_rate": 0.01,
}  # fmt: skip


def write_set(folder: Path) -> None:
    """A prepared set of 8 + 8 rows: drawn people, 8 frames each."""
    from preface_hf.prepare.run import prepare
    from preface_hf.synthetic import EXPRESSIONS, ClipSpec, write_synthetic

    specs = [
        ClipSpec(person, EXPRESSIONS[1 + (person + take) % 2], 10 * person + take, split, num_frames=8, size=64)
        for person in range(8)
        for take in range(2)
        for split in ("train" if person < 4 else "test",)
    ]
    write_synthetic(folder / "drawn", specs)
    prepare(folder / "drawn", folder / "set", landmarker="given", crop_size=64)


def write_run(folder: Path) -> None:
    """A run of two steps in `folder/run`, and in `folder/stopped` the same without its second step."""
    from preface_hf.training.arguments import PretrainArguments, build
    from preface_hf.training.loop import pretrain

    (folder / "settings.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    settings = {**SETTINGS, "data": str(folder / "set"), "output_dir": str(folder / "run")}
    pretrain(build(PretrainArguments, settings, "fuzz"))
    shutil.copytree(folder / "run", folder / "stopped")
    for name in ("checkpoints/step-00000002", "final"):
        shutil.rmtree(folder / "stopped" / name)
    first = (folder / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines()[0]
    (folder / "stopped/metrics.jsonl").write_text(first + "\n", encoding="utf-8")
    (folder / "stopped/report.html").unlink()


def make_base(folder: Path) -> None:
    """What is damaged in the end: a prepared set, a whole run, a stopped one, its settings and those of a user."""
    folder.mkdir(parents=True)
    write_set(folder)
    write_run(folder)
    for name in ("planned", "settings"):
        (folder / name).mkdir()
    shutil.copy(folder / "settings.yaml", folder / "settings")
    shutil.copy(folder / "run/config.yaml", folder / "planned")  # as a user would take them for another


# Each: the words of the command line for a folder of good input, what of it is given damaged, and a folder for output.
COMMANDS: dict[str, Callable[[Path, Path, Path], list[Any]]] = {
    "extract": lambda base, given, out: ["extract", given / "final", base / "set", out / "features.parquet"],
    "resume": lambda base, given, out: [
        "pretrain", "--resume", "--data", base / "set", "--output-dir", given, "--config", base / "settings.yaml",
    ],
    "init-from": lambda base, given, out: [
        "pretrain", "--init-from", given / "final", "--data", base / "set", "--output-dir", out / "new",
        "--config", base / "settings.yaml", "--max-steps", 1,
    ],
    "init-from step": lambda base, given, out: [
        "pretrain", "--init-from", given / "checkpoints/step-00000002", "--data", base / "set", "--output-dir",
        out / "new", "--config", base / "settings.yaml", "--max-steps", 1,
    ],
    "report": lambda base, given, out: ["report", given],
    "plan": lambda base, given, out: [
        "pretrain", "--config", given / "config.yaml", "--plan", "--machine", "cpu-2", "--instances", 100,
    ],
    "pretrain on set": lambda base, given, out: [
        "pretrain", "--data", given, "--output-dir", out / "new", "--config", base / "settings.yaml",
        "--max-steps", 1,
    ],
    "extract of set": lambda base, given, out: ["extract", base / "run/final", given, out / "features.parquet"],
    "probe of set": lambda base, given, out: [
        "probe", base / "run/final", "--data", given, "--label", "expression", "--group", "identity", "--folds", 2,
    ],
    "curate": lambda base, given, out: [
        "curate", given, out / "curated", "--model", base / "run/final", "--max-similarity", 1,
    ],
    "plan of set": lambda base, given, out: [
        "pretrain", "--data", given, "--config", base / "settings.yaml", "--plan", "--machine", "cpu-2",
    ],
    "pretrain by settings": lambda base, given, out: [
        "pretrain", "--data", base / "set", "--output-dir", out / "new", "--config", given / "settings.yaml",
        "--max-steps", 1,
    ],
    "plan by settings": lambda base, given, out: [
        "pretrain", "--config", given / "settings.yaml", "--plan", "--machine", "cpu-2", "--instances", 100,
    ],
}  # fmt: skip


def run_command(name: str, base: Path, given: Path, out: Path, good_seconds: float) -> Ended:
    """A command, or `from_pretrained`, in a process of its own."""
    out.mkdir(parents=True, exist_ok=True)
    if name == "from_pretrained":
        return run_forked(lambda: open_model(given / "final"), out / "log", good_seconds + GRACE)
    return command(COMMANDS[name](base, given, out), out / "log", good_seconds)


def open_model(folder: Path) -> None:
    """Open a checkpoint in Python, print what it makes of a clip; refusals are told as the command line tells them."""
    from preface_hf.modeling import PrefAceForVideoClassification, PrefAceVideoProcessor

    try:
        # Its head is new: only the encoder's features are compared.
        model = PrefAceForVideoClassification.from_pretrained(folder, num_labels=2)
        processor = PrefAceVideoProcessor.from_pretrained(folder)
    except (ValueError, OSError) as error:
        print(f"preface-hf: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    clip = processor([np.arange(4 * 40 * 40 * 3).reshape(4, 40, 40, 3).astype(np.uint8)], return_tensors="pt")
    features = model.preface.eval()(**clip).pooler_output
    print("features", digest(features.detach().numpy().tobytes()))


def results(name: str, given: Path, out: Path) -> dict[str, Any]:
    """What a command left, in short: digests of features by row, of weights, of a page, or what it printed."""
    if name.startswith("extract"):
        rows = pq.read_table(out / "features.parquet").to_pylist()
        return {digest([r["source"], r["start_seconds"]]): digest([r["feature"], r["end_seconds"]]) for r in rows}
    if name.startswith(("resume", "init-from", "pretrain")):
        run = given if name == "resume" else out / "new"
        losses = [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
        return {"weights": digest((run / "final/model.safetensors").read_bytes()), "loss": losses[-1]}
    if name == "report":
        page = (given / "report.html").read_text(encoding="utf-8")
        return {"page": digest(page.replace(str(given), "").replace(given.name, ""))}
    if name == "curate":
        rows = [row for file in sorted(out.glob("curated/data/*")) for row in pq.read_table(file).to_pylist()]
        return {row["source"]: digest([row["landmarks"], row["fps"], row["num_frames"]]) for row in rows}
    return {"printed": digest((out / "log/stdout").read_bytes())}


def good_result(name: str, base: Path, whole: Path) -> dict[str, Any]:
    """Results, seconds and lines of a command on good input, the folder `whole`; measured at first need."""
    folder = base / "good" / name.replace(" ", "-")
    file = folder / "good.json"
    if not file.exists():
        shutil.rmtree(folder, ignore_errors=True)
        given, out = folder / "given", folder / "out"
        shutil.copytree(whole, given)
        ended = run_command(name, base, given, out, 120)
        if ended.code:
            raise RuntimeError(f"{name} fails on good input: {ended.err}")
        found = {"seconds": ended.seconds, "results": results(name, given, out), "lines": words(ended)}
        file.write_text(json.dumps(found), encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


def judge(name: str, base: Path, given: Path, whole: Path, out: Path, may_differ: bool) -> Outcome:
    """Run a command on damaged input and compare its results with those on good input, `whole`."""
    good = good_result(name, base, whole)
    ended = run_command(name, base, given, out, good["seconds"])
    # 1 is documented for a loss that is no number and for a killed process.
    outcome = Outcome.of(ended, (1, 2) if "loss" in ended.err else (2,))
    if outcome.outcome != "done":
        return outcome
    try:
        found = results(name, given, out)
    except Exception as error:
        return Outcome("wrong", f"exit 0, and no result: {type(error).__name__}: {error}", ended.seconds)
    if found == good["results"]:
        return Outcome("same", "", ended.seconds)
    said = [line for line in words(ended, PRINTED.isdisjoint(name.split())) if line not in good["lines"]]
    report = out / "features.parquet.report.jsonl"
    said += report.read_text(encoding="utf-8").splitlines() if report.exists() else []
    if said:
        return Outcome("told", " / ".join(said)[:600], ended.seconds)
    detail = f"exit 0 without a word: {difference(good['results'], found)}"
    return Outcome("another sound value" if may_differ else "wrong", detail, ended.seconds)


# Commands whose results are what they print: only their standard error is a word about it.
PRINTED = {"plan", "probe", "from_pretrained"}


def words(ended: Ended, both: bool = True) -> list[str]:
    """The lines that a command printed, without paths and numbers, which change from run to run."""
    lines = ((ended.out if both else "") + "\n" + ended.err).splitlines()
    return sorted({re.sub(r"/\S+|\d[\d.,:]*", "", line).strip() for line in lines} - {""})


def difference(good: dict[str, Any], found: dict[str, Any]) -> str:
    """Where two results differ, in short."""
    keys = [key for key in {**good, **found} if good.get(key) != found.get(key)]
    return f"{len(keys)} of {len(good)} results differ, such as {keys[0]}: {good.get(keys[0])} -> {found.get(keys[0])}"
