"""Whatever is wrong with a file, `prepare` ends well, prepares the others and says in the report what was wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from preface_hf.prepare import run as prepare_module
from preface_hf.prepare.run import prepare
from preface_hf.video.decoding import open_video
from tests.media import as_bytes, given_clip, pattern
from tests.video.bad_files import write_bad_files


pytest.importorskip("cv2")
ROOT = Path(__file__).parents[2]
SLOW = pytest.mark.slow  # the same at other moments
GOOD = ("good0.mp4", "good1.mp4")


def command(src: Path, out: Path, *more: str, **options) -> subprocess.CompletedProcess:
    call = [sys.executable, "-m", "preface_hf", "prepare", str(src), str(out), "--landmarker", "given"]
    call += ["--crop-size", "64", *more]
    options = {"cwd": ROOT, "timeout": 120, "capture_output": True, "text": True, **options}
    return subprocess.run(call, **options)


def report(out: Path) -> dict[str, dict]:
    return {row["source"]: row for row in map(json.loads, (out / "report.jsonl").read_text().splitlines())}


@pytest.fixture(scope="module")
def bad(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A folder of bad files with two good clips among them, and the reasons expected."""
    src = tmp_path_factory.mktemp("bad") / "src"
    for name in GOOD:
        given_clip(src, name)
    return src, write_bad_files(src)


@pytest.mark.parametrize("workers", [pytest.param("1", marks=SLOW), "2"])
def test_bad_files_are_listed_and_the_others_prepared(bad, tmp_path: Path, workers: str):
    src, reasons = bad
    done = command(src, tmp_path / "out", "--media", "all", "--workers", workers)
    assert done.returncode == 0, done.stderr
    lines = report(tmp_path / "out")
    assert {name for name, line in lines.items() if line["status"] == "prepared"} == {*GOOD}
    assert "36 media are not named in metadata.csv" in lines.pop("*")["reason"]
    assert set(lines) == {*GOOD, *reasons}
    for name, reason in reasons.items():
        said = lines[name]["reason"]
        assert reason in said, name
        assert len(said) < 400 and "\n" not in said and str(src) not in said, said
    left_out = sum(line["status"] == "left out" for line in lines.values())
    assert left_out == len(reasons) - 1, "the text file is ignored"
    counts = f"2 files prepared, {left_out} left out, 1 ignored"
    assert "2 rows in train" in done.stdout and counts in done.stdout.replace("\n", " ")


@pytest.fixture(scope="module")
def ten(tmp_path_factory) -> Path:
    """Ten clips, two tasks' worth, and the set prepared from them."""
    place = tmp_path_factory.mktemp("ten")
    for index in range(10):
        given_clip(place / "src", f"clip{index}.mp4", frames=8, seed=index)
    assert command(place / "src", place / "whole").returncode == 0
    return place


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize("room", [pytest.param(0.001, marks=SLOW), 0.1, pytest.param(0.9, marks=SLOW)])
def test_a_full_disk_is_one_sentence_and_the_run_goes_on(ten: Path, tmp_path: Path, room: float):
    """No file may grow beyond a part of the final shard: the listing, the rows of a task or the shard itself fails."""
    import resource

    bytes_left = int((ten / "whole/data/train-00000-of-00001.parquet").stat().st_size * room)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, bytes_left))

    out = tmp_path / "out"
    done = command(ten / "src", out, preexec_fn=limited)
    assert done.returncode == 2 and "too large" in done.stderr.lower() and "Traceback" not in done.stderr
    assert "cannot write" in done.stderr and not list(out.rglob("*.tmp")), "nothing half written takes up room"
    assert not (out / "README.md").exists() and not list(out.glob("data/*"))
    reports = [line for file in out.glob(".work/tasks-*/report-*.jsonl") for line in file.read_text().splitlines()]
    assert all(json.loads(line)["status"] == "prepared" for line in reports), "the disk is no fault of a video"
    assert command(ten / "src", out).returncode == 0
    files = [file.relative_to(ten / "whole") for file in (ten / "whole").rglob("*") if file.is_file()]
    assert all((out / file).read_bytes() == (ten / "whole" / file).read_bytes() for file in files)


def test_a_file_that_disappears_after_the_listing(tmp_path: Path, monkeypatch):
    for name in (*GOOD, "gone.mp4"):
        given_clip(tmp_path / "src", name)
    run_tasks = prepare_module.run_tasks

    def without_it(*arguments, **settings):
        (tmp_path / "src/gone.mp4").unlink()
        return run_tasks(*arguments, **settings)

    monkeypatch.setattr(prepare_module, "run_tasks", without_it)
    assert prepare(tmp_path / "src", tmp_path / "out", landmarker="given", crop_size=64).rows == 2
    assert report(tmp_path / "out")["gone.mp4"]["reason"].startswith("gone.mp4 is not a file")


def test_what_may_not_be_read_is_listed(tmp_path: Path):
    for name in (*GOOD, "secret.mp4", "closed/inside.mp4"):
        given_clip(tmp_path / "src", name)
    (tmp_path / "src/secret.mp4").chmod(0)
    (tmp_path / "src/closed").chmod(0)
    if os.access(tmp_path / "src/secret.mp4", os.R_OK):
        pytest.skip("this user may read everything")
    assert prepare(tmp_path / "src", tmp_path / "out", landmarker="given", crop_size=64).rows == 2
    lines = report(tmp_path / "out")
    assert "Permission denied" in lines["secret.mp4"]["reason"]
    assert "may not be read" in lines["closed"]["reason"]
    (tmp_path / "src/closed").chmod(0o755)


def test_pillow_has_no_limit_of_its_own(tmp_path: Path, monkeypatch):
    """`max_pixels` is the limit, and it can be raised."""
    (tmp_path / "a.png").write_bytes(as_bytes(pattern(1)[0], "png"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert open_video(tmp_path / "a.png").frames([0]).shape == (1, 96, 128, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_broken_torchcodec_breaks_nothing(tmp_path: Path):
    """datasets takes torchcodec for working wherever it is installed."""
    given_clip(tmp_path / "src", "good.mp4")
    (tmp_path / "torchcodec").mkdir()
    (tmp_path / "torchcodec/__init__.py").write_text("raise OSError('libavutil.so.59: cannot open shared object')")
    code = f"""
from datasets import load_dataset
from preface_hf.prepare.run import prepare
prepare({str(tmp_path / "src")!r}, {str(tmp_path / "out")!r}, landmarker="given", crop_size=64)
print(next(iter(load_dataset({str(tmp_path / "out")!r}, split="train", streaming=True)))["fps"])
"""
    found = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], env=found, capture_output=True, text=True, timeout=120)
    assert done.stdout.split()[-1:] == ["25.0"], done.stderr
