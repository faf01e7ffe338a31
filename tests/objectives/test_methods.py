"""The door of the methods: nothing else names their parts, and a method of one entry does all there is."""

import ast
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from preface_hf.data.crop_views import make_crop_views
from preface_hf.data.opening import as_mixture, open_prepared
from preface_hf.data.streams import CropStream, PlainClips
from preface_hf.data.views import TubeConfig
from preface_hf.features.extract import extract
from preface_hf.features.probe import probe
from preface_hf.objectives.base import OBJECTIVE_FILE, PICKLED_STATE, Objective, part, saved_state
from preface_hf.objectives.methods import METHODS
from preface_hf.objectives.schedules import cosine
from preface_hf.plan.table import show_plan
from preface_hf.training.arguments import PretrainArguments, build
from preface_hf.training.build import build_model
from preface_hf.training.report import write_report
from tests.objectives.test_small_sets import write_some
from tests.plan.test_footprint import kept_bytes
from tests.training.test_loop import assert_same, rows, run, state


PACKAGE = Path(__file__).parents[2] / "preface_hf"
# Names that are promises: a setting that YAML files have, a picture that users call. `teacher` is a value of the
# setting `publish`.
PROMISED = {"freeze_prototypes_epochs", "prototypes_picture"}
# The FaceFeat Cache has settings and functions of its own; other caches are of downloads, files and functions.
PARTS = re.compile(
    "teacher|prototype|face_?feat|cache_(bytes|device|entries|file|momentum|negatives|neighbors)$", re.I
)


def names_in(file):
    """Identifiers, attributes, keywords and parts of imports in a file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        for field in ("id", "attr", "arg", "name", "module", "asname"):
            if isinstance(value := getattr(node, field, None), str):
                yield value


def test_nothing_outside_the_methods_names_their_parts():
    # preface_hf/__init__.py has the public name FaceFeatCache.
    files = [f for f in PACKAGE.rglob("*.py") if f.relative_to(PACKAGE).parts[0] not in ("objectives", "modeling")]
    found = {
        (file.relative_to(PACKAGE).as_posix(), name)
        for file in files
        for name in names_in(file)
        if PARTS.search(name) and name not in PROMISED and file != PACKAGE / "__init__.py"
    }
    assert len(files) > 80 and not found


def test_every_objective_offers_the_whole_interface():
    promised = [name for name in vars(Objective) if not name.startswith("_") or name == "__call__"]
    assert {"start", "take_over", "before_step", "save_files"} <= set(promised)
    missing = {
        (method, name) for method, entry in METHODS.items() for name in promised if not hasattr(entry.objective, name)
    }
    assert not missing


# What is learned of one batch.

BATCH_MODEL = {
    "image_size": 32, "num_frames": 4, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 128,
}  # fmt: skip
# Small heads of the methods that have them.
BATCH_HEADS = {"projector_hidden_size": 64, "projector_output_size": 32, "num_prototypes": 64, "facefeat_size": 32}
# A teacher that follows within the steps of a test, and first weights by which so small a network tells clips apart.
QUICK_TEACHER, LARGE_WEIGHTS = {"teacher_momentum": 0.9}, {"initializer_range": 0.1}


def one_batch(method, prepared, steps):
    """The objective of a method, ready for its first step, and four drawn clips as it sees them."""
    entry = METHODS[method]
    heads = {name: value for name, value in BATCH_HEADS.items() if name in entry.heads}
    masked = entry.reconstruct is not None
    model, sections = {**BATCH_MODEL, **heads}, {}
    if not masked:
        model |= LARGE_WEIGHTS
        sections = {"views": {"num_local": 1}, "objective": QUICK_TEACHER}
    arguments = PretrainArguments(size="vit-t", method=method, model=model, batch_size=4, **sections)
    parts, data = arguments.parts(), as_mixture(open_prepared(prepared))
    torch.manual_seed(0)
    objective = entry.objective(
        build_model(arguments, parts), parts.objective, views=parts.views, num_instances=data.num_rows,
        max_steps=steps, seed=0, pixels=([0.5] * 3, [0.25] * 3),
    )  # fmt: skip
    if objective.started < data.num_rows:
        objective.start(PlainClips(data, parts.views, 4, 0, 1))
    return objective, next(iter(entry.stream(data, parts.views, 4, 0)))


@pytest.mark.parametrize("method", METHODS)
def test_one_batch_is_overfitted_by_each(method, prepared):
    steps, peak = (140, 3e-3) if METHODS[method].reconstruct else (100, 2e-3)
    objective, batch = one_batch(method, prepared, steps)
    optimizer = torch.optim.AdamW(objective.trainable_parameters(), betas=(0.9, 0.95), weight_decay=0.0)
    logs = []
    for step in range(steps):
        rate = optimizer.param_groups[0]["lr"] = cosine(step, steps, peak, peak / 100)
        objective.watching = step in (0, steps - 1)
        output = objective(batch, step)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step(step, rate)
        logs += [{name: float(value) for name, value in output.logs.items()}] if objective.watching else []
    first, last = logs
    # Where a teacher sets the targets, their entropy is no error, and a student and a teacher that say the same of
    # every clip would have none.
    terms = [name for name in ("loss_reconstruction", "kl", "loss_id") if name in last]
    assert terms and all(last[name] < first[name] / 3 for name in terms), (first, last)
    assert last.get("teacher_information", 1.0) > 0.5


# dino: the plain method, without landmarks and cache.

VIEWS = TubeConfig(num_frames=4, global_size=32, local_size=16, num_local=3)


@pytest.fixture
def dino(tiny_settings):
    return {**tiny_settings, "method": "dino"}


def test_crops_rest_and_have_the_share_of_the_area_that_is_set():
    frames = np.zeros((5, 100, 100, 3), np.uint8)
    frames[..., 0], frames[..., 1] = np.arange(100), np.arange(100)[:, None]  # a pixel tells its place
    frames[..., 2] = np.arange(5)[:, None, None]  # and its time
    config = TubeConfig(num_frames=4, global_size=32, local_size=32, num_local=200, flip_probability=0.5)
    times = np.tile([0, 1, 3, 4], (202, 1))
    views = make_crop_views(frames, config, np.random.default_rng(0), times)
    places = views.small_tubes.float()[:, :, :2].flatten(3)  # (200, 4, 2, S * S)
    assert torch.equal(views.small_tubes[:, :, 2].float().mean((2, 3)), torch.tensor([[0.0, 1, 3, 4]]).expand(200, 4))
    assert (places[:, 1:] == places[:, :1]).all(), "a tube rests through time"
    sides = (places[:, 0].amax(-1) - places[:, 0].amin(-1)).mean(-1) + 1  # nearly: the resize smooths
    shares = (sides / 100) ** 2
    assert shares.min() > 0.03 and shares.max() < 0.42 and shares.max() - shares.min() > 0.25
    flipped = places[:, 0, 0, 0] > places[:, 0, 0, -1]
    assert 60 < int(flipped.sum()) < 140


def test_crops_are_drawn_from_seed_epoch_and_instance(prepared, tmp_path):
    stream = CropStream(write_some(prepared, tmp_path, 6), VIEWS, 3, seed=0)
    one, other = next(iter(stream)), next(iter(stream))
    assert torch.equal(one.small_tubes, other.small_tubes) and one.small_tubes.shape == (3, 3, 4, 3, 16, 16)
    assert one.colors.shape == (3, 5, 3, 4)


@pytest.mark.usefixtures("reports")
def test_dino_is_planned_shown_extracted_and_probed(dino, tmp_path, capsys):
    final = run({**dino, "max_steps": 2}, tmp_path / "run")
    logged = rows(tmp_path / "run")[0].keys()
    assert {"loss_global", "loss_local", "teacher_entropy"} <= logged and not {"loss_landmark", "loss_id"} & logged
    state_of_dino = saved_state(tmp_path / "run/checkpoints/step-00000002")
    assert {name.partition(".")[0] for name in state_of_dino} == {"teacher", "center"}
    with pytest.raises(ValueError, match="method: dino -> preface"):
        run({**dino, "max_steps": 2, "method": "preface"}, tmp_path / "run", resume=True)
    text = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "loss_local" in text and "tube: local" in text and "FaceFeat" not in text
    assert write_report(tmp_path / "run").exists()
    show_plan(build(PretrainArguments, {**dino, "output_dir": "x"}, "test"), "cpu-2", 100)
    printed = capsys.readouterr().out
    assert "teacher" in printed and "FaceFeat" not in printed and "before step 1" not in printed
    assert extract(final, Path(dino["data"]), tmp_path / "features.parquet")["rows"] > 0
    assert probe(final, dino["data"], "expression", group="identity", baselines=False).scores


def test_dino_starts_from_its_checkpoint_and_from_that_of_preface(dino, tiny_settings, tmp_path, capsys):
    run({**tiny_settings, "max_steps": 1}, tmp_path / "preface")
    run({**dino, "max_steps": 1}, tmp_path / "dino", init_from=str(tmp_path / "preface/checkpoints/step-00000001"))
    assert "student and teacher continue from" in capsys.readouterr().out
    source = str(tmp_path / "dino/checkpoints/step-00000001")
    run({**tiny_settings, "max_steps": 1}, tmp_path / "again", init_from=source)
    assert "start anew (it is of a run without a cache)" in capsys.readouterr().out
    assert state(tmp_path / "again/checkpoints/step-00000001")["cache"].any()


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize("landmarks", ["nan", "empty", "null"])
def test_dino_needs_no_landmarks(dino, prepared, tmp_path, landmarks):
    write_some(prepared, tmp_path / "set", 5, landmarks)
    final = run({**dino, "data": str(tmp_path / "set"), "max_steps": 1}, tmp_path / "run")
    assert (final / "model.safetensors").exists() and (tmp_path / "run/report.html").exists()


@pytest.mark.parametrize(
    ("section", "key"), [("views", "parts"), ("views", "tracking"), ("objective", "instance_weight")]
)
def test_dino_refuses_what_is_of_preface(dino, tmp_path, section, key):
    with pytest.raises(ValueError, match=f"unknown key '{key}' in {section}"):
        run({**dino, section: {key: 1}}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("dino", {"num_frames": 4, "num_prototypes": 512}),
        ("pros", {"num_prototypes": 32}),
        ("pros", {"num_prototypes": 2048}),
    ],
)
def test_plain_views_cost_what_torch_counts_and_keeps(noise_step, method, fields):
    from torch.utils.flop_counter import FlopCounterMode

    from preface_hf.plan.flops import clip_flops
    from preface_hf.plan.footprint import encoder_bytes, head_bytes, pixel_bytes

    small = {"image_size": 32, "num_hidden_layers": 3, **fields}
    arguments = PretrainArguments(size="vit-t", method=method, model=small, batch_size=2, attn_implementation="eager")
    parts = arguments.parts()
    objective, batch = noise_step(arguments, 50)
    with FlopCounterMode(display=False) as counter:
        objective(batch, 0).loss.backward()
    assert sum(clip_flops(arguments, parts, 50).values()) * 2 == pytest.approx(counter.get_total_flops(), rel=1e-3)
    predicted = encoder_bytes(arguments, parts) + head_bytes(arguments, parts, 50)
    predicted += pixel_bytes(arguments, parts) * 4 // 5
    assert predicted == pytest.approx(kept_bytes(*noise_step(arguments, 50)), rel=0.03)


# Runs of releases before 0.2.


def make_old(folder):
    """Give a run's files the names that releases before 0.2 wrote."""
    config = folder / "config.yaml"
    for new, old in (("gray_", "grey_"), ("center_momentum", "centre_momentum"), ("centering", "centring")):
        assert new in config.read_text()
        config.write_text(config.read_text().replace(new, old))
    for file in folder.glob(f"checkpoints/*/{OBJECTIVE_FILE}"):
        state = saved_state(file.parent)
        centers = {"centre": state["center"], "facefeat_centre": state["facefeat_center"]}
        nested = {name: {k: v.clone() for k, v in part(state, name).items()} for name in ("teacher", "cache")}
        torch.save({**nested, **centers}, file.with_name(PICKLED_STATE))
        file.unlink()
        training = json.loads((file.parent / "training.json").read_text())
        del training["data"]
        (file.parent / "training.json").write_text(json.dumps(training))


def test_a_run_of_before_resumes_bit_for_bit_and_is_shown_and_started_from(tiny_settings, tmp_path, capsys):
    run(tiny_settings, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "old")
    shutil.rmtree(tmp_path / "old/checkpoints/step-00000006")
    shutil.rmtree(tmp_path / "old/final")
    make_old(tmp_path / "old")
    assert "jpeg" in write_report(tmp_path / "old").read_text(encoding="utf-8")
    source = tmp_path / "old/checkpoints/step-00000003"
    run({**tiny_settings, "max_steps": 1}, tmp_path / "started", init_from=str(source))
    assert f"student, teacher and FaceFeat Cache go on from {source}.\n" in capsys.readouterr().out
    run(tiny_settings, tmp_path / "old", resume=True)
    assert_same(*(state(tmp_path / name / "checkpoints/step-00000006") for name in ("whole", "old")))
    assert "centre" not in (tmp_path / "old/config.yaml").read_text()
