"""What every method has to do in the loop: a new one is tested here by its entry in `METHODS`."""

import subprocess
import sys
import time

import pytest
import torch
import yaml

from preface_hf.objectives.base import saved_state
from preface_hf.objectives.methods import METHODS
from preface_hf.training.checkpoint import latest_checkpoint
from tests.training.test_loop import (  # noqa: F401
    TORCHRUN,
    Stopped,
    assert_near,
    assert_same,
    command,
    environment,
    everything,
    losses,
    rows,
    run,
    stop_after,
)


SLOW = pytest.mark.slow
# Where runs of processes of their own take long: preface has what the others have (teacher, centers), and a cache.
FIRST = ["preface", *(pytest.param(method, marks=SLOW) for method in METHODS if method != "preface")]
ON_DISK = {"objective": {"cache_device": "disk"}}


def assert_runs_are_the_same(one, other):
    """What is saved and what is published, bit for bit, and all that was logged but the time that it took."""
    assert_same(*(everything(latest_checkpoint(folder / "checkpoints")) for folder in (one, other)))
    assert (one / "final/model.safetensors").read_bytes() == (other / "final/model.safetensors").read_bytes()
    logged = [[{k: v for k, v in row.items() if k != "seconds"} for row in rows(folder)] for folder in (one, other)]
    assert logged[0] == logged[1]


@pytest.mark.parametrize(
    ("method", "died", "changes"),
    [
        *(pytest.param(method, 5, {"gradient_accumulation_steps": 2}, id=method) for method in METHODS),
        pytest.param("preface", 6, {}, marks=SLOW, id="right before a checkpoint"),
        pytest.param("preface", 5, ON_DISK, id="cache on disk"),
    ],
)
def test_resumed_equals_uninterrupted(method, method_settings, tmp_path, stop_after, died, changes):  # noqa: F811
    settings = {**method_settings, "max_steps": 8, **changes}
    run(settings, tmp_path / "whole")
    disarm = stop_after(died)
    with pytest.raises(Stopped):
        run(settings, tmp_path / "cut")
    disarm()
    assert latest_checkpoint(tmp_path / "cut/checkpoints").name == "step-00000003"
    workers = int(method == "preface" and changes != ON_DISK)  # whoever loads, the batches are the same
    run({**settings, "num_workers": workers}, tmp_path / "cut", resume=True)
    assert_runs_are_the_same(tmp_path / "whole", tmp_path / "cut")


@pytest.fixture
def one_thread():
    """As the processes of `environment` compute: sums in the same order, to the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        *(pytest.param(method, {}, marks=() if method == "preface" else SLOW, id=method) for method in METHODS),
        pytest.param("preface", ON_DISK, marks=SLOW, id="cache on disk"),
    ],
)
def test_killed_and_resumed_equals_uninterrupted(one_thread, method_settings, tmp_path, changes):
    """SIGKILL in the middle of a run of its own process, then --resume."""
    settings = {**method_settings, "max_steps": 30, "save_steps": 2, **changes}
    run(settings, tmp_path / "whole")
    settings["num_workers"] = 1
    process = subprocess.Popen(command(settings, tmp_path / "cut"), env=environment(), cwd=tmp_path)
    deadline = time.monotonic() + 120
    while latest_checkpoint(tmp_path / "cut/checkpoints") is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "cut/final").exists()
    run({**settings, "num_workers": 0}, tmp_path / "cut", resume=True)
    assert_runs_are_the_same(tmp_path / "whole", tmp_path / "cut")


# ProS: the entropy of the mean assignment, which is no mean over clips (docs/training.md).
WITHOUT_TERMS_OF_A_BATCH = {"pros": {"mean_entropy_weight": 0.0}}


@pytest.mark.parametrize("method", METHODS)
def test_accumulation_steps_equal_one_large_batch(method, method_settings, tmp_path):
    """What stands beside the student moves once a step, over all its batches; the loss is a mean over clips.

    Not where an instance is twice in a step (at the end of an epoch): the cache takes its rows one after the other,
    and batches are sorted each by itself. Here a step is an epoch.
    """
    settings = {**method_settings, "max_steps": 5, "objective": WITHOUT_TERMS_OF_A_BATCH.get(method, {})}
    run({**settings, "batch_size": 12}, tmp_path / "one")
    run({**settings, "batch_size": 3, "gradient_accumulation_steps": 4}, tmp_path / "four")
    assert_near(tmp_path / "one", tmp_path / "four", rtol=1e-2, atol=1e-4)


EVERY_RANK = """
import sys, torch
from preface_hf.training.arguments import load_arguments
from preface_hf.training.loop import Pretraining

run = Pretraining(load_arguments(sys.argv[1], {"output_dir": sys.argv[2]}))
run.train()
torch.save(run.objective.state_dict(), f"{sys.argv[2]}/rank{run.accelerator.process_index}.pt")
run.accelerator.end_training()
"""


@pytest.mark.parametrize("method", FIRST)
def test_two_processes_learn_what_one_does(method_settings, tmp_path):
    """The same global batch; and what stands beside the student is the same bits on both."""
    run({**method_settings, "batch_size": 8}, tmp_path / "one")
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(method_settings), encoding="utf-8")
    (tmp_path / "every_rank.py").write_text(EVERY_RANK, encoding="utf-8")
    launch = [sys.executable, *TORCHRUN, "--nproc_per_node", "2", "every_rank.py"]
    subprocess.run([*launch, "settings.yaml", "two"], env=environment(), check=True, cwd=tmp_path)
    assert_near(tmp_path / "one", tmp_path / "two", rtol=1e-2, atol=1e-4)
    ranks = [torch.load(tmp_path / f"two/rank{rank}.pt", weights_only=True) for rank in range(2)]
    assert ranks[0].keys() == saved_state(latest_checkpoint(tmp_path / "one/checkpoints")).keys()
    assert_same(*ranks)


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize("file", ["model.safetensors", pytest.param("optimizer.bin", marks=SLOW)])
@pytest.mark.parametrize("method", FIRST)
def test_a_full_disk_leaves_the_last_checkpoint(method_settings, tmp_path, stop_after, file):  # noqa: F811
    """No file may grow to the size of `file` of a checkpoint: its writer fails in the middle."""
    import resource

    settings = {**method_settings, "max_steps": 8}
    run(settings, tmp_path / "whole")
    disarm = stop_after(4)
    with pytest.raises(Stopped):
        run(settings, tmp_path / "cut")
    disarm()
    good = tmp_path / "cut/checkpoints/step-00000003"
    room = (good / file).stat().st_size - 1000
    limited = subprocess.run(
        command(settings, tmp_path / "cut", "--resume"), env=environment(), cwd=tmp_path, capture_output=True,
        text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )  # fmt: skip
    assert limited.returncode == 2 and "Traceback" not in limited.stderr, limited.stderr
    assert "step-00000006 could not be written" in limited.stderr.splitlines()[-1]
    assert [path for path in (tmp_path / "cut/checkpoints").iterdir() if path.name[0] != "."] == [good]
    run(settings, tmp_path / "cut", resume=True)
    assert_runs_are_the_same(tmp_path / "whole", tmp_path / "cut")
    assert not list((tmp_path / "cut").rglob(".*"))
