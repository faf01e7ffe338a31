"""The probe on the way: right, without a trace in the training, refused before the first step; the best is kept."""

import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from preface_hf.features import labeled
from preface_hf.features.probe import probe
from preface_hf.training.checkpoint import best_checkpoint
from preface_hf.training.probing import RunProbe
from tests.training.test_loop import Stopped, assert_same, rows, run, state, stop_after  # noqa: F401


@pytest.fixture
def probed(tiny_settings):
    data = tiny_settings["data"]
    return {**tiny_settings, "probe_data": data, "probe_label": "expression", "probe_group": "identity"}


def scores(folder):
    return {row["step"]: row["probe_knn"] for row in rows(folder) if "probe_knn" in row}


@pytest.mark.parametrize("publish", ["teacher", "student"])
def test_the_probe_leaves_no_trace_and_is_that_of_the_command(probed, tmp_path, publish):
    settings = {**probed, "publish": publish, "logging_steps": 4, "max_steps": 5}
    plain = run(settings, tmp_path / "plain")
    final = run({**settings, "probe_steps": 2}, tmp_path / "probed")
    assert_same(*(load_file(path / "model.safetensors") for path in (plain, final)))
    assert_same(*(state(tmp_path / name / "checkpoints/step-00000005") for name in ("plain", "probed")))
    assert [row["step"] for row in rows(tmp_path / "plain")] == [1, 4, 5]
    assert [row["step"] for row in rows(tmp_path / "probed")] == [1, 2, 4, 5]
    assert list(scores(tmp_path / "probed")) == [2, 4, 5]
    result = probe(final, probed["data"], "expression", split="train", group="identity", baselines=False)
    assert scores(tmp_path / "probed")[5] == pytest.approx(result.scores[0].mean)
    assert rows(tmp_path / "probed")[-1]["probe_chance"] == result.chance


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"probe_label": "mood"}, "no column 'mood': choose one of .*expression"),
        ({"probe_group": "family"}, "no column 'family'"),
        ({"probe_data": "nowhere"}, "cannot open 'nowhere' as a prepared set"),
        ({"probe_label": "source", "probe_group": "source"}, "0 classes in two groups"),
        ({"probe_label": ""}, "probe_steps=2 needs probe_label"),
        ({"probe_steps": -1}, "probe_steps=-1 must be 0"),
        ({"probe_steps": 0, "keep_best": True}, "keep_best=True needs a probe"),
        ({"probe_split": "test", "keep_best": True}, "keep_best=True would choose by probe_split='test'"),
        ({"probe_split": "dev"}, "no split 'dev': choose one of"),
    ],
)
def test_what_cannot_be_probed_is_named_before_the_first_step(probed, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        run({**probed, "probe_steps": 2, **settings}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def best_after(monkeypatch, values):
    """Makes the probe say these values, one after the other by step."""

    def logs(self, model, processor):
        return {"probe_knn": values.pop(0), "probe_chance": 0.0}

    monkeypatch.setattr(RunProbe, "logs", logs)


def kept(folder):
    return sorted(int(path.name[5:]) for path in (folder / "checkpoints").iterdir())


def test_the_best_is_kept_beside_the_last(probed, tmp_path, monkeypatch):
    """Step 2 is saved because it is the best so far, 4 equals it; what is worse is not saved for its own sake."""
    settings = {**probed, "probe_steps": 2, "save_steps": 3, "keep_checkpoints": 1, "max_steps": 7}
    best_after(monkeypatch, [0.3, 0.3, 0.2, 0.1])
    run({**settings, "keep_best": True}, tmp_path / "best")
    assert kept(tmp_path / "best") == [2, 7]
    assert best_checkpoint(tmp_path / "best/checkpoints").name == "step-00000002"
    checkpoint = tmp_path / "best/checkpoints/step-00000002"
    weights, best = load_file(checkpoint / "teacher/model.safetensors"), state(checkpoint)
    assert all(torch.equal(value, best[f"teacher model.{name}"]) for name, value in weights.items()) and weights
    best_after(monkeypatch, [0.1, 0.4, 0.2, 0.1])
    run({**settings, "keep_best": True}, tmp_path / "later")
    assert kept(tmp_path / "later") == [4, 7]
    best_after(monkeypatch, [0.3, 0.3, 0.2, 0.1])
    run(settings, tmp_path / "last")
    assert kept(tmp_path / "last") == [7]


def test_the_best_survives_a_crash_and_a_resume(probed, tmp_path, monkeypatch, stop_after):  # noqa: F811
    settings = {**probed, "probe_steps": 2, "save_steps": 3, "keep_checkpoints": 1, "max_steps": 8, "keep_best": True}
    best_after(monkeypatch, [0.1, 0.3, 0.2, 0.2])
    final = run(settings, tmp_path / "whole")
    best_after(monkeypatch, [0.1, 0.3, 0.2, 0.2])
    disarm = stop_after(7)
    with pytest.raises(Stopped):
        run(settings, tmp_path / "cut")
    disarm()
    assert kept(tmp_path / "cut") == [4, 6]
    best_after(monkeypatch, [0.2])
    again = run({**settings, "probe_steps": 2}, tmp_path / "cut", resume=True)
    assert kept(tmp_path / "cut") == kept(tmp_path / "whole") == [4, 8]
    assert scores(tmp_path / "cut") == scores(tmp_path / "whole")
    assert_same(*(load_file(path / "model.safetensors") for path in (final, again)))


def add_split(prepared, folder, name):
    """A copy of the set with its test rows as a split of another name too."""
    shutil.copytree(prepared, folder)
    source = next((folder / "data").glob("test-*.parquet"))
    shutil.copy(source, folder / f"data/{name}-00000-of-00001.parquet")
    (folder / "README.md").unlink()  # without a card the names of the files say the splits
    return folder


def test_checkpoints_are_never_chosen_by_the_split_that_is_reported(prepared, tmp_path):
    """Unless a set has a split for it, part of train serves, whose people stay together; the record says which."""
    opened = RunProbe(str(prepared), "expression")  # of 12 rows: fewer than would be drawn
    assert (opened.rows.split, opened.rows.group) == ("train", "identity")
    whole = labeled.labeled_rows(prepared, "expression", split="train")
    names = labeled.some_groups(whole.groups, 5)
    assert names == labeled.some_groups(whole.groups[::-1], 5), "by their names, not by their order"
    assert 5 <= np.isin(whole.groups, names).sum() < len(whole.groups)
    folder = add_split(prepared, tmp_path / "set", "validation")
    assert RunProbe(str(folder), "expression").rows.split == "validation"


def test_what_the_probe_has_chosen_is_in_the_record(probed, tmp_path):
    settings = {**probed, "probe_steps": 1, "max_steps": 1, "keep_best": True, "probe_group": ""}
    run(settings, tmp_path / "run")
    saved = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert (saved["probe_split"], saved["probe_group"]) == ("train", "identity")
    run({**settings, "probe_group": "source"}, tmp_path / "old", resume=False)
    assert yaml.safe_load((tmp_path / "old/config.yaml").read_text())["probe_group"] == "source"


def test_a_set_of_a_test_split_alone_is_no_set_to_choose_by(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "set")
    for file in (tmp_path / "set/data").glob("train-*"):
        file.unlink()
    (tmp_path / "set/README.md").unlink()
    with pytest.raises(ValueError, match="has the splits test only, and a run's probe takes none that is reported"):
        RunProbe(str(tmp_path / "set"), "expression")


def test_a_probe_that_fails_ends_the_run_with_its_reason(probed, tmp_path, monkeypatch):
    def logs(self, model, processor):
        raise ValueError("the features of 3 of 12 rows hold NaN or infinity.")

    monkeypatch.setattr(RunProbe, "logs", logs)
    with pytest.raises(ValueError, match="features of 3 of 12 rows"):
        run({**probed, "probe_steps": 1, "max_steps": 1}, tmp_path / "run")
