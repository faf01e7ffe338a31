"""Cards hold what the run holds, and say of all else that it is not stated."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import pytest
import yaml
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from preface_hf.hub.card import model_card
from preface_hf.hub.citations import CITATIONS
from preface_hf.hub.content import read_facts
from preface_hf.hub.groups import in_words
from tests.tasks.finished import finished_run


ROOT = Path(__file__).parents[2]
REQUIRED = ("license", "library_name", "pipeline_tag", "tags", "model_name")
SECTIONS = ("Use", "Method", "Data and consent", "Budget", "Measured", "Known gaps by group", "Intended use",
            "Out of scope")  # fmt: skip


def card_of(folder, **more) -> ModelCard:
    return ModelCard(str(model_card(read_facts(folder)[2], "org/faces", **more)))


def section(card: ModelCard, title: str) -> str:
    return card.text.split(f"## {title}\n")[1].split("\n## ")[0].strip()


def with_model(folder: Path, tuned: Path) -> Path:
    """A finished run of `tests/tasks/finished.py` with the weights of another."""
    for file in tuned.iterdir():
        if file.suffix in (".py", ".safetensors") or file.name in ("config.json", "video_preprocessor_config.json"):
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize("kind", ["pretraining", "fine-tuning", "checkpoint"])
def test_every_field_is_filled(kind, run, tuned, tmp_path):
    copytree(run / "final", tmp_path / "plain")
    folder = {"pretraining": run, "fine-tuning": tuned, "checkpoint": tmp_path / "plain"}[kind]
    facts, card = read_facts(folder)[2], card_of(folder, license="apache-2.0")
    assert facts.kind == kind
    header = card.data.to_dict()
    assert all(header.get(name) for name in REQUIRED if name != "model_name" or not facts.scores)
    assert all(section(card, title) for title in SECTIONS)
    weights = run / "final" if kind == "pretraining" else folder
    assert facts.parameters == sum(weight.numel() for weight in load_file(weights / "model.safetensors").values())
    assert {"loss", "loss_id"} <= set(facts.figures) if kind == "pretraining" else True
    assert all(picture.startswith(b"\x89PNG") for picture in facts.figures.values())
    assert ("model-index" in header) == (kind == "fine-tuning")


def test_an_adapter_tells_the_shape_of_its_head(tuned):
    """The tuned run has a head on a grid of places, its base has none."""
    said = section(card_of(tuned, base="org/base", adapter=True), "Use")
    assert '.from_pretrained("org/base", num_labels=3, classifier_pooling="grid", trust_remote_code=True)' in said


def test_numbers_are_those_of_the_files(run, tuned):
    scores = json.loads((tuned / "scores-test.json").read_text())
    card = card_of(tuned, base="org/base")
    assert {result.metric_type: result.metric_value for result in card.data.eval_results} == {
        name: scores[name] for name in ("war", "uar", "f1", "weighted_f1")
    }
    low, high = scores["war_low"], scores["war_high"]
    assert f"| war | {scores['war']:.3f} [{low:.3f}, {high:.3f}] | 12 |" in section(card, "Measured")
    assert card.data.base_model == "org/base" and "preface-hf finetune final" in section(card, "Measured")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    budget = section(card_of(run), "Budget")
    assert f"| last loss | {rows[-1]['loss']:.4g} |" in budget and "| clips seen | 24 |" in budget


def test_a_run_without_metrics_says_so(run, tmp_path):
    copytree(run, tmp_path / "run")
    (tmp_path / "run/metrics.jsonl").unlink()
    card = card_of(tmp_path / "run")
    assert section(card, "Measured") == "Not measured." and "model-index" not in card.data.to_dict()
    assert "none is logged" in section(card, "Budget")


def test_the_probe_of_the_last_step_is_a_result(run, tmp_path):
    copytree(run, tmp_path / "run")
    settings = yaml.safe_load((run / "config.yaml").read_text())
    more = {"probe_steps": 3, "probe_data": "/d/acted", "probe_label": "label", "probe_split": "validation"}
    (tmp_path / "run/config.yaml").write_text(yaml.safe_dump(settings | more))
    file = tmp_path / "run/metrics.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[-1] |= {"probe_knn": 0.4321, "probe_chance": 0.25}
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    card = card_of(tmp_path / "run")
    (found,) = card.data.eval_results
    assert (found.metric_value, found.dataset_name, found.dataset_split) == (0.4321, "acted", "validation")
    assert "chance 0.250" in section(card, "Measured") and "/d/" not in str(card)


@pytest.mark.parametrize("task", ["expression", "attributes", "landmarks"])
def test_runs_of_every_task(task, tuned, tmp_path):
    card = card_of(with_model(finished_run(tmp_path / "r", task), tuned))
    scores = json.loads((tmp_path / "r/scores-test.json").read_text())
    assert card.data.eval_results and all(r.metric_value == scores[r.metric_type] for r in card.data.eval_results)
    assert "Not measured: the set was not where the run found it." in section(card, "Known gaps by group")


def test_groups_are_those_of_the_set(tuned, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("preface_hf.hub.groups.TRAITS", ("expression",))
    lines = [json.loads(line) for line in (tuned / "predictions-test.jsonl").read_text().splitlines()]
    groups = read_facts(tuned)[2].groups
    assert sum(group.rows for group in groups) == len(lines)
    for group in groups:
        right = [
            max(row["scores"], key=row["scores"].get) == row["label"] for row in lines if row["label"] == group.value
        ]
        assert (group.rows, group.score) == (len(right), sum(right) / len(right))
    assert in_words("age", 37) == "30–39" and in_words("gender", float("nan")) == ""


def test_license_and_consent_of_the_set_are_quoted(run, prepared, tmp_path):
    copytree(run, tmp_path / "run"), copytree(prepared, tmp_path / "set")
    file, config = tmp_path / "set/README.md", tmp_path / "run/config.yaml"
    text = file.read_text().replace("license: unknown", "license: cc-by-4.0")
    file.write_text(text.split("To be filled in")[0] + "All 12 people signed a form.\n\nHash of the splits: 0\n")
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"data": str(tmp_path / "set")}))
    told = section(card_of(tmp_path / "run"), "Data and consent")
    assert "License: cc-by-4.0" in told and "shown: All 12 people signed a form." in told
    assert "not stated by the owner" in section(card_of(run), "Data and consent")


def test_citations_agree_with_the_citation_file():
    titles = [one["title"] for one in yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]]
    assert all(any(title in paper for _, paper in CITATIONS.values()) for title in titles)
