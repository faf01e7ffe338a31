"""Plans: what follows from what, what limits, and what the command line prints and refuses."""

import dataclasses

import pytest

from preface_hf.plan.flops import costs_of
from preface_hf.plan.machines import MACHINES
from preface_hf.plan.plan import plan
from preface_hf.plan.table import show_plan
from preface_hf.training.arguments import PretrainArguments, load_arguments
from tests.test_cli import refused


BIG = {"size": "vit-b", "mixed_precision": "bf16", "num_workers": 12}


def test_sizes_follow_from_the_settings():
    arguments = PretrainArguments(**BIG, batch_size=16, gradient_accumulation_steps=2, max_steps=1000)
    made = plan(arguments, MACHINES["h100-8"], 3425)
    assert made.global_batch == 8 * 16 * 2
    assert made.tokens["a clip"] == 2 * 8 * 14**2 + 11 * 8 * 6**2
    assert made.epochs == 1000 * 256 / 3425
    assert made.seconds["computing"] == pytest.approx(sum(made.flops.values()) / (8 * 989e12 * 0.35))
    assert made.dollars == pytest.approx(made.hours * 24)


def test_what_limits_a_step():
    arguments = PretrainArguments(**BIG, batch_size=16)
    node = MACHINES["h100-8"]
    limits = {
        "computing": node,
        "loading": dataclasses.replace(node, clips_per_core_second=1.0),
        "exchanging": dataclasses.replace(node, exchange_gb_per_second=0.1),
    }
    for limit, machine in limits.items():
        made = plan(arguments, machine, 10**6)
        assert made.limit == limit
        assert made.step_seconds == made.seconds[limit] + made.seconds["gathering"]


def test_gradients_are_not_exchanged_with_oneself():
    made = plan(PretrainArguments(), MACHINES["rtx4090"], 1000)
    assert made.seconds["exchanging"] == made.seconds["gathering"] == 0


def test_loading_takes_cores_from_a_machine_that_computes_on_them():
    alone, beside = (plan(PretrainArguments(num_workers=n), MACHINES["cpu-2"], 100) for n in (0, 1))
    assert beside.seconds["computing"] == pytest.approx(2 * alone.seconds["computing"])


def test_gathered_is_what_the_objective_gathers(noise_step):
    arguments = PretrainArguments(size="vit-t", batch_size=3, model={"image_size": 32, "num_frames": 4})
    objective, batch = noise_step(arguments, 50)
    bytes_seen = []

    def gather(tensor):
        bytes_seen.append(tensor.nbytes)
        return tensor

    objective.gather = gather
    objective(batch, 0).loss.backward()
    objective.after_step(0)
    logits = 4 * arguments.parts().model.num_prototypes  # once a process
    assert sum(bytes_seen) == 3 * costs_of(arguments, arguments.parts(), 50).gathered_bytes + logits


def test_the_command_prints_a_plan_and_writes_nothing(capsys, prepared, tmp_path, monkeypatch):
    from preface_hf.cli import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["pretrain", "--config", "demo", "--data", str(prepared), "--plan", "--machine", "cpu-2"])
    printed = capsys.readouterr().out
    assert stop.value.code == 0 and not list(tmp_path.iterdir())
    for words in ("12 instances, 1 x 24 GiB (cpu-2)", "FLOPs of a step", "assumed: 20% of", "<- limits", "1,933,952"):
        assert words in printed


def test_the_command_refuses(capsys):
    pretrain = ("pretrain", "--config", "demo", "--plan")
    assert "known machines: h100-8" in refused(capsys, *pretrain, "--machine", "tpu", "--instances", 5)
    assert "--instances N, or --data" in refused(capsys, *pretrain)
    assert "instances=0" in refused(capsys, *pretrain, "--instances", 0)


def test_too_little_memory_is_said(capsys):
    show_plan(load_arguments("vit-l", {"batch_size": 32}), "rtx4090", 100)
    assert "DOES NOT FIT" in capsys.readouterr().out
