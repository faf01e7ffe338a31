"""SLURM's commands as small programs: each job runs as soon as it is handed in, in a shell, as SLURM starts it."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path


SHELL = f"#!/bin/bash\nset -e\nexport PATH={Path(sys.executable).parent}:$PATH\n"
# A queue that runs every job as soon as it is handed in, each task of an array as SLURM would start it.
SBATCH = (
    SHELL
    + """
for script; do :; done
count=$(cat "$QUEUE/count" 2>/dev/null || echo 0); count=$((count + 1)); echo $count > "$QUEUE/count"
cp "$script" "$QUEUE/job-$count.slurm"; echo "$@" > "$QUEUE/job-$count.args"
array=$(grep -oP '(?<=--array=)\\d+-\\d+' "$script" || echo 0-0)
for task in $(seq ${array%-*} ${array#*-}); do
  export SLURM_ARRAY_TASK_ID=$task SLURM_NODELIST=here
  bash "$script" >> "$QUEUE/job-$count.out" 2>&1 || touch "$QUEUE/failed-$count"
done
echo "Submitted batch job $count"
"""
)
SRUN = SHELL + "while [[ $1 == -* ]]; do [[ $1 == -n ]] && shift; shift; done\nexec $*\n"


def install_queue(folder: Path, monkeypatch) -> Path:
    """`sbatch`, `srun` and `scontrol` in `folder`, first on the path; what they were given is kept beside them."""
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("scontrol", SHELL + "echo $3\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("QUEUE", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    return folder


# Two tasks of a job on this machine; signals go to both, as SLURM's srun hands them on.
TWO_NODES = (
    SHELL
    + """
for node in 0 1; do SLURM_PROCID=$node "$@" & tasks="$tasks $!"; done
trap 'kill -TERM $tasks' TERM
for task in $tasks; do
  while kill -0 $task 2>/dev/null; do wait $task || status=$?; done
done
exit ${status:-0}
"""
)
SCONTROL = SHELL + '[[ $1 == show ]] && echo localhost || echo "$@" > "$QUEUE/requeued"\n'


def install_nodes(folder: Path, monkeypatch) -> Path:
    """`srun` on two machines that are this one, and a `scontrol` that writes down what it is told to requeue."""
    install_queue(folder, monkeypatch)
    for name, text in (("srun", TWO_NODES), ("scontrol", SCONTROL)):
        (folder / name).write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PORT", str(free.getsockname()[1]))
    job = {"SLURM_JOB_ID": "77", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "1", "SLURM_JOB_NODELIST": "here"}
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    return folder
