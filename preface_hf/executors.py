"""Work that is cut into tasks, run by datatrove: in processes of this machine, on SLURM or on Ray.

datatrove remembers which tasks are done, and skips them when the work is started again.
"""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

from preface_hf.files import read_yaml
from preface_hf.progress import Counts, read_tallies, shown, tallied, write_tally


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
    # These are set for every run; datatrove would get them twice.
    reserved = sorted({"tasks", "workers", "logging_dir", "pipeline", "depends"} & set(cluster or {}))
    if reserved:
        raise ValueError(f"the cluster settings hold {', '.join(reserved)}, which are set elsewhere: leave them out")
    if executor == "local" and cluster:
        raise ValueError(f"the local executor takes no cluster settings ({', '.join(cluster)}): leave them out")


def read_cluster(file: str | Path | None) -> dict[str, Any] | None:
    """The settings in a YAML file; `ValueError` where it cannot be read or is no mapping."""
    if file is None:
        return None
    settings = read_yaml(file, "the cluster settings")
    if not isinstance(settings, dict):
        raise ValueError(f"the cluster settings {str(file)!r} are no mapping: write lines of `key: value`")
    return settings


@dataclass(frozen=True)
class Display:
    """What is shown while tasks run: `label`, and how many of `total` videos (or another `noun`) are done."""

    label: str
    total: int
    noun: str = "videos"


def run_tasks(
    step: Step,
    tasks: int,
    folder: Path,
    *,
    executor: str = "local",
    workers: int = 1,
    cluster: dict[str, Any] | None = None,
    finish: Step | None = None,
    display: Display | None = None,
) -> bool:
    """Run `step` for every task that is not done yet.

    Args:
        step: what to do; it counts by `progress.count_frames` and `count_video` what `display` shows.
        tasks: how many tasks there are.
        folder: holds datatrove's logs, which tasks are done, and their tallies.
        executor: `local`, `slurm` or `ray`.
        workers: tasks that run at a time, each in a process of its own (a single one: in this process).
        cluster: further arguments of datatrove's executor, such as `partition`, `time` or `mem_per_cpu_gb`.
        finish: what SLURM calls when all tasks are done.
        display: what to show meanwhile; None shows nothing.

    Returns whether all is done: SLURM only takes the work. Raises what a task raised (`local`), or `ChildProcessError`
    where tasks failed or a process died. The same call again does what is left.
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
        submit(engine, step, finish, {**environment(), **settings, "workers": workers})
        return False
    silence_datatrove()
    run = engine([step, end_tally], workers=workers, **settings)
    waiting = run.get_incomplete_ranks()
    if waiting:
        # A single worker works in this process, where a debugger reaches it.
        run_waiting = run_on_ray if executor == "ray" else run_here if workers == 1 else run_in_processes
        with show_tallies(run, tasks, waiting, display):
            run_waiting(run, waiting)
    # On Ray a failed task raises nothing here: it is found missing.
    failed = run.get_incomplete_ranks(range(tasks), skip_completed=True)
    if failed:
        raise ChildProcessError(f"{len(failed)} of {tasks} tasks failed: see {folder}/logs, and run the same again")
    return True


def show_tallies(run: Any, tasks: int, waiting: list[int], display: Display | None) -> AbstractContextManager[None]:
    """Show the tallies of all tasks; those of tasks that begin anew are deleted first."""
    if display is None:
        return nullcontext()
    for rank in waiting:
        tally_file(run, rank).unlink(missing_ok=True)
    # Read once: the tallies of tasks that are done stay as they are.
    done = read_tallies(tally_file(run, rank) for rank in set(range(tasks)) - set(waiting))

    def read() -> Counts:
        return done + read_tallies(tally_file(run, rank) for rank in waiting)

    return shown(display.label, read, display.total, display.noun)


def tally_file(run: Any, rank: int) -> Path:
    """Where task `rank` keeps its tally."""
    return Path(run.logging_dir.path) / "tallies" / f"{rank:06d}.txt"


# What a task is, which are done and what is logged is datatrove's. Its own `run`, of the local and the Ray executor,
# is not used: its pools wait without end for a process that was killed, on Ray once for one that had finished.


def run_here(run: Any, waiting: list[int]) -> None:
    """Run tasks in this process, one after the other; raises what a task raises."""
    for rank in waiting:
        run_task(run, rank)


def run_in_processes(run: Any, waiting: list[int]) -> None:
    """Run tasks in processes of this machine; raises what a task raises, or `ChildProcessError` for one killed."""
    # Not forked: a fork would inherit the locks of threads that run here.
    with ProcessPoolExecutor(min(run.workers, len(waiting)), get_context("spawn"), end_with_parent) as pool:
        try:
            for future in as_completed([pool.submit(run_task, run, rank) for rank in waiting]):
                future.result()
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a worker died (out of memory?): run the same command again, and it does what is left"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # else Ctrl-C would wait for all that is queued


def run_on_ray(run: Any, waiting: list[int]) -> None:
    """Run tasks on Ray, at most `run.workers` at a time; those that fail are left incomplete."""
    ray = start_ray(run.workers)
    memory = int(run.mem_per_cpu_gb * run.cpus_per_task * 2**30)
    wanted = {"num_cpus": run.cpus_per_task, "num_gpus": run.gpus_per_task, "memory": memory, "max_retries": 3}
    task = ray.remote(run_task).options(**wanted, **(run.ray_remote_kwargs or {}))
    # One copy for all tasks: the step may list very many files.
    shared = ray.put(run)
    running: list[Any] = []
    for rank in waiting:
        if len(running) == run.workers:
            running = wait_for_one(ray, running)
        running.append(task.remote(shared, rank))
    while running:
        running = wait_for_one(ray, running)


def wait_for_one(ray: Any, running: list[Any]) -> list[Any]:
    """Wait for one task; one that failed has logged why, and is found missing when the others are done."""
    finished, running = ray.wait(running)
    with suppress(ray.exceptions.RayError):
        ray.get(finished)
    return running


def end_tally(_: Any, rank: int, tasks: int) -> None:
    """The last part of a task: its tally is whole before the task counts as done, for it may be ended right after."""
    write_tally()


def run_task(run: Any, rank: int) -> None:
    """Run one task in this process, with a tally of its own."""
    silence_datatrove()
    with tallied(tally_file(run, rank)):
        run._run_for_rank(rank, local_rank=1)  # another rank than 0 keeps its log off the console


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended: else it would wait for work without end."""
    Thread(target=wait_for_parent, daemon=True).start()


def wait_for_parent() -> None:
    """End this process, with exit code 1, when its parent has ended; returns at once where it has none."""
    if parent := parent_process():
        parent.join()
        os._exit(1)  # at once: nobody is left to wait for this process


def silence_datatrove() -> None:
    """Switch off what datatrove itself logs in this process."""
    from loguru import logger

    logger.disable("datatrove")


def start_ray(workers: int) -> Any:
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


def environment() -> dict[str, Any]:
    """How a SLURM job gets the Python that runs here."""
    activate = Path(sys.prefix) / "bin" / "activate"
    return {"venv_path": str(activate)} if activate.is_file() else {}


def submit(slurm: Any, step: Step, finish: Step | None, settings: dict[str, Any]) -> None:
    """Hand the tasks to SLURM as a job array, and `finish` as a job that waits for them all."""
    folder, name = settings["logging_dir"], settings.pop("job_name", "preface-hf")
    run = slurm([step], job_name=name, **settings)
    last = run
    if finish is not None:
        # One task, done again in every run: after a second try there is more to join.
        ending = {**settings, "tasks": 1, "workers": 1, "logging_dir": f"{folder}/finish"}
        last = slurm([finish], job_name=f"{name}-finish", depends=run, skip_completed=False, **ending)
    try:
        last.run()
    except FileNotFoundError as error:
        raise ValueError(
            f"there is no {error.filename} on this machine: run the same command where SLURM is "
            f"(the job's script is {folder}/launch_script.slurm)"
        ) from error
