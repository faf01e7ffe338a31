"""Work that is cut into tasks, run by datatrove: in processes of this machine, on SLURM or on Ray.

datatrove remembers which tasks are done, and skips them when the work is started again.
"""

from __future__ import annotations

import inspect
import logging
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import yaml
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


EXECUTORS = ("local", "slurm", "ray")
COLUMNS = (BarColumn(), MofNCompleteColumn(), TextColumn("tasks"), TimeRemainingColumn())
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
    reserved = sorted({"tasks", "workers", "logging_dir", "pipeline", "depends"} & set(cluster or {}))
    if reserved:
        raise ValueError(f"the cluster settings hold {', '.join(reserved)}, which are set elsewhere: leave them out")
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
    SLURM only takes the work, and calls `finish` when it is. Raises what a task raised (`local`), or
    `ChildProcessError` where tasks failed or a process died: the same call goes on from there.
    """
    try:
        from datatrove import executor as datatrove
    except ImportError as error:
        raise ValueError("tasks are run by datatrove, which is missing: pip install 'preface-hf[faces]'") from error
    engine: Any = getattr(datatrove, f"{executor.capitalize()}PipelineExecutor")
    known = inspect.signature(engine).parameters
    if unknown := [name for name in cluster or {} if name not in known]:
        raise ValueError(f"unknown cluster settings {', '.join(unknown)}: datatrove knows {', '.join(known)}")
    settings: dict[str, Any] = {"tasks": tasks, "logging_dir": str(folder.resolve()), **(cluster or {})}
    if executor == "slurm":
        _submit(engine, step, finish, {**_environment(), **settings, "workers": workers})
        return False
    _be_quiet()
    run = engine([step], workers=workers, **settings)
    waiting = run.get_incomplete_ranks()
    done = _on_ray if executor == "ray" else _here if workers == 1 else _in_processes
    with Progress(TextColumn(label), *COLUMNS) as progress:
        bar = progress.add_task("", total=tasks, completed=tasks - len(waiting))
        for _ in done(run, waiting) if waiting else ():
            progress.advance(bar)
    failed = run.get_incomplete_ranks(range(tasks), skip_completed=True)
    if failed:
        raise ChildProcessError(f"{len(failed)} of {tasks} tasks failed: see {folder}/logs, and run the same again")
    return True


# datatrove's own `run` of the local and Ray executors starts pools of processes that wait for ever for one that was
# killed (on Ray once for one that had finished); what a task is, what is done and what is logged stays datatrove's.


def _here(run: Any, waiting: list[int]) -> Iterator[None]:
    for rank in waiting:
        _run_task(run, rank)
        yield


def _in_processes(run: Any, waiting: list[int]) -> Iterator[None]:
    with ProcessPoolExecutor(min(run.workers, len(waiting)), get_context("spawn"), _start_worker) as pool:
        try:
            for future in as_completed([pool.submit(_run_task, run, rank) for rank in waiting]):
                yield future.result()
        except BrokenProcessPool as error:
            raise ChildProcessError("a worker died (out of memory?): run the same command again to go on") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # else Ctrl-C would wait for all that is queued


def _on_ray(run: Any, waiting: list[int]) -> Iterator[None]:
    ray = _start_ray(run.workers)
    memory = int(run.mem_per_cpu_gb * run.cpus_per_task * 2**30)
    wanted = {"num_cpus": run.cpus_per_task, "num_gpus": run.gpus_per_task, "memory": memory, "max_retries": 3}
    task = ray.remote(_run_task).options(**wanted, **(run.ray_remote_kwargs or {}))
    shared = ray.put(run)
    running: list[Any] = []
    for rank in waiting:
        if len(running) == run.workers:
            running = yield from _one_less(ray, running)
        running.append(task.remote(shared, rank))
    while running:
        running = yield from _one_less(ray, running)


def _one_less(ray: Any, running: list[Any]) -> Generator[None, None, list[Any]]:
    """Wait for one task; one that failed has logged why, and is found missing when the others are done."""
    finished, running = ray.wait(running)
    with suppress(ray.exceptions.RayError):
        ray.get(finished)
    yield
    return running


def _run_task(run: Any, rank: int) -> None:
    _be_quiet()
    run._run_for_rank(rank, local_rank=1)  # another rank than 0 keeps its log off the console


def _start_worker() -> None:
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _be_quiet() -> None:
    from loguru import logger

    logger.disable("datatrove")


def _start_ray(workers: int) -> Any:
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
    return ray


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
