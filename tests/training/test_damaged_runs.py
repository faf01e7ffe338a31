"""Run folders and sets that are damaged, or others than they were: one sentence, or what is left out is listed."""

import json
import shutil
import subprocess

import pytest
from safetensors.torch import load_file, save_file

from preface_hf.training.report import write_report
from tests.conftest import ENCODER_SIZES, tiny
from tests.training.test_loop import command, environment, run


def other_set(prepared, target, rows_left=None):
    """The set with other sources, or with its first rows only."""
    import pyarrow.parquet as pq

    shutil.copytree(prepared, target)
    (file,) = (target / "data").glob("train-*")
    table = pq.read_table(file)
    if rows_left:
        table = table.slice(0, rows_left)
        for card in target.glob("README.md"):
            card.unlink()  # it promises as many rows as there were
    else:
        sources = [f"other/{source}" for source in table["source"].to_pylist()]
        place = table.column_names.index("source")
        table = table.set_column(place, table.schema.field("source"), [sources])
    pq.write_table(table, file, row_group_size=16)
    return str(target)


def test_resume_on_another_set_is_refused(tiny_settings, prepared, tmp_path):
    settings = {**tiny_settings, "max_steps": 1}
    run(settings, tmp_path / "run")
    config = (tmp_path / "run/config.yaml").read_text()
    for data in (other_set(prepared, tmp_path / "same size"), other_set(prepared, tmp_path / "smaller", 5)):
        with pytest.raises(ValueError, match=r"trained on other data \(12 rows, sources \w+; given: (12|5) rows"):
            run({**settings, "data": data}, tmp_path / "run", resume=True)
    assert (tmp_path / "run/config.yaml").read_text() == config
    shutil.copytree(prepared, tmp_path / "moved")
    run({**settings, "data": str(tmp_path / "moved")}, tmp_path / "run", resume=True)
    # Of releases that wrote no such thing: what does not fit is told all the same.
    file = tmp_path / "run/checkpoints/step-00000001/training.json"
    file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "data"}))
    with pytest.raises(ValueError, match="step-00000001 does not fit this run .*cop"):
        run({**settings, "data": str(tmp_path / "smaller")}, tmp_path / "run", resume=True)
    run(settings, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    "change",
    [
        {"step": 1e300}, {"step": -1}, {"step": float("nan")}, {"step": "1"}, {"step": True}, {"step": 0}, {"step": 2},
        {"step": None}, {"step": 10**400}, {"processes": "1"}, {"processes": None}, {"probe_knn": "good"}, "", "[1]",
        '{"step": 1', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_training_json_is_one_sentence(trained, tmp_path, change):
    settings, folder = trained
    shutil.copytree(folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/final")
    file = tmp_path / "run/checkpoints/step-00000001/training.json"
    text = change if isinstance(change, str) else json.dumps({**json.loads(file.read_text()), **change})
    file.write_text(text)
    with pytest.raises(ValueError, match=r"training.json is damaged .*: delete .*step-00000001, and --resume takes"):
        run(settings, tmp_path / "run", resume=True)
    assert not (tmp_path / "run/final").exists()


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """Settings and folder of a run of one step."""
    settings, folder = {**tiny(prepared), "max_steps": 1}, tmp_path_factory.mktemp("trained") / "run"
    run(settings, folder)
    return settings, folder


@pytest.mark.parametrize("text", ["", "a: [1", "\tsize: x", "- 1", "1: 2", "null", "[" * 5000])
def test_a_damaged_config_is_one_sentence(trained, tmp_path, text):
    settings, folder = trained
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run/config.yaml").write_text(text)
    for call in (lambda: run(settings, tmp_path / "run", resume=True), lambda: write_report(tmp_path / "run")):
        with pytest.raises(ValueError, match="config.yaml (cannot be read|is empty or cut)"):
            call()


def test_damaged_metrics_are_left_out_and_listed(trained, tmp_path, capsys):
    settings, folder = trained
    shutil.copytree(folder, tmp_path / "run")
    file = tmp_path / "run/metrics.jsonl"
    good = file.read_text()
    row = json.loads(good)
    bad = [
        json.dumps({k: v for k, v in row.items() if k != "epoch"}), good[:30], "[1]", json.dumps({**row, "loss": "x"}),
        json.dumps({**row, "step": None}), "{}", "\ufffd", json.dumps({**row, "loss": 10**400}),
    ]  # fmt: skip
    file.write_text("\n".join(bad) + "\n" + good, encoding="utf-8")
    write_report(tmp_path / "run")
    assert "metrics.jsonl: 8 damaged lines are left out (1, 2, 3, 4, 5, 6, 7, 8)." in capsys.readouterr().out
    run(settings, tmp_path / "run", resume=True)
    assert "8 damaged lines" in capsys.readouterr().out
    assert file.read_text() == good


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_shard_is_named(tiny_settings, prepared, tmp_path, workers):
    shutil.copytree(prepared, tmp_path / "set")
    (file,) = (tmp_path / "set/data").glob("train-*")
    content = bytearray(file.read_bytes())
    content[4 : len(content) * 3 // 4] = bytes(len(content) * 3 // 4 - 4)  # the footer stays whole
    file.write_bytes(content)
    settings = {**tiny_settings, "data": str(tmp_path / "set"), "num_workers": workers}
    with pytest.raises(ValueError, match=rf"^row group 0 of \S*{file.name} cannot be read .*: fetch the file again"):
        run(settings, tmp_path / "run")


@pytest.mark.parametrize("damage", ["cut", "renamed", "reshaped"])
def test_damaged_weights_of_a_stopped_run_are_one_sentence(trained, tmp_path, damage):
    settings, folder = trained
    shutil.copytree(folder, tmp_path / "run")
    file = tmp_path / "run/checkpoints/step-00000001/model.safetensors"
    weights = load_file(file)
    bias = weights.pop("preface.layernorm.bias")
    save_file(
        {**weights, "preface.layernorm.bias_old" if damage == "renamed" else "preface.layernorm.bias": bias.repeat(2)},
        file,
    )
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:20_000])
    with pytest.raises(ValueError, match="step-00000001 does not fit this run") as refused:
        run(settings, tmp_path / "run", resume=True)
    assert "\n" not in str(refused.value)


def test_a_last_line_that_is_no_row_is_listed(trained, tmp_path, capsys):
    _, folder = trained
    shutil.copytree(folder, tmp_path / "run")
    file = tmp_path / "run/metrics.jsonl"
    good = file.read_text(encoding="utf-8")
    for last, listed in (("model: null", True), ("{}", True), ('{"step": 1, "epo', False)):
        file.write_text(good + last + "\n", encoding="utf-8")
        write_report(tmp_path / "run")
        assert ("1 damaged lines are left out (2)" in capsys.readouterr().out) == listed


def cut_video(prepared, target, row):
    """The set, with the video of a row cut after 200 bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    shutil.copytree(prepared, target)
    (file,) = (target / "data").glob("train-*")
    table = pq.read_table(file)
    place = table.column_names.index("video")
    videos = table["video"].to_pylist()
    videos[row]["bytes"] = videos[row]["bytes"][:200]
    field = table.schema.field("video")
    pq.write_table(table.set_column(place, field, pa.array(videos, field.type)), file, row_group_size=16)
    return str(target)


@pytest.mark.parametrize("method", [pytest.param("dino", marks=pytest.mark.slow), "marlin"])
def test_a_video_that_cannot_be_read_is_named_and_the_program_ends(tiny_settings, prepared, tmp_path, method):
    """A loading process ignores the signal by which Python ends it: the program waited for it without end."""
    model = {name: tiny_settings["model"][name] for name in ENCODER_SIZES}
    data = cut_video(prepared, tmp_path / "set", 3)
    settings = {**tiny_settings, "method": method, "model": model, "views": {}, "num_workers": 1, "data": data}
    program = command(settings, tmp_path / "run")
    ended = subprocess.run(program, env=environment(), capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    assert "instance_id 3 cannot be read" in " ".join(ended.stderr.split())


def test_a_probe_that_cannot_be_made_ends_every_process(tiny_settings, prepared, tmp_path):
    """The main process alone probes: the other one must not wait for it."""
    probe = {"probe_data": cut_video(prepared, tmp_path / "set", 3), "probe_label": "expression", "probe_steps": 1}
    program = command({**tiny_settings, **probe, "max_steps": 2}, tmp_path / "run", processes=2)
    ended = subprocess.run(program, env=environment(), capture_output=True, text=True, timeout=180)
    said = " ".join(ended.stderr.split())
    assert ended.returncode != 0 and "preface-hf: " in said and "cannot be opened as a video" in said
    assert "the probe failed on the main process" in said
