"""All tasks by name: the sets of the papers and their relatives."""

from __future__ import annotations

from collections.abc import Sequence

from preface_hf.tasks import attributes, deepfake, expression, landmarks, lipsync, sync
from preface_hf.tasks.base import Task, own_task


TASKS: dict[str, Task] = {
    **attributes.TASKS, **expression.TASKS, **deepfake.TASKS, **landmarks.TASKS,
    **sync.TASKS, **lipsync.TASKS,
}  # fmt: skip


def task_of(name: str | None, columns: Sequence[str] = ()) -> Task:
    """The task of this name, or that of your own columns; `ValueError` for neither, both, or an unknown name."""
    if name is None:
        if not columns:
            raise ValueError("nothing says what to predict: name columns with --label, or a set's --task.")
        return own_task(columns)
    if columns:
        raise ValueError(f"--task {name} has its own columns: leave --label out, or the task.")
    if name not in TASKS:
        raise ValueError(f"the task {name!r} is unknown: choose one of {', '.join(TASKS)}.")
    return TASKS[name]
