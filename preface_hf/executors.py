"""Work that is cut into tasks, run by datatrove: in processes of this machine, on SLURM or on Ray.

datatrove remembers which tasks are done, and skips them when the work is started again.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import yaml
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


EXECUTORS = ("local", "slurm", "ray")
# What datatrove calls for every task: with no data, the task's number and how many tasks there are.
Step = Callable[[Any, int, int], None]


def check_executor(executor: str, workers: int, tasks: int | None, cluster: dict[str, Any] | None) -> None:
    """`ValueError`, in one sentence, for settings that `run_tasks` could not follow."""
    if executor not in EXECUTORS:
        raise ValueError(f"unknown executor {executor!r}: choose one of {', '.join(EXECUTORS)}")
    if workers < 1 or (tasks is not None and tasks < 1):
        raise ValueError(f"workers {workers} and tasks {tasks} must be at least 1")
    missing = [name for name in ("partition", "time") if executor == "slurm" and name not in (cluster or {})]
    if missing:
        raise ValueError(f"SLURM needs {' and '.join(missing)}: write them into a YAML file and pass --cluster FILE")
    if executor == "local" and cluster:
        raise ValueError(f"the local executor takes no cluster settings ({', '.join(cluster)}): leave them out")


def read_cluster(file: str | Path | None) -> dict[str, Any] | None:
    """The settings in a YAML file; `ValueError` where it cannot be read or is no mapping."""
    if file is None:
        return None
    try:
        settings = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read the cluster settings {str(file)!r}: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"the cluster settings {str(file)!r} are no mapping: write lines of `key: value`")
    return settings


def run_tasks(
    step: Step,
    tasks: int,
    folder: Path,
    *,
    executor: str = "local",
    workers: int = 1,
    cluster: dict[str, Any] | None = None,
    finish: Step | None = None,
    label: str = "working",
) -> bool:
    """Run `step` for every task that is not done yet; `folder` holds datatrove's logs and what is done.

    `workers` tasks run at a time, each in a process of its own (a single one: in this process). `cluster` are further
    arguments of datatrove's executor, such as `partition`, `time` or `mem_per_cpu_gb`. Returns whether all is done:
    SLURM only takes the work, and calls `finish` when it is. Raises what a task raised (`local`), or `RuntimeError`
    where tasks failed or a process died: the same call goes on from there.
    """
    try:
        from datatrove import executor as datatrove
    except ImportError as error:
        raise ValueError("tasks are run by datatrove, which is missing: pip install 'preface-hf[faces]'") from error
    settings: dict[str, Any] = {"tasks": tasks, "logging_dir": str(folder.resolve()), **(cluster or {})}
    if executor == "slurm":
        _submit(datatrove.SlurmPipelineExecutor, step, finish, {**_environment(), **settings, "workers": workers})
        return False
    if executor == "ray":
        _start_ray(workers)
        run = datatrove.RayPipelineExecutor([step], workers=workers, **settings)
        run.run()
    else:
        run = datatrove.LocalPipelineExecutor([step], workers=workers, **settings)
        _run_locally(run, label)
    failed = run.get_incomplete_ranks(range(tasks), skip_completed=True)
    if failed:
        raise RuntimeError(f"{len(failed)} of {tasks} tasks failed, see {folder}/logs; run the same again to go on")
    return True


def _run_locally(run: Any, label: str) -> None:
    """What datatrove's own `run` does, but for its pool, which would wait for ever for a process that was killed."""
    waiting = run.get_incomplete_ranks()
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("tasks"), TimeRemainingColumn())
    _be_quiet()
    with Progress(TextColumn(label), *columns) as progress:
        bar = progress.add_task("", total=run.tasks, completed=run.tasks - len(waiting))
        if run.workers == 1:
            for rank in waiting:
                _run_task(run, rank)
                progress.advance(bar)
        elif waiting:
            _run_in_processes(run, waiting, lambda: progress.advance(bar))


def _run_in_processes(run: Any, waiting: list[int], advance: Callable[[], None]) -> None:
    pool = ProcessPoolExecutor(min(run.workers, len(waiting)), get_context("spawn"), _start_worker)
    with pool:
        try:
            for future in as_completed([pool.submit(_run_task, run, rank) for rank in waiting]):
                future.result()
                advance()
        except BrokenProcessPool as error:
            raise RuntimeError("a worker died (out of memory?): run the same command again to go on") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # else Ctrl-C would wait for all that is queued


def _run_task(run: Any, rank: int) -> None:
    run._run_for_rank(rank, local_rank=1)  # another rank than 0 keeps its log off the console


def _start_worker() -> None:
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _be_quiet()


def _exit_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _be_quiet() -> None:
    from loguru import logger

    logger.disable("datatrove")


def _start_ray(workers: int) -> None:
    """Join the Ray cluster of `RAY_ADDRESS`, or start one of `workers` processes on this machine."""
    try:
        import ray
    except ImportError as error:
        raise ValueError("Ray is not installed: pip install 'preface-hf[cluster]', or use --executor local") from error
    if not ray.is_initialized():
        local: dict[str, Any] = (
            {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
        )
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **local)


def _environment() -> dict[str, Any]:
    """How a SLURM job gets the Python that runs here."""
    activate = Path(sys.prefix) / "bin" / "activate"
    return {"venv_path": str(activate)} if activate.is_file() else {}


def _submit(slurm: Any, step: Step, finish: Step | None, settings: dict[str, Any]) -> None:
    """Hand the tasks to SLURM as a job array, and `finish` as a job that waits for them all."""
    folder, name = settings["logging_dir"], settings.pop("job_name", "preface-hf")
    run = slurm([step], job_name=name, **settings)
    last = run
    if finish is not None:
        ending = {**settings, "tasks": 1, "workers": 1, "logging_dir": f"{folder}/finish"}
        last = slurm([finish], job_name=f"{name}-finish", depends=run, skip_completed=False, **ending)
    try:
        last.run()
    except FileNotFoundError as error:
        raise ValueError(
            f"there is no {error.filename} on this machine: run the same command where SLURM is "
            f"(the job's script is {folder}/launch_script.slurm)"
        ) from error
