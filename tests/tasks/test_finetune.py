"""From labeled faces to a fine-tuned model: every protocol, resume, the folder that is left, and what is refused."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForKeypointDetection, AutoModelForVideoClassification

from preface_hf import PrefAceConfig, PrefAceModel, PrefAceVideoProcessor
from preface_hf.adapters import load_lora
from preface_hf.cli import main
from preface_hf.synthetic import draw_clip
from preface_hf.tasks import arguments
from preface_hf.tasks.arguments import PROTOCOLS
from preface_hf.tasks.evaluate import evaluate
from preface_hf.tasks.finetune import finetune
from preface_hf.tasks.fit import trainer
from preface_hf.tasks.fit.linear import fit_linear, neighbors_say
from preface_hf.tasks.registry import TASKS
from preface_hf.tasks.results.scoring import by_row, run_model, score
from preface_hf.tasks.rows.augment import change_colors, draw_motion, move_pixels, move_points
from preface_hf.tasks.rows.clips import LabeledClips
from preface_hf.tasks.rows.labels import label_space
from preface_hf.video.encoding import encode_video
from tests.modeling_common import TINY
from tests.tasks.test_clips import write


ROOT = Path(__file__).parents[2]


QUICK = {"max_steps": 4, "batch_size": 4, "samples": 20}


@pytest.fixture(scope="module", autouse=True)
def features_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFACE_HF_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    sizes = {name: value for name, value in TINY.items() if name not in ("num_labels", "num_landmarks")}
    PrefAceModel(PrefAceConfig(**sizes)).save_pretrained(folder)
    PrefAceVideoProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, num_frames=4, sampling_rate=2
    ).save_pretrained(folder)
    return folder


def read(folder, name):
    return json.loads((folder / name).read_text())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_leaves_scores_and_a_model_that_gives_them(protocol, encoder, prepared, tmp_path):
    run = finetune(encoder, prepared, "expression", protocol=protocol, output_dir=str(tmp_path / "run"), **QUICK)
    scores, told = read(run, "scores-test.json"), read(run, "finetune.json")
    rows = [json.loads(line) for line in (run / "predictions-test.jsonl").read_text().splitlines()]
    assert scores["count"] == len(rows) == told["splits"]["test"]["rows"] and scores["war_low"] <= scores["war"]
    right = np.mean([max(row["scores"], key=row["scores"].get) == row["label"] for row in rows])
    assert right == pytest.approx(scores["war"])
    assert (run / "report.html").is_file() and (run / "table-test.csv").is_file()
    if protocol == "knn":
        return
    model = AutoModelForVideoClassification.from_pretrained(run)
    assert list(model.config.id2label.values()) == told["names"]
    again = evaluate(run, prepared, samples=0)
    assert read(again, "scores-test.json")["confusion"] == scores["confusion"]
    before = PrefAceModel.from_pretrained(encoder).state_dict()
    same = all(torch.equal(weight, before[name]) for name, weight in model.preface.state_dict().items())
    assert same == (protocol in ("linear", "attentive"))
    if protocol == "lora":
        assert told["trainable"] < 0.5 * told["parameters"]
        clip = torch.rand(1, 4, 3, 32, 32)
        adapted = load_lora(run / "adapter", encoder)  # its head's shape lies beside it
        torch.testing.assert_close(adapted(pixel_values_videos=clip).logits, model(clip).logits, atol=1e-5, rtol=1e-4)


def test_the_faster_precision_is_measured_once(encoder, prepared, tmp_path, monkeypatch):
    found = iter(["bf16"])
    monkeypatch.setattr("preface_hf.tasks.finetune.fastest_precision", lambda config: next(found))
    settings = {**QUICK, "mixed_precision": "auto", "output_dir": str(tmp_path / "run")}
    run = finetune(encoder, prepared, "expression", **settings)
    assert read(run, "finetune.json")["settings"]["mixed_precision"] == "bf16"
    finetune(encoder, prepared, "expression", resume=True, **settings)
    monkeypatch.undo()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty"):
        finetune(tmp_path / "empty", prepared, "expression", **settings | {"output_dir": str(tmp_path / "other")})
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("pooling", ["layers", "grid"])
def test_heads_on_more_than_the_mean(pooling, encoder, prepared, tmp_path):
    run = finetune(
        encoder, prepared, "expression", protocol="linear", pooling=pooling, output_dir=str(tmp_path / "run"), **QUICK
    )
    assert AutoModelForVideoClassification.from_pretrained(run).config.classifier_pooling == pooling


def test_landmarks_are_learned_from_a_set_that_has_them(encoder, prepared, tmp_path):
    run = finetune(encoder, prepared, "landmarks", output_dir=str(tmp_path / "run"), **{**QUICK, "max_steps": 40})
    scores = read(run, "scores-test.json")
    losses = [row["loss"] for row in map(json.loads, (run / "log.jsonl").read_text().splitlines()) if "loss" in row]
    assert losses[-1] < losses[0] and 0 < scores["nme"] < 1
    assert AutoModelForKeypointDetection.from_pretrained(run).config.num_landmarks == 68
    with pytest.raises(ValueError, match="--protocol knn finds no points"):
        finetune(encoder, prepared, "landmarks", protocol="knn", output_dir=str(tmp_path / "other"))


def test_without_peft_there_is_one_sentence_before_videos_are_prepared(encoder, drawn_videos, tmp_path, monkeypatch):
    monkeypatch.setattr("preface_hf.tasks.finetune.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="--protocol lora needs peft.*: pip install 'preface-hf.peft.'"):
        finetune(encoder, drawn_videos, "label", protocol="lora", output_dir=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_stopped_ends_as_one_that_was_not(encoder, prepared, tmp_path, monkeypatch):
    settings = {**QUICK, "max_steps": 20, "mixup": 0.4, "class_weights": True, "drop_path_rate": 0.2}
    whole = finetune(encoder, prepared, "expression", output_dir=str(tmp_path / "whole"), **settings)
    step, count = trainer.TaskTrainer.training_step, iter(range(100))

    def stopping(self, *args, **more):
        if next(count) == 7:
            raise KeyboardInterrupt
        return step(self, *args, **more)

    monkeypatch.setattr(trainer.TaskTrainer, "training_step", stopping)
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        finetune(encoder, prepared, "expression", output_dir=str(folder), **settings)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="holds a run already: choose another --output-dir, or add --resume"):
        finetune(encoder, prepared, "expression", output_dir=str(folder), **settings)
    again = finetune(encoder, prepared, "expression", output_dir=str(folder), resume=True, **settings)
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert read(again, "scores-test.json") == read(whole, "scores-test.json")


def test_gradient_checkpointing_changes_nothing_of_lora(encoder, prepared, tmp_path):
    weights = []
    for keeps in (True, False):
        run = finetune(
            encoder, prepared, "expression", protocol="lora", output_dir=str(tmp_path / str(keeps)),
            gradient_checkpointing=keeps, **QUICK,
        )  # fmt: skip
        weights.append(load_file(run / "adapter/adapter_model.safetensors"))
    first, second = weights
    assert first.keys() == second.keys() and any("lora_B" in name and weight.any() for name, weight in first.items())
    for name, weight in first.items():
        torch.testing.assert_close(weight, second[name], atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.slow
def test_two_processes_train_and_score_as_one(encoder, prepared, tmp_path):
    """The example by torchrun: every row counts once."""
    data = write(prepared, tmp_path / "set", lambda split, n: {"mood": ["glad", "sad", "calm"][n % 3]})
    script = ROOT / "examples/finetune_on_your_videos.py"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    plain = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*launch, str(script), str(encoder), str(data), "mood", str(tmp_path / "out")], env=plain, cwd=tmp_path,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = [ast.literal_eval(line) for line in done.stdout.splitlines() if line.startswith("{'eval_loss'")]
    # Two that train each for itself would log each epoch twice.
    assert [row["epoch"] for row in told[:10]] == [str(epoch) for epoch in range(1, 11)]
    assert told[-1]["eval_count"] == 6
    labels = label_space(data, "mood")
    clips = LabeledClips(data, "test", labels, PrefAceVideoProcessor.from_pretrained(encoder), windows=2)
    model = AutoModelForVideoClassification.from_pretrained(tmp_path / "out")
    alone = score(labels, *by_row(labels, *run_model(model, clips), 2))
    assert told[-1]["eval_war"] == pytest.approx(alone["war"])


def test_a_users_path_is_three_commands(reports, encoder, tmp_path, capsys, monkeypatch):
    """No flag but paths and the label; a README in the folder does not make it a prepared set."""
    monkeypatch.setattr(arguments, "LEAST_STEPS", 30)  # of 300, which are seconds more
    monkeypatch.setattr(arguments, "EPOCHS", 1)
    for person in range(7):
        place = tmp_path / ("new.mp4" if person == 6 else f"videos/{('calm', 'glad')[person % 2]}/{person}.mp4")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encode_video(draw_clip(person, "happiness", person, num_frames=8, size=64).frames, 25))
    (tmp_path / "videos/README.md").write_text("# My videos\n", encoding="utf-8")
    run = tmp_path / "mine"
    finetuned = ["finetune", str(encoder), "--data", str(tmp_path / "videos"), "--label", "label"]
    for command in (
        [*finetuned, "--output-dir", str(run)],
        ["predict", str(run), str(tmp_path / "new.mp4")],
        ["evaluate", str(run), "--data", str(run / "set"), "--split", "train"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(command)
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        if command[0] == "finetune":
            # How far it is, in words: no dictionaries of the Trainer's.
            assert re.search(r"^finetune: step \d+ of \d+, war of the validation part [01]\.\d{3}$", said.err, re.M)
            assert "{" not in said.err + said.out
            assert "each file counts as a person" in said.err
    assert "war" in said.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--label", "mood"], "has no column 'mood': choose of"),
        (["--label", "expression", "--task", "celeba"], "--task celeba has its own columns"),
        ([], "nothing says what to predict: name columns with --label"),
        (["--task", "smile"], "the task 'smile' is unknown: choose one of celeba"),
        (["--label", "expression", "--protocol", "half"], "protocol='half' is unknown: choose one of linear"),
        (["--label", "expression", "--labels", "0%"], "--labels 0% is no share"),
        (["--label", "expression", "--labels", "5%", "--shots", "3"], "both say how many labels: give one"),
        (["--label", "expression", "--learning-rate", "nan"], "learning_rate=nan is out of range"),
        (["--label", "expression", "--group", "person"], "has no column 'person' to tell people by"),
        (["--label", "expression", "--label", "expression"], "name one column or several, each once"),
    ],
)
def test_a_mistake_is_one_sentence_before_any_work(more, message, encoder, prepared, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["finetune", str(encoder), "--data", str(prepared), "--output-dir", str(tmp_path / "run"), *more])
    # Loading shows a bar, which ends with a carriage return.
    said = capsys.readouterr().err.split("\r")[-1].split("it/s]")[-1]
    assert ended.value.code == 2 and message in said and said.strip().count("\n") == 0
    assert not (tmp_path / "run").exists()


def test_a_linear_head_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(60, 5)), rng.integers(3, size=60)
    penalty = 0.01
    weight, bias = fit_linear(features, targets, 3, penalty)
    other = LogisticRegression(C=1 / (2 * penalty * 60), max_iter=5000, tol=1e-10).fit(features, targets)
    chances = (torch.from_numpy(features) @ weight.T + bias).softmax(-1).numpy()
    np.testing.assert_allclose(chances, other.predict_proba(features), atol=1e-4)
    several = rng.integers(2, size=(60, 2))
    weight, bias = fit_linear(features, several, 2, penalty)
    for column in range(2):
        other = LogisticRegression(C=1 / (2 * penalty * 60), max_iter=5000, tol=1e-10).fit(
            features, several[:, column]
        )
        found = (torch.from_numpy(features) @ weight[column] + bias[column]).sigmoid().numpy()
        np.testing.assert_allclose(found, other.predict_proba(features)[:, 1], atol=1e-4)


def test_neighbors_are_scikit_learns():
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    train, asked, targets = rng.normal(size=(40, 6)), rng.normal(size=(9, 6)), rng.integers(3, size=40)
    scaler = StandardScaler().fit(train)
    other = KNeighborsClassifier(5, metric="cosine").fit(scaler.transform(train), targets)
    found = neighbors_say(train, targets, 3, asked, 5)
    np.testing.assert_allclose(found, other.predict_proba(scaler.transform(asked)), atol=1e-12)


def test_pixels_and_points_are_moved_alike():
    for seed in range(5):
        torch.manual_seed(seed)
        motion = draw_motion(48)
        pixels, point = torch.zeros(1, 1, 48, 48), torch.tensor([20.0, 30.0])
        pixels[0, 0, 29:32, 19:22] = 1  # around x 20, y 30
        moved = move_pixels(pixels, motion)[0, 0]
        y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
        center = torch.stack([(moved * x).sum(), (moved * y).sum()]) / moved.sum()
        torch.testing.assert_close(center, move_points(point, motion), atol=0.15, rtol=0)


def test_augmentation_has_a_strength():
    turns = []
    for strength in (1.0, 0.5, 0.0):
        torch.manual_seed(3)  # the same draw
        motion = draw_motion(48, strength)
        turns.append(torch.atan2(motion[1, 0], motion[0, 0]))
    torch.testing.assert_close(motion, torch.eye(2, 3))
    torch.testing.assert_close(turns[1], turns[0] / 2)
    pixels = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(change_colors(pixels, 0.0), pixels)


def test_owners_words_are_read_once():
    assert [TASKS["fer2013"].read(word) for word in ("Happy", "happiness ", "SAD", None)] == [
        "happiness", "happiness", "sadness", None,
    ]  # fmt: skip
    assert TASKS["crema-d"].read("surprise") is None and TASKS["ck-plus"].read("contempt") == "contempt"
    assert [TASKS["deepfake"].read(word) for word in ("FAKE", "fake_wav2lip", 0, 1)] == [
        "fake",
        "fake",
        "real",
        "fake",
    ]
    assert [TASKS["cmu-mosei-sentiment-7"].read(value) for value in (-2.67, 0.0, 1.4)] == ["-3", "0", "1"]
    assert [TASKS["cmu-mosei-sentiment-2"].read(value) for value in (-0.3, 0.0)] == ["negative", "non-negative"]
    assert TASKS["celeba"].read(-1) == 0 and len(TASKS["celebv-hq-action"].names) == 35
    assert len(TASKS["celeba"].names) == len(TASKS["celebv-hq-appearance"].names) == 40
