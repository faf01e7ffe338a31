"""Real runs: what starts one, what is in its folder, how it ends. All methods: `test_every_method.py`."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import VideoMAEConfig, VideoMAEModel

from preface_hf import PrefAceForPreTraining, PrefAceModel, PrefAceVideoProcessor
from preface_hf.convert import convert
from preface_hf.data.streams import Batch, PlainClips
from preface_hf.objectives.base import ObjectiveOutput, part, saved_state
from preface_hf.objectives.cache.facefeat_cache import CACHE_FILE
from preface_hf.objectives.cache.mapped import saved_rows
from preface_hf.objectives.preface import PrefAceObjective
from preface_hf.prepare.run import prepare
from preface_hf.synthetic import EXPRESSIONS, ClipSpec, write_synthetic
from preface_hf.training import Interrupted
from preface_hf.training import build as training_build
from preface_hf.training.arguments import PretrainArguments, build, load_arguments
from preface_hf.training.checkpoint import latest_checkpoint
from preface_hf.training.guards import check_finite
from preface_hf.training.loop import Pretraining, pretrain
from tests.conftest import ENCODER_SIZES


ROOT = Path(__file__).parents[2]
# Standing alone it takes a free port: by itself every launch takes the same one.
TORCHRUN = ["-m", "torch.distributed.run", "--standalone"]


def run(settings, folder, resume=False, **changes) -> Path:
    settings = {**settings, **changes, "output_dir": str(folder)}
    return pretrain(build(PretrainArguments, settings, "test"), resume=resume)


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder):
    return [row["loss"] for row in rows(folder)]


def state(checkpoint):
    objective = saved_state(checkpoint)
    return {
        **load_file(checkpoint / "model.safetensors"),
        **{f"teacher {k}": v for k, v in part(objective, "teacher").items()},
        "center": objective["center"],
        "cache": rows_on_disk(checkpoint) if (checkpoint / CACHE_FILE).exists() else objective["cache.entries"],
    }


def rows_on_disk(checkpoint):
    return saved_rows(checkpoint / CACHE_FILE, 16, torch.bfloat16)


def everything(checkpoint):
    """What a checkpoint of any method holds, but for the moments of the student's optimizer."""
    files = {"entries on disk": rows_on_disk(checkpoint)} if (checkpoint / CACHE_FILE).exists() else {}
    return {**load_file(checkpoint / "model.safetensors"), **saved_state(checkpoint), **files}


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert [key for key in one if not torch.equal(*map(torch.as_tensor, (one[key], other[key])))] == []


def write_drawn(folder):
    """A prepared set of three people."""
    specs = [ClipSpec(person, EXPRESSIONS[0], person, "train", num_frames=8, size=64) for person in range(3)]
    write_synthetic(folder / "videos", specs)
    prepare(folder / "videos", folder / "set", landmarker="given", crop_size=64)
    return folder / "set"


class Stopped(Exception):
    pass


@pytest.fixture
def stop_after(monkeypatch):
    """Makes the next run die right after a step, as a crash would: nothing is saved on the way out."""

    def arm(step):
        whole = Pretraining.train_step

        def train_step(self, batches):
            logs = whole(self, batches)
            if self.step == step:
                raise Stopped
            return logs

        monkeypatch.setattr(Pretraining, "train_step", train_step)
        return lambda: monkeypatch.setattr(Pretraining, "train_step", whole)

    return arm


def test_sets_by_weight_resume_exactly(tiny_settings, tmp_path, stop_after):
    sets = {tiny_settings["data"]: 3, str(write_drawn(tmp_path / "other")): 1}
    settings = {**tiny_settings, "data": sets, "max_steps": 6}
    final = run(settings, tmp_path / "whole")
    disarm = stop_after(4)
    with pytest.raises(Stopped):
        run(settings, tmp_path / "cut")
    disarm()
    other_order = {**settings, "data": dict(reversed(sets.items()))}
    with pytest.raises(ValueError, match="other settings .data: "):
        run(other_order, tmp_path / "cut", resume=True)
    again = run(settings, tmp_path / "cut", resume=True)
    assert_same(load_file(final / "model.safetensors"), load_file(again / "model.safetensors"))
    assert_same(*(state(tmp_path / name / "checkpoints/step-00000006") for name in ("whole", "cut")))
    assert len(state(tmp_path / "cut/checkpoints/step-00000006")["cache"]) == 12 + 3


@pytest.mark.usefixtures("reports")
def test_a_run_folder_holds_what_is_promised(tiny_settings, tmp_path):
    final = run(tiny_settings, tmp_path / "run")
    assert final == tmp_path / "run/final"
    assert [row["step"] for row in rows(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "loss_global", "loss_local", "loss_landmark", "loss_id"} <= rows(tmp_path / "run")[0].keys()
    assert sorted(p.name for p in (tmp_path / "run/checkpoints").iterdir()) == ["step-00000003", "step-00000006"]
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["model"]["hidden_size"] == 32
    assert (tmp_path / "run/report.html").stat().st_size > 100_000


def test_published_weights_are_the_teachers_or_the_students(tiny_settings, tmp_path):
    for publish in ("teacher", "student"):
        final = run({**tiny_settings, "publish": publish}, tmp_path / publish)
        checkpoint = state(tmp_path / publish / "checkpoints/step-00000006")
        published = load_file(final / "model.safetensors")
        prefix = "teacher model." if publish == "teacher" else ""
        assert all(torch.equal(published[key], checkpoint[prefix + key]) for key in published)


def test_seeds_matter_and_repeat(tiny_settings, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run({**tiny_settings, "seed": seed, "max_steps": 2}, tmp_path / name)
    assert losses(tmp_path / "a") == losses(tmp_path / "b") != losses(tmp_path / "c")


def test_starting_from_a_checkpoint(tiny_settings, tmp_path):
    final = run({**tiny_settings, "publish": "student"}, tmp_path / "first")
    arguments = build(PretrainArguments, {**tiny_settings, "output_dir": str(tmp_path / "second")}, "test")
    second = Pretraining(replace(arguments, init_from=str(final)))
    published = load_file(final / "model.safetensors")
    assert all(torch.equal(second.model.state_dict()[key], published[key]) for key in published)
    with pytest.raises(ValueError, match="cannot start from"):
        run(tiny_settings, tmp_path / "third", init_from=str(tmp_path / "nowhere"))


def test_the_settings_that_a_run_has_written_make_it_again(tiny_settings, tmp_path):
    """Where it started from is one of them."""
    source = run({**tiny_settings, "publish": "student", "max_steps": 1}, tmp_path / "source")
    final = run({**tiny_settings, "max_steps": 2}, tmp_path / "run", init_from=str(source))
    flags = {"output_dir": str(tmp_path / "again")}
    again = pretrain(load_arguments(tmp_path / "run/config.yaml", flags))
    assert_same(*(load_file(folder / "model.safetensors") for folder in (final, again)))
    with pytest.raises(ValueError, match="init_from=3 is no checkpoint"):
        run(tiny_settings, tmp_path / "other", init_from=3)


def test_starting_from_a_checkpoint_of_a_run(tiny_settings, tmp_path, capsys):
    """On as many instances, teacher and cache go on; else they start anew, and it is said."""
    run(tiny_settings, tmp_path / "first")
    source = tmp_path / "first/checkpoints/step-00000006"
    other = str(write_drawn(tmp_path / "three"))
    found = {}
    for name, data in (("same", tiny_settings["data"]), ("other", other)):
        arguments = {**tiny_settings, "data": data, "output_dir": str(tmp_path / name)}
        started = Pretraining(replace(build(PretrainArguments, arguments, "test"), init_from=str(source)))
        found[name] = capsys.readouterr().out
        teacher = started.objective.teacher.state_dict()
        alike = all(torch.equal(value, state(source)[f"teacher {key}"]) for key, value in teacher.items())
        assert (alike, started.objective.started) == ((True, 12) if name == "same" else (False, 0))
        assert torch.equal(started.objective.cache.entries, state(source)["cache"]) if alike else True
    assert found["same"].endswith(f"student, teacher and FaceFeat Cache go on from {source}.\n")
    assert found["other"].endswith("start anew (that cache has 12 instances, this set 3).\n")
    run({**tiny_settings, "max_steps": 1}, tmp_path / "again", init_from=str(source))
    assert "go on from" in capsys.readouterr().out


@pytest.mark.parametrize(("before", "now"), [("accelerator", "disk"), ("disk", "host"), ("disk", "disk")])
def test_a_set_that_has_grown_keeps_its_entries(tiny_settings, tmp_path, capsys, before, now):
    """The three new rows, which come last, are filled by the teacher of the checkpoint."""
    run({**tiny_settings, "objective": {"cache_device": before}}, tmp_path / "first")
    source = tmp_path / "first/checkpoints/step-00000006"
    sets = {tiny_settings["data"]: 1, str(write_drawn(tmp_path / "three")): 1}
    settings = {**tiny_settings, "data": sets, "objective": {"cache_device": now}, "max_steps": 1}
    arguments = build(PretrainArguments, {**settings, "output_dir": str(tmp_path / "second")}, "test")
    started = Pretraining(replace(arguments, init_from=str(source)))
    said = f"go on from {source}; the teacher fills the entries of 3 new instances.\n"
    assert capsys.readouterr().out.endswith(said)
    started.start()
    objective, old = started.objective, state(source)
    entries = objective.cache.entries
    assert torch.equal(entries[:12], old["cache"])
    assert all(torch.equal(value, old[f"teacher {key}"]) for key, value in objective.teacher.state_dict().items())
    (ids, clips), *_ = PlainClips(started.data, arguments.parts().views, 3, first=12)
    assert ids.tolist() == [12, 13, 14]
    z = objective.teacher(objective.pixel_values(clips)).facefeat - objective.facefeat_center
    expected = torch.nn.functional.normalize(z, dim=-1)
    torch.testing.assert_close(entries[12:].float(), expected, atol=1e-2, rtol=0)
    assert (started.train() / "model.safetensors").exists()


def test_a_cache_that_was_never_filled_is_filled(tiny_settings, tmp_path, capsys):
    """A run without L_ID leaves it empty; teacher and centers go on as they were."""
    settings = {**tiny_settings, "max_steps": 1}
    run({**settings, "objective": {"instance_weight": 0}}, tmp_path / "first")
    source = tmp_path / "first/checkpoints/step-00000001"
    assert not state(source)["cache"].any()
    arguments = build(PretrainArguments, {**settings, "output_dir": str(tmp_path / "second")}, "test")
    started = Pretraining(replace(arguments, init_from=str(source)))
    assert "the teacher fills the entries of 12 empty instances" in capsys.readouterr().out
    started.start()
    assert started.objective.cache.entries.float().norm(dim=1).min() > 0.9
    before, now = saved_state(source), started.objective.state_dict()
    assert_same(*({k: v for k, v in one.items() if k != "cache.entries"} for one in (before, now)))
    student = load_file(source / "model.safetensors")
    assert_same(student, started.model.state_dict())
    started.train()
    assert state(tmp_path / "second/checkpoints/step-00000001")["cache"].any(dim=1).all()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"hidden_size": 48, "num_hidden_layers": 1}, r"hidden_size: 32 -> 48, num_hidden_layers: 2 -> 1\): set"),
        ({"num_attention_heads": 4, "num_prototypes": 8}, r"num_attention_heads: 2 -> 4, num_prototypes: 32 -> 8\)"),
    ],
)
def test_starting_from_another_model_names_what_differs(tiny_settings, tmp_path, model, message):
    config = build(PretrainArguments, tiny_settings, "test").parts().model
    PrefAceForPreTraining(config).save_pretrained(tmp_path / "source")
    settings = {**tiny_settings, "model": {**tiny_settings["model"], **model}}
    with pytest.raises(ValueError, match=message):
        run(settings, tmp_path / "run", init_from=str(tmp_path / "source"))
    assert not (tmp_path / "run").exists()


def test_starting_from_weights_of_another_make(tiny_settings, tmp_path):
    """A checkpoint that wants plain pixels and pools before the norm (MARLIN) goes on so."""
    source = build(PretrainArguments, tiny_settings, "test").parts().model
    source.update({"norm_after_pooling": True, "layer_norm_eps": 1e-5})
    PrefAceModel(source).save_pretrained(tmp_path / "marlin")
    PrefAceVideoProcessor(do_normalize=False).save_pretrained(tmp_path / "marlin")
    final = run({**tiny_settings, "max_steps": 1}, tmp_path / "run", init_from=str(tmp_path / "marlin"))
    assert PrefAceVideoProcessor.from_pretrained(final).do_normalize is False
    config = PrefAceModel.from_pretrained(final).config
    assert (config.norm_after_pooling, config.layer_norm_eps) == (True, 1e-5)


def test_starting_from_weights_of_another_clip_size_keeps_their_positions(tiny_settings, tmp_path):
    source = build(PretrainArguments, tiny_settings, "test").parts().model
    before = PrefAceModel(source).eval()
    before.save_pretrained(tmp_path / "source")
    PrefAceVideoProcessor().save_pretrained(tmp_path / "source")
    longer = {**tiny_settings["model"], "num_frames": 2 * source.num_frames}
    arguments = {**tiny_settings, "model": longer, "output_dir": str(tmp_path / "run"), "max_steps": 1}
    started = Pretraining(replace(build(PretrainArguments, arguments, "test"), init_from=str(tmp_path / "source")))
    clip = torch.randn(1, 2 * source.num_frames, 3, source.image_size, source.image_size)
    assert torch.equal(started.model.preface.eval()(clip).pooler_output, before(clip).pooler_output)
    final = PrefAceModel.from_pretrained(started.train())
    assert final.config.grid_size != tuple(final.config.pretrained_grid) == source.grid_size


def test_starting_from_a_converted_videomae(tiny_settings, tmp_path, capsys):
    fields = build(PretrainArguments, tiny_settings, "test").parts().model.to_dict()
    VideoMAEModel(VideoMAEConfig(**{k: fields[k] for k in (*ENCODER_SIZES, "patch_size")})).save_pretrained(
        tmp_path / "theirs"
    )
    convert("videomae", str(tmp_path / "theirs"), tmp_path / "ours")
    arguments = build(PretrainArguments, {**tiny_settings, "output_dir": str(tmp_path / "run")}, "test")
    started = Pretraining(replace(arguments, init_from=str(tmp_path / "ours")))
    assert "start anew (it holds no training state)" in capsys.readouterr().out
    encoder = PrefAceModel.from_pretrained(tmp_path / "ours").state_dict()
    assert all(torch.equal(started.model.preface.state_dict()[key], encoder[key]) for key in encoder)
    assert (started.train() / "model.safetensors").exists()


def test_a_taken_folder_is_left_alone(tiny_settings, tmp_path):
    run(tiny_settings, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="holds a run already: add --resume"):
        run(tiny_settings, tmp_path / "run")
    with pytest.raises(ValueError, match="batch_size: 4 -> 2"):
        run({**tiny_settings, "batch_size": 2}, tmp_path / "run", resume=True)
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty and holds no run"):
        run(tiny_settings, tmp_path / "other")


def test_a_batch_larger_than_the_set_and_accumulation(tiny_settings, tmp_path):
    run({**tiny_settings, "batch_size": 16, "max_steps": 2}, tmp_path / "large")
    run({**tiny_settings, "gradient_accumulation_steps": 3, "max_steps": 2}, tmp_path / "accumulated")
    assert all(torch.isfinite(torch.tensor(losses(tmp_path / name))).all() for name in ("large", "accumulated"))


@pytest.mark.filterwarnings("error:.*gradient_checkpointing_enable")
@pytest.mark.parametrize("settings", [{"mixed_precision": "bf16"}, {"gradient_checkpointing": True}])
def test_precision_and_checkpointing_keep_the_loss(tiny_settings, tmp_path, settings):
    run({**tiny_settings, "max_steps": 2}, tmp_path / "plain")
    run({**tiny_settings, "max_steps": 2, **settings}, tmp_path / "other")
    assert losses(tmp_path / "plain") == pytest.approx(losses(tmp_path / "other"), rel=0.05)
    saved = load_file(tmp_path / "other/final/model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}


def test_precision_is_the_config_files_unless_it_is_set(monkeypatch):
    assert PretrainArguments().mixed_precision == "no"
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")  # as `accelerate launch` hands it over
    assert PretrainArguments().mixed_precision == "bf16"
    assert PretrainArguments(mixed_precision="no").mixed_precision == "no"


def test_fp16_on_a_cpu_is_refused(tiny_settings, tmp_path):
    with pytest.raises(ValueError, match="mixed_precision=fp16 needs an accelerator"):
        run({**tiny_settings, "mixed_precision": "fp16"}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_skipped_step_leaves_nothing_to_the_next(tiny_settings, tmp_path, monkeypatch):
    """As fp16 skips one whose gradients overflow: teacher and cache stay, and the next step is of its own batches."""
    started = Pretraining(build(PretrainArguments, {**tiny_settings, "output_dir": str(tmp_path / "run")}, "test"))
    started.start()
    before = {name: value.clone() for name, value in started.objective.cache.state_dict().items()}
    monkeypatch.setattr(type(started.accelerator), "optimizer_step_was_skipped", property(lambda self: True))
    started.train_step(started.batches())
    assert_same(before, started.objective.cache.state_dict())
    assert started.objective.pending == [] and started.step == 1


def assert_near(one, two, rtol, atol):
    """Losses of all steps within 1e-5 of one another (fp32 sums in another order), all that is saved within these."""
    assert losses(one) == pytest.approx(losses(two), rel=1e-5)
    ours, theirs = (everything(latest_checkpoint(folder / "checkpoints")) for folder in (one, two))
    assert ours.keys() == theirs.keys()
    for key in ours:
        values = (torch.as_tensor(found[key]).float() for found in (ours, theirs))
        torch.testing.assert_close(*values, rtol=rtol, atol=atol, msg=lambda text, key=key: f"{key}: {text}")


class Accelerated:
    """Two processes in the eyes of who gathers: the other's loss is 1, and it had instances 8 and 9."""

    is_main_process = True

    def gather(self, tensor):
        other = torch.tensor([8, 9])[None] if tensor.dtype == torch.long else torch.ones_like(tensor)
        return torch.cat([tensor, other])


def test_a_loss_that_is_no_number_leaves_its_batch(tmp_path):
    batch = Batch(torch.tensor([3, 5]), *[torch.zeros(2)] * 3)
    logs = {"loss_id": torch.tensor(2.0)}
    check_finite(Accelerated(), ObjectiveOutput(torch.tensor(1.0), logs), batch, 4, tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FloatingPointError, match=r"nan at step 4 on instances \[3, 5\] .*nonfinite-step-4.json"):
        check_finite(Accelerated(), ObjectiveOutput(torch.tensor(torch.nan), logs), batch, 4, tmp_path)
    found = json.loads((tmp_path / "nonfinite-step-4.json").read_text())
    assert found["instance_ids"] == [[3, 5], [8, 9]] and found["losses"][1] == 1
    assert found["terms"] == [{"loss_id": 2.0}, {"loss_id": 1.0}]


def test_a_run_that_diverges_stops_before_the_step(tiny_settings, tmp_path, monkeypatch):
    whole = PrefAceObjective.__call__

    def diverge(self, batch, step):
        output = whole(self, batch, step)
        return ObjectiveOutput(output.loss * (torch.inf if step == 4 else 1), output.logs)

    monkeypatch.setattr(PrefAceObjective, "__call__", diverge)
    with pytest.raises(FloatingPointError, match="inf at step 5"):
        run(tiny_settings, tmp_path / "run")
    assert [row["step"] for row in rows(tmp_path / "run")] == [1, 2, 3, 4]
    assert len(json.loads((tmp_path / "run/nonfinite-step-5.json").read_text())["instance_ids"][0]) == 4


def test_signs_of_a_collapse_are_computed_for_the_log_only(tiny_settings, tmp_path, monkeypatch):
    steps = []
    whole = PrefAceObjective.watch
    monkeypatch.setattr(PrefAceObjective, "watch", lambda self, *inputs: (steps.append(1), whole(self, *inputs))[1])
    settings = {**tiny_settings, "gradient_accumulation_steps": 2}
    run({**settings, "logging_steps": 4}, tmp_path / "seldom")
    assert len(steps) == 2 * 3, "two batches each of steps 1, 4 and 6"
    run(settings, tmp_path / "always")
    always = {row["step"]: {k: v for k, v in row.items() if k != "seconds"} for row in rows(tmp_path / "always")}
    for row in rows(tmp_path / "seldom"):
        assert {k: v for k, v in row.items() if k != "seconds"} == always[row["step"]]
    assert_same(*(state(tmp_path / name / "checkpoints/step-00000006") for name in ("seldom", "always")))


def test_metrics_go_to_tensorboard(tiny_settings, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run({**tiny_settings, "report_to": ["tensorboard"]}, tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run/preface-hf")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(losses(tmp_path / "run"))


def test_a_tracker_that_is_not_installed_is_named(tiny_settings, tmp_path, monkeypatch):
    monkeypatch.setattr(training_build, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="trackio is not installed: pip install trackio"):
        run({**tiny_settings, "report_to": ["trackio"]}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def command(settings, folder, *flags, processes=1):
    file = Path(f"{folder}.yaml")
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    launcher = [*TORCHRUN, "--nproc_per_node", str(processes), "-m"] if processes > 1 else ["-m"]
    return [
        sys.executable, *launcher, "preface_hf",
        "pretrain", "--config", str(file), "--output-dir", str(folder), *flags,
    ]  # fmt: skip


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}


def test_torchrun_alone_starts_one_run_of_rows_that_do_not_divide(tiny_settings, tmp_path):
    """On a machine without accelerators, of which nobody has told Accelerate.

    Three rows, two processes: gathering two features from one and one from the other would abort both.
    """
    probe = {"probe_steps": 1, "probe_data": tiny_settings["data"], "probe_label": "expression", "keep_best": True}
    settings = {**tiny_settings, **probe, "max_steps": 2, "batch_size": 2, "mixed_precision": "auto"}
    settings["data"] = str(write_drawn(tmp_path / "three"))
    plain = {name: value for name, value in environment().items() if name != "ACCELERATE_USE_CPU"}
    call = command(settings, tmp_path / "run", processes=2)
    subprocess.run(call, env={**plain, "CUDA_VISIBLE_DEVICES": ""}, check=True, cwd=tmp_path)
    checkpoint = tmp_path / "run/checkpoints/step-00000002"
    assert [row["step"] for row in rows(tmp_path / "run")] == [1, 2]
    assert json.loads((checkpoint / "training.json").read_text())["processes"] == 2
    assert state(checkpoint)["cache"].float().norm(dim=1).min() > 0.9
    assert "probe_knn" in rows(tmp_path / "run")[0] and (tmp_path / "run/report.html").exists()
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["mixed_precision"] in ("no", "bf16")


def test_processes_that_do_not_train_together_are_refused(tiny_settings, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="3 processes were launched, and Accelerate trains with 1: set ACCELERATE"):
        run(tiny_settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_ten_times_equals_uninterrupted(tiny_settings, tmp_path, processes):
    settings = {**tiny_settings, "max_steps": 90, "save_steps": 3, "num_workers": 1}
    finish(start(command(settings, tmp_path / "whole"), processes, tmp_path))
    cut = command(settings, tmp_path / "cut", "--resume")
    for step in sorted(random.Random(processes).sample(range(1, 85), 10)):
        started = start(cut, processes, tmp_path)
        deadline = time.monotonic() + 120
        while last_step(tmp_path / "cut") < step and started[0].poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [process.poll() for process in started] == [None] * processes, "killed while they run"
        for process in started:
            process.kill()
            process.wait()
    finish(start(cut, processes, tmp_path))
    assert_same(*(load_file(tmp_path / name / "final/model.safetensors") for name in ("whole", "cut")))
    assert_same(*(state(tmp_path / name / "checkpoints/step-00000090") for name in ("whole", "cut")))
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")


def start(call, processes, folder):
    """The command in so many processes that know of one another. (Those of torchrun outlive it when it is killed.)"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(processes)}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
    alone = processes == 1
    return [subprocess.Popen(call, env=environment() | ({} if alone else place | r), cwd=folder) for r in ranks]


def finish(processes):
    """Wait for them to end well."""
    assert [process.wait(timeout=300) for process in processes] == [0] * len(processes)


def last_step(folder):
    """Of the last line of metrics that is written out."""
    file = folder / "metrics.jsonl"
    lines = [line for line in file.read_text().splitlines() if line.endswith("}")] if file.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_loading_processes_end_with_a_killed_run(tiny_settings, tmp_path):
    process = subprocess.Popen(
        command({**tiny_settings, "max_steps": 5000, "num_workers": 2}, tmp_path / "run"),
        env={**environment(), "RUN_OF_THIS_TEST": str(tmp_path)}, cwd=tmp_path,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while last_step(tmp_path / "run") < 5 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(processes_of(tmp_path)) >= 4, "the run, the fork server and two that load"
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while (left := processes_of(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def processes_of(folder):
    """Ids of the processes whose environment names `folder`."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"RUN_OF_THIS_TEST={folder}\0".encode() in environ.read_bytes():
                found.append(int(environ.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_stop_is_heeded_after_the_step(tiny_settings, tmp_path, monkeypatch, number):
    whole = Pretraining.train_step

    def train_step(self, batches):
        assert signal.getsignal(number) == self.stop
        if self.step == 1:
            signal.raise_signal(number)
        return whole(self, batches)

    monkeypatch.setattr(Pretraining, "train_step", train_step)
    with pytest.raises(Interrupted, match="--resume"):
        run(tiny_settings, tmp_path / "run")
    assert latest_checkpoint(tmp_path / "run/checkpoints").name == "step-00000002"


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_ctrl_c_and_sigterm_save_and_exit_130(tiny_settings, tmp_path, number):
    """A terminal and SLURM send them to every process of the run, those that load included."""
    settings = {**tiny_settings, "max_steps": 5000, "save_steps": 5000, "num_workers": 1}
    process = subprocess.Popen(
        command(settings, tmp_path / "run"), env=environment(), stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        start_new_session=True,
    )  # fmt: skip
    metrics, deadline = tmp_path / "run/metrics.jsonl", time.monotonic() + 120
    while time.monotonic() < deadline and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.2)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "go on with --resume" in errors
    assert latest_checkpoint(tmp_path / "run/checkpoints") is not None
    assert (tmp_path / "run/report.html").exists()


def test_the_last_checkpoints_are_kept(tiny_settings, tmp_path):
    for keep, left in ((1, [6]), (2, [4, 6]), (None, [2, 4, 6])):
        folder = tmp_path / str(keep)
        run({**tiny_settings, "save_steps": 2, "keep_checkpoints": keep}, folder)
        assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == [f"step-{step:08d}" for step in left]


def test_a_loss_at_ln_k_is_warned_of_once(tiny_settings, tmp_path, capsys):
    flat = {**tiny_settings.get("objective", {}), "student_temperature": 50.0, "teacher_temperature": 50.0}
    flat["teacher_temperature_start"] = 50.0
    settings = {**tiny_settings, "objective": flat, "max_steps": 4, "warmup_steps": 1, "logging_steps": 1}
    run(settings, tmp_path / "run")
    printed = capsys.readouterr().out
    assert printed.count("is within 1 % of ln") == 1 and "step 2:" in printed
