"""Tasks run for real: processes of this machine, Ray, and SLURM's commands by small programs that do what they say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from preface_hf.executors import check_executor, read_cluster, run_tasks


pytest.importorskip("datatrove")
ROOT = Path(__file__).parents[1]


@dataclass
class WriteNumber:
    """A step: every task writes its number; one of them fails, or is killed, until `fixed` lies in the folder."""

    folder: Path
    fails: int | None = None
    dies: int | None = None

    def __call__(self, _, rank: int, tasks: int) -> None:
        if not (self.folder / "fixed").exists():
            if rank == self.dies:
                os.kill(os.getpid(), signal.SIGKILL)
            if rank == self.fails:
                raise ValueError(f"task {rank} cannot")
        with (self.folder / f"{rank} of {tasks}").open("a") as file:
            file.write("x")


def written(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.glob("* of *")}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_done_is_not_done_again(tmp_path: Path, workers: int):
    step = WriteNumber(tmp_path, fails=2)
    with pytest.raises(ValueError, match="task 2 cannot"):
        run_tasks(step, 4, tmp_path / "work", workers=workers)
    (tmp_path / "fixed").touch()
    assert run_tasks(step, 4, tmp_path / "work", workers=workers)
    assert run_tasks(step, 4, tmp_path / "work", workers=workers)
    assert written(tmp_path) == {f"{rank} of 4": "x" for rank in range(4)}


def test_a_killed_worker_is_named_and_never_waited_for(tmp_path: Path):
    code = (
        f"from pathlib import Path\nfrom tests.test_executors import WriteNumber\n"
        f"from preface_hf.executors import run_tasks\nplace = Path({str(tmp_path)!r})\n"
        "if __name__ == '__main__': run_tasks(WriteNumber(place, dies=1), 4, place / 'work', workers=2)\n"
    )
    (tmp_path / "run.py").write_text(code)
    call = [sys.executable, str(tmp_path / "run.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(call, capture_output=True, text=True, timeout=120, env=environment)
    assert result.returncode == 1 and "a worker died" in result.stderr.splitlines()[-1]
    (tmp_path / "fixed").touch()
    subprocess.run(call, check=True, timeout=120, env=environment)
    assert set(written(tmp_path)) == {f"{rank} of 4" for rank in range(4)}


@pytest.mark.parametrize("fault", ["fails", "dies"])
def test_ray_runs_them_and_goes_on_after_a_failure(tmp_path: Path, two_ray_workers, fault: str):
    step = WriteNumber(tmp_path, **{fault: 1})
    with pytest.raises(ChildProcessError, match="1 of 3 tasks failed"):
        run_tasks(step, 3, tmp_path / "work", executor="ray", workers=2)
    assert set(written(tmp_path)) == {"0 of 3", "2 of 3"}
    (tmp_path / "fixed").touch()
    assert run_tasks(step, 3, tmp_path / "work", executor="ray", workers=2)
    assert written(tmp_path) == {f"{rank} of 3": "x" for rank in range(3)}


def test_slurm_gets_an_array_and_a_job_that_waits_for_it(tmp_path: Path, slurm_queue: Path):
    cluster = {"partition": "cpu", "time": "01:00:00", "mem_per_cpu_gb": 3, "job_name": "faces"}
    finish = WriteNumber(tmp_path)
    handed_in = run_tasks(
        WriteNumber(tmp_path), 3, tmp_path / "work", executor="slurm", workers=2, cluster=cluster, finish=finish
    )
    assert not handed_in
    script = (slurm_queue / "job-1.slurm").read_text()
    for line in ("--array=0-2%2", "--partition=cpu", "--time=01:00:00", "--mem-per-cpu=3G", "--job-name=faces"):
        assert f"#SBATCH {line}\n" in script
    assert f"launch_pickled_pipeline {tmp_path}/work/executor.pik" in script
    assert subprocess.run(["bash", "-n", str(slurm_queue / "job-1.slurm")]).returncode == 0
    waiting = [file.read_text() for file in slurm_queue.glob("*.args") if "--dependency=afterok:1" in file.read_text()]
    assert len(waiting) == 1, "the last job waits for the array"
    assert set(written(tmp_path)) == {"0 of 3", "1 of 3", "2 of 3", "0 of 1"}


def test_without_slurm_the_error_says_where_the_script_is(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    cluster = {"partition": "cpu", "time": "01:00:00"}
    with pytest.raises(ValueError, match="there is no sbatch on this machine"):
        run_tasks(WriteNumber(tmp_path), 3, tmp_path / "work", executor="slurm", cluster=cluster)
    assert "#SBATCH --array=0-2%1" in (tmp_path / "work/launch_script.slurm").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("moon", 1, None, None), "unknown executor 'moon'"),
        (("local", 0, None, None), "workers 0"),
        (("local", 1, 0, None), "tasks 0"),
        (("slurm", 1, None, {"time": "1:00"}), "SLURM needs partition"),
        (("local", 1, None, {"time": "1:00"}), "takes no cluster settings"),
        (("ray", 1, None, {"tasks": 3}), "hold tasks"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        check_executor(*settings)


def test_cluster_settings_are_read_from_yaml(tmp_path: Path):
    file = tmp_path / "cluster.yaml"
    assert read_cluster(None) is None
    file.write_text(yaml.safe_dump({"partition": "cpu"}))
    assert read_cluster(file) == {"partition": "cpu"}
    for text in ("- a list", "a: [", "\0"):
        file.write_text(text)
        with pytest.raises(ValueError, match="cluster.yaml"):
            read_cluster(file)


def test_an_unknown_cluster_setting_is_named(tmp_path: Path):
    cluster = {"partition": "cpu", "time": "01:00:00", "partitions": "gpu"}
    with pytest.raises(ValueError, match=r"unknown cluster settings partitions: datatrove knows .*partition"):
        run_tasks(WriteNumber(tmp_path), 3, tmp_path / "work", executor="slurm", cluster=cluster)
