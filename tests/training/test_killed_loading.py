"""A loading process that is killed ends a run in one sentence, with all that whole steps have learned."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest
from safetensors.torch import load_file

from preface_hf.data.workers import loaded, loader
from preface_hf.training.checkpoint import latest_checkpoint
from tests.data.test_workers import Processes
from tests.training.test_loop import assert_same, command, environment, last_step, processes_of, run, state


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_loading_process_is_one_sentence_and_a_checkpoint(tiny_settings, tmp_path):
    settings = {**tiny_settings, "max_steps": 4000, "save_steps": 4000, "num_workers": 1, "warmup_steps": 2}
    process = subprocess.Popen(
        command(settings, tmp_path / "run"), env={**environment(), "RUN_OF_THIS_TEST": str(tmp_path)}, cwd=tmp_path,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 180
    while last_step(tmp_path / "run") < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    children = [pid for pid in processes_of(tmp_path) if parent_of(parent_of(pid)) == process.pid]
    assert len(children) == 1, "the loading process is the child of the fork server"
    os.kill(children[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in errors, errors
    sentence = errors.splitlines()[-1]
    assert (
        "a loading process was killed, most often because memory ran out: end other programs or lower num_workers"
        in sentence
    )
    checkpoint = latest_checkpoint(tmp_path / "run/checkpoints")
    assert f"everything up to step {int(checkpoint.name[5:])} is saved: continue with --resume." in sentence
    assert int(checkpoint.name[5:]) == last_step(tmp_path / "run"), "the last whole step"


def parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.mark.parametrize("accumulated", [1, 2])
def test_what_is_saved_then_resumes_bit_for_bit(tiny_settings, tmp_path, monkeypatch, accumulated):
    """The loader is lost in the middle of a step, after some of its batches."""
    from preface_hf.training.loop import Pretraining

    settings = {**tiny_settings, "gradient_accumulation_steps": accumulated, "save_steps": 6}
    run(settings, tmp_path / "whole")
    whole = Pretraining.batches

    def batches(self):
        for number, batch in enumerate(whole(self)):
            if number == 5 * accumulated - 1:
                raise ChildProcessError("gone")
            yield batch

    monkeypatch.setattr(Pretraining, "batches", batches)
    with pytest.raises(ChildProcessError, match="gone; everything up to step 4 is saved: continue with --resume"):
        run(settings, tmp_path / "cut")
    monkeypatch.setattr(Pretraining, "batches", whole)
    run(settings, tmp_path / "cut", resume=True)
    assert_same(*(load_file(tmp_path / name / "final/model.safetensors") for name in ("whole", "cut")))
    assert_same(*(state(tmp_path / name / "checkpoints/step-00000006") for name in ("whole", "cut")))


def test_before_the_first_step_nothing_is_saved(tiny_settings, tmp_path, monkeypatch):
    from preface_hf.training.loop import Pretraining

    def start(self):
        raise ChildProcessError("gone")

    monkeypatch.setattr(Pretraining, "start", start)
    with pytest.raises(ChildProcessError, match="gone; no step was made yet: start again with --resume"):
        run(tiny_settings, tmp_path / "run")
    assert not (tmp_path / "run/checkpoints").exists()


@pytest.mark.parametrize("step", ["start", "after_train_step"])
def test_no_loading_process_outlives_its_run(tiny_settings, tmp_path, monkeypatch, step):
    """Else a script that Ctrl-C ends would wait for it without end: its traceback holds what the run has made."""
    from preface_hf.objectives.preface import PrefAceObjective
    from preface_hf.training.loop import Pretraining

    def broken(self, made):
        if step == "start":
            next(iter(made))
        raise RuntimeError("broken")

    monkeypatch.setattr(PrefAceObjective if step == "start" else Pretraining, step, broken)
    with pytest.raises(RuntimeError, match="broken") as held:
        run({**tiny_settings, "num_workers": 1}, tmp_path / "run")
    assert held.tb is not None and active_children() == []


def test_another_error_in_a_loading_process_says_what_it_is():
    class Broken(Processes):
        def __iter__(self):
            raise RuntimeError("no such thing")

    with pytest.raises(RuntimeError, match="no such thing"):
        next(loaded(loader(Broken(), workers=0)))
