"""What a command shows while it works."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from preface_hf.cli import main
from preface_hf.executors import Display, run_tasks
from preface_hf.progress import HUSHED, Counts, Level, count_frames, count_video, read_tallies, shown, tallied
from preface_hf.training import log


pytest.importorskip("datatrove")
ROOT = Path(__file__).parents[1]


class CountVideos:
    """A step: each task has two videos of five frames; task 1 fails after its first, until `fixed` is there."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, _, rank: int, tasks: int) -> None:
        for _video in range(2):
            list(count_frames(range(5)))
            count_video()
            if rank == 1 and not (self.folder / "fixed").exists():
                while not (self.folder / "work/completions/00000").exists():  # the other task is done by then
                    time.sleep(0.01)
                raise ValueError("not yet")


def tallies(folder: Path) -> list[Path]:
    return sorted((folder / "work/tallies").glob("*.txt"))


def test_nothing_is_counted_outside_a_task(tmp_path: Path):
    assert list(count_frames("abc")) == ["a", "b", "c"]
    with tallied(tmp_path / "0.txt"):
        list(count_frames("abc"))
        count_video()
    count_video()
    assert read_tallies([tmp_path / "0.txt", tmp_path / "not there.txt"]) == Counts(1, 3)


@pytest.mark.parametrize("workers", [1, 2])
def test_videos_are_counted_through_a_restart(tmp_path: Path, monkeypatch, workers: int):
    seen = []

    def spied(label, read, total, noun):
        seen.append(read)
        return shown(label, read, total, noun)

    monkeypatch.setattr("preface_hf.executors.shown", spied)
    run = {"workers": workers, "display": Display("counting", 4)}
    with pytest.raises(ValueError, match="not yet"):
        run_tasks(CountVideos(tmp_path), 2, tmp_path / "work", **run)
    (tmp_path / "fixed").touch()
    assert run_tasks(CountVideos(tmp_path), 2, tmp_path / "work", **run)
    assert seen[-1]() == Counts(4, 20) == read_tallies(tallies(tmp_path))
    assert run_tasks(CountVideos(tmp_path), 2, tmp_path / "work", **run) and len(seen) == 2, "nothing is left to show"


def test_a_tally_is_whole_before_its_task_counts_as_done(tmp_path: Path, monkeypatch):
    (tmp_path / "fixed").touch()
    # The process ends as soon as a task is done: what `tallied` writes at its end is lost.
    monkeypatch.setattr("preface_hf.executors.tallied", tallied_until)
    assert run_tasks(CountVideos(tmp_path), 2, tmp_path / "work", workers=1, display=Display("counting", 4))
    assert read_tallies(tallies(tmp_path)) == Counts(4, 20)


@contextmanager
def tallied_until(file: Path):
    with tallied(file):
        yield
        text = file.read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")


def test_a_bar_on_a_terminal_lines_elsewhere(monkeypatch, capfd):
    monkeypatch.setattr("preface_hf.progress.LINE_SECONDS", 0.01)
    read = iter([Counts(0, 0), *[Counts(1, 250)] * 1000])
    with shown("preparing", lambda: next(read), 4, "videos"):
        time.sleep(0.2)
    out, err = capfd.readouterr()
    assert out == "" and "preparing: 1 of 4 videos, 250 frames" in err
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes stderr for a terminal
    with shown("preparing", lambda: Counts(4, 1000), 4, "pictures"):
        pass
    out, err = capfd.readouterr()
    assert out == "" and "4 of 4 pictures, 1,000 frames" in err


def command(*arguments, **environment):
    # A command that ran in this process has hushed the libraries for all that it starts.
    inherited = {name: value for name, value in os.environ.items() if name not in HUSHED}
    return subprocess.run(
        [sys.executable, "-m", "preface_hf", *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, env={**inherited, **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    from preface_hf import PrefAceConfig, PrefAceModel, PrefAceVideoProcessor
    from tests.modeling_common import TINY

    folder = tmp_path_factory.mktemp("checkpoint")
    PrefAceModel(PrefAceConfig(**TINY)).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    PrefAceVideoProcessor(size={"shortest_edge": 32}, crop_size=size, num_frames=4).save_pretrained(folder)
    return folder


def test_what_quiet_and_verbose_show(checkpoint: Path, prepared: Path, tmp_path: Path):
    plain = command("extract", checkpoint, prepared, tmp_path / "plain.parquet")
    assert plain.returncode == 0 and "24 sources" in plain.stdout
    assert plain.stderr == "", "libraries are silent"
    quiet = command("extract", "--quiet", checkpoint, prepared, tmp_path / "quiet.parquet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    verbose = command("-v", "extract", checkpoint, prepared, tmp_path / "verbose.parquet")
    assert verbose.returncode == 0 and "Loading weights" in verbose.stderr
    files = [(tmp_path / f"{name}.parquet").read_bytes() for name in ("plain", "quiet", "verbose")]
    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize("flags", [["-q"], ["-v"], ["-q", "-v"]])
def test_quiet_and_verbose_change_what_a_refusal_shows(tmp_path: Path, monkeypatch, capsys, flags: list[str]):
    monkeypatch.setattr("preface_hf.progress._level", Level.NORMAL)  # as it was, when this ends
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path), *flags])
    errors = capsys.readouterr().err
    assert stop.value.code == 2
    assert ("Traceback" in errors) == (flags == ["-v"])
    assert ("one of them" in errors) == (len(flags) == 2)
    if flags != ["-v"]:
        assert errors.startswith("preface-hf: ") and errors.count("\n") == 1


def test_verbose_names_every_file_left_out(drawn_videos: Path, tmp_path: Path):
    videos = tmp_path / "videos"
    videos.mkdir()
    first = min(drawn_videos.glob("*.mp4"))
    for file in (first, first.with_suffix(".npy")):
        (videos / file.name).write_bytes(file.read_bytes())
    (videos / "empty.mp4").write_bytes(b"")
    done = command("-v", "prepare", videos, tmp_path / "set", "--landmarker", "given", "--crop-size", 64)
    assert done.returncode == 0, done.stderr
    reasons = [json.loads(line) for line in (tmp_path / "set/report.jsonl").read_text().splitlines()]
    reason = next(line["reason"] for line in reasons if line["source"] == "empty.mp4")
    assert f"left out: empty.mp4: {reason}" in done.stdout.splitlines()


def test_without_a_terminal_pretraining_says_how_far_it_is(monkeypatch, capsys):
    with log.progress_bar(True) as bar:
        task = bar.add_task("pretrain", total=1000, loss="")
        bar.show(task, 1, 2.0)
        bar.show(task, 2, 2.0)
        monkeypatch.setattr(bar, "due", 1e-9)
        bar.show(task, 412, 0.5)
    assert capsys.readouterr().err == "pretrain: step 412 of 1,000, loss 0.500\n"
