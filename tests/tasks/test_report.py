"""The page of a fine-tuned run: its numbers are on it, text is escaped, faces only where they are asked for."""

import json
import re
import sys

import numpy as np
import pytest

from preface_hf.data.row_groups import open_parquet
from preface_hf.tasks.results.details import spoken
from preface_hf.tasks.results.hardest import first_frames, hardest
from preface_hf.tasks.results.report import write_task_report
from preface_hf.training.report import WARNING
from preface_hf.video.decoding import open_video
from tests.tasks.finished import finished_run


pytestmark = pytest.mark.usefixtures("reports")


def cells_of(text, title):
    """The cells of the first table after a heading, a list a row."""
    part = text[text.index(f"<h2>{title}</h2>") :]
    rows = re.findall(r"<tr>(.*?)</tr>", part[: part.index("</table>")])
    return [re.findall(r"<t[dh]>(.*?)</t[dh]>", row) for row in rows]


def predictions_of(run):
    return [json.loads(line) for line in (run / "predictions-test.jsonl").read_text().splitlines()]


def test_a_page_of_expressions_has_its_numbers(tmp_path):
    run = finished_run(tmp_path / "<b>run & co", names=("<i>anger", "happy", "sad"))
    text = write_task_report(run).read_text(encoding="utf-8")
    scores = json.loads((run / "scores-test.json").read_text())
    assert "<b>run" not in text and "<i>anger" not in text and "&lt;i&gt;anger" in text
    assert not re.search(r'(src|href)="(?!data:)|url\(|@import|<script|<link', text)
    assert "jpeg" not in text and WARNING not in text
    head, *rows = cells_of(text, "Confusion")
    assert head == ["truth \\ guess", "&lt;i&gt;anger", "happy", "sad", "all"]
    assert [[int(cell) for cell in row[1:-1]] for row in rows] == scores["confusion"]
    assert f"{scores['war']:.3f} [{scores['war_low']:.3f}, {scores['war_high']:.3f}]" in text
    assert ["train", "120", "30", "2"] in cells_of(text, "Data") and "12,345 of 1,234,567" in text
    # Loss with that of validation, the learning rate, the accuracy; confusion and reliability.
    assert text.count("<img") == 3 + 2 and "<b>eval_war</b> 0.8" in text and "eval_runtime" not in text
    assert "total_flos" not in text and "train_loss" not in text


def test_the_hardest_rows_are_those_of_the_highest_loss(tmp_path):
    run = finished_run(tmp_path / "run")
    rows = predictions_of(run)
    losses = {row["source"]: -np.log(row["scores"][row["label"]]) for row in rows}
    found = hardest([*rows, {"source": "none.mp4", "track": 0, "label": None, "scores": {"sad": 1.0}}])
    assert [row.key[0] for row in found] == sorted(losses, key=losses.get, reverse=True)[:20]
    assert found[0].loss == pytest.approx(losses[found[0].key[0]])
    shown = cells_of(write_task_report(run).read_text(encoding="utf-8"), "Hardest of test")[1:]
    assert [row[0] for row in shown] == [row.key[0] for row in found]
    assert [row[3:5] for row in shown] == [[row.truth, row.guess] for row in found]


def test_attributes_are_sorted_by_auc_and_missing_labels_do_not_count(tmp_path):
    names = [f"a{n}" for n in range(6)]
    run = finished_run(tmp_path / "run", "attributes", names)
    scores, rows = json.loads((run / "scores-test.json").read_text()), predictions_of(run)
    shown = cells_of(write_task_report(run).read_text(encoding="utf-8"), "Attributes")[1:]
    assert [row[1] for row in shown] == [f"{value:.3f}" for value in sorted(scores["auc_of"])]
    first = next(row for row in shown if row[0] == "a0")
    assert first[5] == "59" and int(first[4]) == sum(row["label"]["a0"] or 0 for row in rows)
    assert len(spoken("attributes", rows)[1]) == 60 * 6 - 1
    worst = hardest(rows, 1)[0]
    losses = [-np.log(rows[0]["scores"][n] if rows[0]["label"][n] else 1 - rows[0]["scores"][n]) for n in names[1:]]
    assert next(row for row in hardest(rows, 60) if row.key[0] == "clip000.mp4").loss == pytest.approx(np.mean(losses))
    assert worst.truth.count(",") == 2


def test_a_page_of_fakes_and_one_of_landmarks(tmp_path):
    fakes = finished_run(tmp_path / "fakes", "deepfake", ("real", "fake"), name="faceforensics-c40")
    text = write_task_report(fakes).read_text(encoding="utf-8")
    assert "0.8863" in text and "average_precision" in text and "<h2>Confusion" not in text
    assert spoken("deepfake", predictions_of(fakes))[1][0][0] == predictions_of(fakes)[0]["scores"]["fake"]
    points = finished_run(tmp_path / "points", "landmarks", ())
    text, rows = write_task_report(points).read_text(encoding="utf-8"), predictions_of(points)
    worst = max(rows, key=lambda row: row["error"])
    assert cells_of(text, "Hardest of test")[1] == [worst["source"], "0", worst["group"], f"{worst['error']:.4f}"]
    assert f"Median {np.median([row['error'] for row in rows]):.4f}" in text and "<h2>Reliability" not in text


def test_faces_are_shown_only_where_asked_for(tmp_path, prepared):
    with open_parquet(str(next((prepared / "data").glob("test-*")))) as opened:
        table = opened.read(columns=["source", "track", "video"]).to_pylist()
    keys = [(row["source"], row["track"]) for row in table]
    run = finished_run(tmp_path / "run", sources=keys)
    assert "jpeg" not in write_task_report(run, prepared).read_text(encoding="utf-8")
    text = write_task_report(run, prepared, with_faces=True).read_text(encoding="utf-8")
    assert WARNING in text[: text.index("<img")] and text.count("jpeg;base64") == len(keys) == 12
    found = first_frames(prepared, "test", keys[3:5])
    assert set(found) == set(keys[3:5])
    expected = open_video(table[3]["video"]["bytes"], "pyav").frames(np.array([0]))[0]
    assert np.array_equal(np.asarray(found[keys[3]]), expected)
    with pytest.raises(ValueError, match="with_faces needs the data"):
        write_task_report(run, with_faces=True)
    with pytest.raises(ValueError, match="has none of the rows in 'train'"):
        first_frames(prepared, "train", keys)


def test_a_run_that_has_only_begun_has_a_page(tmp_path):
    run = finished_run(tmp_path / "run")
    for name in ("scores-test.json", "predictions-test.jsonl"):
        (run / name).unlink()
    with (run / "log.jsonl").open("a") as file:
        file.write('{"step": 50, "lo')
    text = write_task_report(run).read_text(encoding="utf-8")
    assert "Nothing is evaluated yet." in text and "<b>loss</b>" in text
    (run / "log.jsonl").write_text('{"step": 1,\n{"step": 2, "epoch": 1, "loss": 1}\n')
    with pytest.raises(ValueError, match="line 1 of .*log.jsonl is damaged"):
        write_task_report(run)


def test_without_matplotlib_it_is_said(tmp_path, monkeypatch):
    run = finished_run(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    text = write_task_report(run).read_text(encoding="utf-8")
    assert text.count("pip install matplotlib") == 2 and "Hardest of test" in text
