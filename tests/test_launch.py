"""The files of examples/launch: Accelerate reads them, and the SLURM script runs, stops and comes back."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file

from preface_hf.modeling.modeling_preface import PrefAceLayer
from preface_hf.training.checkpoint import latest_checkpoint
from tests.slurm import install_nodes


ROOT = Path(__file__).parents[1]
LAUNCH = ROOT / "examples/launch"


@pytest.mark.parametrize(("name", "kind"), [("ddp", "MULTI_GPU"), ("fsdp2", "FSDP")])
def test_accelerate_reads_the_config_files(name, kind):
    config = load_config_from_file(str(LAUNCH / f"{name}.yaml"))  # an unknown key is an error
    assert (config.distributed_type, config.num_processes, config.mixed_precision) == (kind, 8, "bf16")
    if name == "fsdp2":
        assert config.fsdp_config["fsdp_version"] == 2
        assert config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"] == PrefAceLayer.__name__


def test_the_slurm_script_is_bash():
    subprocess.run(["bash", "-n", str(LAUNCH / "multi_node.slurm")], check=True)


@pytest.mark.slow
def test_two_nodes_stop_in_time_and_come_back(tiny_settings, tmp_path, monkeypatch):
    """Two "machines" of one process each, on this one: SLURM's signal, a checkpoint, the queue, and the end."""
    settings = {**tiny_settings, "max_steps": 5000, "save_steps": 5000, "num_workers": 1, "keep_checkpoints": None}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    queue = install_nodes(tmp_path / "queue", monkeypatch)
    extra = {"CONFIG": str(LAUNCH / "ddp.yaml"), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    call = ["bash", str(LAUNCH / "multi_node.slurm"), "--config", "settings.yaml", "--output-dir", "run"]
    job = subprocess.Popen([*call, "--data", settings["data"]], cwd=tmp_path, env={**os.environ, **extra})
    metrics, deadline = tmp_path / "run/metrics.jsonl", time.monotonic() + 300
    while not (metrics.exists() and metrics.stat().st_size) and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(timeout=120) == 0
    assert (queue / "requeued").read_text() == "requeue 77\n"
    stopped = latest_checkpoint(tmp_path / "run/checkpoints")
    assert stopped is not None and int(stopped.name[5:]) < 5000
    assert yaml.safe_load((stopped / "training.json").read_text())["processes"] == 2
