"""Whether the tests notice: small changes to the code, drawn from a seed, each run against the tests beside it.

The changes are cosmic-ray's. Each is made in a copy of the tree, never in place. What was judged is a line of JSON in
OUT and is passed over when the command is started again; `--again` judges those anew that no test noticed.
`python benchmarks/mutants.py OUT [--count 44] [--seed 0] [--again]`
"""

import argparse
import ast
import difflib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names


ROOT = Path(__file__).parents[1]
OBJECTIVES = [f"tests/objectives/test_{name}.py" for name in ("losses", "teacher", "preface", "collapse")]
PLAN = "tests/plan/test_plan.py"  # compares what the methods say that they cost with what they do
LOOP = "tests/training/test_loop.py::test_"
EVERY = "tests/training/test_every_method.py::test_"
# The tests that stand beside each file; the longest prefix counts.
TESTS = {
    "preface_hf/objectives/": OBJECTIVES,
    "preface_hf/objectives/base.py": [*OBJECTIVES, f"{LOOP}starting_from_a_checkpoint_of_a_run"],
    "preface_hf/objectives/collapse.py": OBJECTIVES[2:],
    "preface_hf/objectives/costs.py": ["tests/plan/test_footprint.py", "tests/plan/test_flops.py", PLAN],
    "preface_hf/objectives/dino.py": [*OBJECTIVES, PLAN],
    "preface_hf/objectives/distillation.py": [*OBJECTIVES, PLAN],
    "preface_hf/objectives/pros.py": ["tests/objectives/test_pros.py"],
    "preface_hf/objectives/cache/facefeat_cache.py": ["tests/objectives/test_facefeat_cache.py", OBJECTIVES[2]],
    "preface_hf/objectives/losses.py": OBJECTIVES[:1],
    "preface_hf/objectives/masked/": [
        "tests/objectives/test_marlin.py",
        "tests/plan/test_flops.py",
        "tests/objectives/test_masked_runs.py::test_methods_start_from_each_others_checkpoints",
        "tests/objectives/test_masked_runs.py::test_it_trains_and_is_shown",
        f"{EVERY}resumed_equals_uninterrupted",
    ],
    "preface_hf/objectives/cache/mapped.py": ["tests/objectives/test_facefeat_cache.py"],
    "preface_hf/objectives/methods.py": ["tests/objectives/test_methods.py", "tests/training/test_build.py"],
    "preface_hf/objectives/preface.py": [
        *OBJECTIVES,
        PLAN,
        f"{LOOP}starting_from_a_checkpoint_of_a_run",
        f"{LOOP}a_cache_that_was_never_filled_is_filled",
    ],
    "preface_hf/objectives/teacher.py": [*OBJECTIVES, f"{LOOP}published_weights_are_the_teachers_or_the_students"],
    "preface_hf/objectives/schedules.py": ["tests/objectives/test_schedules.py", "tests/training/test_optimizer.py"],
    "preface_hf/data/views.py": [
        "tests/data/test_views.py",
        "tests/objectives/test_methods.py::test_crops_rest_and_have_the_share_of_the_area_that_is_set",
    ],
    "preface_hf/data/order.py": ["tests/data/test_order.py", "tests/data/test_row_groups.py"],
    "preface_hf/metrics/": ["tests/metrics"],
    "preface_hf/training/optimizer.py": ["tests/training/test_optimizer.py"],
    "preface_hf/training/checkpoint.py": [
        f"{LOOP}a_taken_folder_is_left_alone",
        f"{LOOP}the_last_checkpoints_are_kept",
        f"{EVERY}resumed_equals_uninterrupted",
        f"{LOOP}a_run_folder_holds_what_is_promised",
        "tests/training/test_damaged_runs.py",
        "tests/training/test_probing.py",
    ],
}
LIMIT = 400  # seconds a change; one that runs on is noticed
ARITHMETIC = {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"}
LEFT_OUT = ("core/Variable", "core/ExceptionReplacer")  # the first need arguments, the other names no error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=44)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = options.out.read_text(encoding="utf-8").splitlines() if options.out.exists() else []
    judged = {key(entry): entry for entry in map(json.loads, lines)}  # of two judgments the last
    known = {name for name, entry in judged.items() if entry["by"] or not options.again}
    changes = [change for change in draw(options.count, options.seed) if key(change) not in known]
    # What fails without any change would be taken for a test that notices.
    if changes and (
        failed := first_failure(sorted({test for change in changes for test in tests_of(change["file"])}))
    ):
        raise SystemExit(f"{failed} fails as the code is.")
    with options.out.open("a", encoding="utf-8") as out:
        for change in changes:
            begun, code = time.monotonic(), change.pop("code")
            change["by"] = first_failure(tests_of(change["file"]), {change["file"]: code})
            judged[key(change)] = {**change, "seconds": round(time.monotonic() - begun)}
            print(json.dumps(judged[key(change)]), file=out, flush=True)
    left = [entry for entry in judged.values() if entry["by"] is None]
    print(f"{len(judged)} changes, {len(left)} of them noticed by no test.")
    for entry in left:
        print(f"{entry['file']}:{entry['line']}", *entry["change"], sep="\n    ")


def key(entry: dict) -> tuple:
    """A change by what it does, not by its line: lines move."""
    return entry["file"], *entry["change"]


def draw(count: int, seed: int) -> list[dict]:
    """Changes at different places: first places at random, alike over all code, then one operator at each."""
    rng = random.Random(seed)
    codes = {path: (ROOT / path).read_text(encoding="utf-8") for path in sorted({p for t in TESTS for p in files(t)})}
    places = [(path, *place) for path, code in codes.items() for place in sorted(changes_of(code).items())]
    rng.shuffle(places)
    drawn = []
    for path, (line, _), changes in places:
        if len(drawn) == count:
            break
        name, occurrence = rng.choice(changes)
        before, after = codes[path], mutate_code(codes[path], get_operator(name)(), occurrence)
        if after and meaning(after) not in (None, meaning(before)):
            rows = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[3:]
            drawn.append({"file": path, "line": line, "operator": name[5:], "change": rows, "code": after})
    return drawn


def files(prefix: str) -> list[str]:
    """The Python files below a folder, or the file."""
    found = (ROOT / prefix).rglob("*.py") if prefix.endswith("/") else [ROOT / prefix]
    return [file.relative_to(ROOT).as_posix() for file in found]


def changes_of(code: str) -> dict[tuple, list[tuple[str, int]]]:
    """What can be changed at each place (line, column): operators, and which of their occurrences it is."""
    nodes = list(ast_nodes(get_ast(code)))
    places: dict[tuple, list[tuple[str, int]]] = {}
    for name in operator_names():
        # Of arithmetic only what leaves numbers numbers: a bitwise operator on floats fails in any test.
        if name.startswith(LEFT_OUT) or ("BinaryOperator" in name and not ARITHMETIC.issuperset(name.split("_")[1:])):
            continue
        operator = get_operator(name)()
        starts = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, start in enumerate(starts):
            places.setdefault(start, []).append((name, occurrence))
    return places


def meaning(code: str) -> str | None:
    """What the interpreter makes of code, without annotations; `None` where it is none (a `*` that is no product)."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            if getattr(node, field, None):
                setattr(node, field, ast.Constant(0))
    return ast.dump(tree)


def first_failure(tests: list[str], changed: dict[str, str] | None = None) -> str | None:
    """The first of the tests that fails in a copy of the tree with other code in its files; `None` where all pass."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "tree"
        shutil.copytree(ROOT, copy, symlinks=True, ignore=leave_out)
        for file, code in (changed or {}).items():
            (copy / file).write_text(code, encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
            cwd=copy, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(copy), "TMPDIR": scratch},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=LIMIT if changed else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its loading processes too
            process.wait()
            return "time limit"
    failed = [line.split()[1] for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if process.returncode and not failed:
        raise SystemExit(f"no test could run:\n{output}")
    return failed[0] if failed else None


def leave_out(folder: str, names: list[str]) -> list[str]:
    """What a copy does not need: hidden files, caches, and what `make demo` and runs have left at the top."""
    at_top = {"demo", "runs"} if Path(folder) == ROOT else set()
    return [name for name in names if name.startswith(".") or name in {"__pycache__", *at_top}]


def tests_of(path: str) -> list[str]:
    """The tests that stand beside a file."""
    return TESTS[max((prefix for prefix in TESTS if path.startswith(prefix)), key=len)]


if __name__ == "__main__":
    main()
