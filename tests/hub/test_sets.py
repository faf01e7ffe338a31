"""Prepared sets on the Hub: more files than one commit takes, a connection lost within one, and columns of people."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from shutil import copytree

import pyarrow.parquet as pq
import pytest

from preface_hf.data.opening import open_prepared
from preface_hf.hub import push
from preface_hf.hub.card import model_card
from preface_hf.hub.content import read_facts
from preface_hf.prepare.run import prepare
from preface_hf.tasks.finetune import finetune


@pytest.fixture
def shards(prepared, tmp_path) -> Path:
    """The prepared set in 70 files of a row; its README says nothing of files."""
    folder = tmp_path / "shards"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text("# 70 files\n", encoding="utf-8")
    table = pq.read_table(next(prepared.glob("data/train-*.parquet")))
    for number in range(70):
        row = table.slice(number % len(table), 1)
        ids = row.column_names.index("instance_id")
        row = row.set_column(ids, row.schema.field(ids), [[number]])
        pq.write_table(row, folder / f"data/train-{number:05d}-of-00070.parquet")
    return folder


def held(hub) -> int:
    return sum(path.endswith(".parquet") for path in hub.files("org/set", "datasets"))


def test_a_set_of_more_files_than_a_commit_takes(hub, shards, tmp_path):
    commit = push(shards, "org/set", repo_type="dataset")
    repo = hub.repos["datasets", "org/set"]
    first, last = [files for sha, files in repo.commits.items() if sha != "0" * 40]
    assert (len(first), len(last)) == (64, 71) and "README.md" not in first and "README.md" in last
    assert repo.branches["main"] == commit and commit == list(repo.commits)[-1]
    again = tmp_path / "again"
    for path, data in last.items():
        (again / path).parent.mkdir(parents=True, exist_ok=True)
        (again / path).write_bytes(data)
    assert open_prepared(again).digest == open_prepared(shards).digest
    # What a smaller set of the same name does not have is deleted.
    for file in sorted(shards.glob("data/*"))[3:]:
        file.unlink()
    push(shards, "org/set", repo_type="dataset")
    assert held(hub) == 3


@pytest.mark.parametrize(("moment", "made"), [("before", 0), ("after", 64)])
def test_a_connection_that_drops_within_a_commit(hub, shards, moment, made):
    hub.dropping = moment
    with pytest.raises(ValueError, match="the push to org/set broke off .*give the same command again") as error:
        push(shards, "org/set", repo_type="dataset")
    assert "\n" not in str(error.value) and held(hub) == made
    assert "README.md" not in hub.files("org/set", "datasets")
    hub.dropping, puts = "", list(hub.puts)
    push(shards, "org/set", repo_type="dataset")
    assert held(hub) == 70 and "README.md" in hub.files("org/set", "datasets")
    # 12 different rows: no file is sent twice, and a commit that was made is not made again.
    assert hub.puts[: len(puts)] == puts and len(hub.puts) == len(set(hub.puts))
    assert len(hub.repos["datasets", "org/set"].messages) == 2


@pytest.fixture(scope="module")
def people(drawn_videos, tmp_path_factory) -> Path:
    """The drawn videos with a table that says of each person age, gender and race; of one nothing."""
    folder = copytree(drawn_videos, tmp_path_factory.mktemp("people") / "videos")
    with (folder / "metadata.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "split", "identity", "expression", "Age", "gender", "race"])
        for row in rows:
            person = int(row["identity"].removeprefix("id_"))
            traits = (25 + person, "female" if person % 2 else "male", ("white", "black", "asian")[person % 3])
            told = ("", "", "") if person == 11 else traits
            table.writerow([row["file_name"], row["split"], person, row["expression"], *told])
    prepare(folder / "people.csv", folder.parent / "set", recipe="csv", landmarker="given", crop_size=64)
    return folder.parent / "set"


@pytest.mark.slow  # test_card.py: the same with other columns
def test_a_card_tells_scores_by_age_gender_and_race(people, run, tmp_path):
    folder = finetune(run / "final", people, "expression", output_dir=str(tmp_path / "tuned"), protocol="linear")
    facts = read_facts(folder)[2]
    lines = [json.loads(line) for line in (folder / "predictions-test.jsonl").read_text().splitlines()]
    groups = {(group.trait, group.value): (group.rows, group.score) for group in facts.groups}
    # Six people of two clips are tested, 6 to 11, and nothing is known of the last.
    told = {"Age": {"30–39": 10}, "gender": {"male": 6, "female": 4}, "race": {"white": 4, "black": 4, "asian": 2}}
    assert {key: rows for key, (rows, _) in groups.items()} == {
        (trait, value): rows for trait, values in told.items() for value, rows in values.items()
    }
    right = [max(row["scores"], key=row["scores"].get) == row["label"] for row in lines
             if int(Path(row["source"]).name[3:7]) in (6, 8, 10)]  # fmt: skip
    assert groups["gender", "male"] == (6, pytest.approx(sum(right) / 6))
    text = model_card(facts, "org/faces").text
    assert f"| gender | male | 6 | {sum(right) / 6:.3f} |" in text and "Groups of few rows say little" in text
