"""FSDP2 by `examples/launch/fsdp2.yaml` on two gloo processes: it learns what one process does, and resumes exactly.

Accelerate shards on accelerators only. So the processes say that they have some; all that follows is the real thing.
"""

import os
import subprocess
import sys

import pytest
import torch
import yaml
from accelerate.utils import DistributedType
from safetensors.torch import load_file

from preface_hf import PrefAceForPreTraining
from preface_hf.training.arguments import PretrainArguments
from preface_hf.training.build import build_accelerator
from preface_hf.training.checkpoint import latest_checkpoint
from tests.training.test_loop import ROOT, assert_near, assert_same, environment, losses, rows, run, state


FSDP2 = ROOT / "examples/launch/fsdp2.yaml"
SHARDED = """
import os, sys, torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor
from preface_hf.training.arguments import load_arguments
from preface_hf.training.loop import Pretraining

PartialState(cpu=True)
PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
settings, folder, last, *resume = sys.argv[1:]
run = Pretraining(load_arguments(settings, {"output_dir": folder}), resume=bool(resume))
assert run.accelerator.is_fsdp2
assert all(isinstance(weight, DTensor) for group in run.optimizer.param_groups for weight in group["params"])
assert sorted((g["factor"], g["decays"]) for g in run.optimizer.param_groups) == [
    (factor, decays) for factor in (0.125, 0.25, 0.5, 1.0) for decays in (False, True)
]
after = run.after_train_step
def die(logs):
    if run.step == int(last):
        os._exit(0)
    after(logs)
run.after_train_step = die
run.train()
torch.save(run.objective.state_dict(), f"{folder}/rank{run.accelerator.process_index}.pt")
run.accelerator.end_training()
"""


def launch(settings, folder, last=0, *flags, config=FSDP2):
    """Two processes; after step `last` they die as in a crash."""
    (folder.parent / "settings.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (folder.parent / "sharded.py").write_text(SHARDED, encoding="utf-8")
    call = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), "--num_processes", "2"]
    call += ["--main_process_port", "0", "sharded.py", "settings.yaml", str(folder), str(last), *flags]
    subprocess.run(call, env=environment(), check=True, cwd=folder.parent)


@pytest.fixture
def settings(tiny_settings):
    """The prototypes rest during the first three steps, at whose end a checkpoint is."""
    extra = {"mixed_precision": "no", "publish": "student", "layer_decay": 0.5, "freeze_prototypes_epochs": 2.0}
    return {**tiny_settings, **extra, "learning_rate": 0.005, "gradient_accumulation_steps": 2, "batch_size": 2}


def test_shards_learn_what_one_process_does(settings, tmp_path):
    run({**settings, "batch_size": 8, "gradient_accumulation_steps": 1}, tmp_path / "one")
    launch(settings, tmp_path / "two")
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "two"), rel=1e-5)
    for name in ("grad_norm", "learning_rate"):
        ours, theirs = ([row[name] for row in rows(tmp_path / folder)] for folder in ("one", "two"))
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert_near(tmp_path / "one", tmp_path / "two", rtol=1e-2, atol=1e-4)
    ranks = [torch.load(tmp_path / f"two/rank{rank}.pt", weights_only=True) for rank in range(2)]
    assert_same(*ranks)
    one, two = (sorted(p.name for p in (tmp_path / name / "final").iterdir()) for name in ("one", "two"))
    assert one == two
    assert type(PrefAceForPreTraining.from_pretrained(tmp_path / "two/final")).__name__ == "PrefAceForPreTraining"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["SHARDED_STATE_DICT", "FULL_STATE_DICT"])
def test_shards_resume_exactly(settings, tmp_path, kind):
    config = tmp_path / "fsdp2.yaml"
    config.write_text(FSDP2.read_text().replace("SHARDED_STATE_DICT", kind), encoding="utf-8")
    launch(settings, tmp_path / "whole", config=config)
    launch(settings, tmp_path / "cut", 5, config=config)
    assert latest_checkpoint(tmp_path / "cut/checkpoints").name == "step-00000003"
    with pytest.raises(ValueError, match="2 processes and cannot be resumed by 1"):
        run(settings, tmp_path / "cut", resume=True)
    launch(settings, tmp_path / "cut", 0, "--resume", config=config)
    assert_same(*(load_file(tmp_path / name / "final/model.safetensors") for name in ("whole", "cut")))
    assert_same(*(state(tmp_path / name / "checkpoints/step-00000006") for name in ("whole", "cut")))
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")


@pytest.mark.slow
def test_shards_in_bfloat16_stay_near_one_process(settings, tmp_path):
    lower = {**settings, "mixed_precision": "bf16", "gradient_checkpointing": True}
    run({**lower, "batch_size": 8, "gradient_accumulation_steps": 1}, tmp_path / "one")
    launch(lower, tmp_path / "two")
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "two"), rel=0.05)
    saved = load_file(tmp_path / "two/final/model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FSDP_VERSION", "1", "fsdp_version=1 .* set it to 2"),
        ("FSDP_CPU_RAM_EFFICIENT_LOADING", "true", "fsdp_cpu_ram_efficient_loading=True .* set it to false"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "true", "set it to false .gradient_checkpointing of the run"),
        ("FSDP_OFFLOAD_PARAMS", "true", "fsdp_offload_params=True"),
    ],
)
def test_settings_that_do_not_fit_are_named(monkeypatch, name, value, message):
    from accelerate.state import AcceleratorState, PartialState

    for key, setting in {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", name: value}.items():
        monkeypatch.setenv(key, setting)
    before = PartialState(cpu=True).distributed_type
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    try:
        with pytest.raises(ValueError, match=message):
            build_accelerator(PretrainArguments(), PretrainArguments().parts())
    finally:
        AcceleratorState._reset_state()
        PartialState._shared_state["distributed_type"] = before
        os.environ.pop("FSDP_CPU_RAM_EFFICIENT_LOADING", None)
