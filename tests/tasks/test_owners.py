"""Every task by one command: from a small tree in its owner's layout to scores, and beside them the papers'."""

import json
import shutil

import pytest
import torch

from preface_hf import PrefAceConfig, PrefAceModel, PrefAceVideoProcessor
from preface_hf.cli import main
from preface_hf.tasks.finetune import finetune
from preface_hf.tasks.registry import TASKS
from preface_hf.tasks.results.papers import paper_rows
from preface_hf.tasks.results.scoring import PRIMARY
from preface_hf.tasks.results.tables import evaluation_table
from tests.modeling_common import TINY
from tests.tasks.owners import TREES


# Rows of the test part, of those the people, and rows without a label in it.
TESTED = {
    "celeba": (2, 2, 0), "lfwa": (2, 2, 0), "celebv-hq-appearance": (2, 2, 0), "celebv-hq-action": (2, 2, 0),
    "ck-plus": (3, 2, 1), "fer2013": (3, 3, 0), "raf-db": (3, 3, 0), "affectnet": (3, 3, 0), "crema-d": (4, 2, 0),
    "ravdess": (4, 2, 0), "mead": (4, 2, 0), "cmu-mosei-sentiment-2": (3, 2, 1), "cmu-mosei-sentiment-7": (3, 2, 1),
    "cmu-mosei-emotion": (3, 2, 1), "faceforensics-c23": (2, 1, 0), "faceforensics-c40": (3, 1, 0),
    "dfdc": (4, 2, 0), "deepfake": (3, 3, 0), "300w": (5, 5, 0), "helen": (2, 2, 0), "afw": (1, 1, 0),
}  # fmt: skip


# Of each family and kind of layout some; the others are slow.
FAST = (
    "celeba", "ck-plus", "cmu-mosei-sentiment-2", "cmu-mosei-emotion", "faceforensics-c23", "faceforensics-c40",
    "300w", "afw",
)  # fmt: skip


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    PrefAceModel(PrefAceConfig(**{**TINY, "num_landmarks": 68})).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    PrefAceVideoProcessor(size={"shortest_edge": 32}, crop_size=size, num_frames=4).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """The tree of each recipe, and the set that the first task of it prepared, for the others."""
    root = tmp_path_factory.mktemp("trees")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFACE_HF_CACHE", str(root / "cache"))
        yield root


# What has labels; experts and generators learn from the videos themselves (tests/tasks/sync, tests/tasks/lipsync).
LABELED = {name: task for name, task in TASKS.items() if task.kind not in ("sync", "lipsync")}


def test_every_task_has_a_tree():
    assert set(TESTED) == set(LABELED) and {task.recipe for task in LABELED.values()} == set(TREES)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in LABELED]
)
def test_from_the_owners_layout_to_scores(name, encoder, trees, tmp_path, capsys):
    task, run = TASKS[name], tmp_path / "run"
    owners, kept = trees / task.recipe, trees / f"{task.recipe}-set"
    if not owners.exists():
        pytest.importorskip("h5py")
        TREES[task.recipe](owners)
    if kept.exists():  # `prepare` finds it whole, and does nothing
        shutil.copytree(kept, run / "set")
    finetune(encoder, owners, task=name, protocol="linear", max_steps=2, samples=20, output_dir=str(run))
    if not kept.exists():
        shutil.copytree(run / "set", kept)
    scores, told = (json.loads((run / f).read_text()) for f in ("scores-test.json", "finetune.json"))
    rows, persons, left_out = TESTED[name]
    assert told["splits"]["test"] == {"rows": rows, "people": persons, "left_out": left_out}
    assert scores["count"] == rows and scores["left_out"] == left_out and told["name"] == name
    assert 0 <= scores[PRIMARY[task.kind][0]] < (10 if task.kind == "landmarks" else 1.0001)
    if task.kind == "deepfake":
        chosen = json.loads((run / "scores-validation.json").read_text())["threshold"]
        lines = [json.loads(line) for line in (run / "predictions-test.jsonl").read_text().splitlines()]
        right = [(line["scores"]["fake"] >= chosen) == (line["label"] == "fake") for line in lines]
        assert scores["threshold"] == chosen != 0.5 and scores["accuracy"] == pytest.approx(sum(right) / rows)
    papers = paper_rows(task.kind, name)
    if not papers:
        assert f"No paper's number is known here for {name}." in evaluation_table(run)
        return
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(run), "--data", str(run / "set"), "--samples", "0"])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    again = json.loads((run / "evaluation-set/scores-test.json").read_text())
    assert again.get("threshold") == scores.get("threshold") and again["count"] == rows
    assert all(f"{row.system} {row.value:.4f} ({name};" in said.out for row in papers)
