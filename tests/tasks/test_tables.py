"""Tables of a run: every score with its interval, and papers' numbers that say what they are of."""

import csv
import json

import pytest

from preface_hf.tasks.results.papers import NOTES, PAPERS, paper_rows
from preface_hf.tasks.results.tables import evaluation_csv, evaluation_table, write_tables
from tests.tasks.finished import finished_run


SCORES = {
    "auc": 0.9,
    "auc_low": 0.8,
    "auc_high": 0.95,
    "eer": float("nan"),
    "accuracy": 0.85,
    "count": 149,
    "left_out": 3,
}


def line_of(table, metric):
    return next(line for line in table.splitlines() if line.startswith(f"| {metric} |"))


def test_a_row_has_its_interval_and_counts():
    table = evaluation_table(SCORES, {"task": "deepfake", "name": "faceforensics-c40"})
    line = line_of(table, "auc")
    assert line.startswith("| auc | 0.900 [0.800, 0.950] | 149 | 3 | MARLIN ViT-S 0.8863 (faceforensics-c40;")
    assert "0.9305" in line and "0.9377" in line and "not the same data" not in table
    assert line_of(table, "accuracy").endswith("| 0.850 | 149 | 3 | – |")
    assert "| eer | – |" in table and "PrefAce measures FaceForensics++" in table


def test_what_no_score_has_and_the_threshold_are_told_below():
    table = evaluation_table(SCORES | {"threshold": 0.8125, "files_left_out": 7}, {"task": "deepfake", "name": None})
    assert "a video is fake from 0.812 on" in table and "7 files show no face or cannot be read" in table
    assert "| threshold |" not in table and "| files_left_out |" not in table
    table = evaluation_table(SCORES, {"task": "deepfake", "name": None})
    assert "is fake from" not in table and "cannot be read" not in table


def test_data_of_your_own_are_not_the_papers_data():
    line = line_of(evaluation_table(SCORES, {"task": "deepfake", "name": None}), "auc")
    assert line.count("not the same data") == 3
    # Where no paper has a number there is nothing to say of papers.
    own = {"war": 0.5, "count": 4}
    assert "PrefAce" not in evaluation_table(own, {"task": "expression", "name": None})
    assert "PrefAce measures" in evaluation_table(own, {"task": "expression", "name": "ck-plus"})
    other = evaluation_table(SCORES, {"task": "deepfake", "name": "dfdc"})
    assert "MARLIN ViT" not in other and "No paper's number is known here for dfdc." in other


def test_papers_numbers_are_shares_with_a_source():
    assert all(0 < row.value < 1 and "2211.06627" in row.source and row.task in NOTES for row in PAPERS)
    assert {row.system for row in paper_rows("attributes", "celebv-hq-action")} == {"MARLIN"}
    assert [row.value for row in paper_rows("attributes", "celebv-hq-action")] == [0.9548, 0.9406]
    assert paper_rows("landmarks", None) == [] and set(NOTES) == {"expression", "attributes", "deepfake", "landmarks"}


def test_csv_keeps_the_numbers_as_they_are(tmp_path):
    run = finished_run(tmp_path / "run", "attributes", ("Hat", "Smiling"), name="celebv-hq-action")
    scores = json.loads((run / "scores-test.json").read_text())
    assert [path.name for path in write_tables(run)] == ["table-test.md", "table-test.csv"]
    rows = {row["metric"]: row for row in csv.DictReader((run / "table-test.csv").open(encoding="utf-8"))}
    assert list(rows) == ["auc", "mean_auc", "accuracy", "mean_accuracy"]
    for name, row in rows.items():
        assert [float(row[key]) for key in ("value", "low", "high")] == [
            scores[name + end] for end in ("", "_low", "_high")
        ]
    assert "0.9406" in rows["auc"]["papers"] and int(rows["auc"]["items"]) == 60
    assert evaluation_csv(run) == (run / "table-test.csv").read_text()
    assert "Ours: test; model /models/vit-b, data /data/set, protocol lora, labels 10%." in evaluation_table(run)


def test_what_is_missing_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="holds no fine-tuned run"):
        evaluation_table(tmp_path)
    run = finished_run(tmp_path / "run")
    with pytest.raises(ValueError, match="has no scores of 'validation' \\(there: test\\)"):
        evaluation_table(run, split="validation")
    with pytest.raises(ValueError, match="do not tell their task"):
        evaluation_table(SCORES)
    (run / "scores-test.json").write_text("{")
    with pytest.raises(ValueError, match="scores-test.json is damaged"):
        evaluation_table(run)
