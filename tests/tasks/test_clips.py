"""Labels of a prepared set, clips of its rows, and a Trainer that takes both."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForVideoClassification, Trainer, TrainingArguments
from transformers.trainer_utils import EvalPrediction

from preface_hf import PrefAceConfig, PrefAceModel, PrefAceVideoProcessor
from preface_hf.data.shards import prepared_features, read_rows, write_shards
from preface_hf.tasks.results.scoring import metrics_of
from preface_hf.tasks.rows.clips import LabeledClips
from preface_hf.tasks.rows.labels import LabelSpace, label_space
from preface_hf.tasks.rows.splits import check_overlap, fewer, parts_of, read_part, read_share
from preface_hf.video.decoding import open_video
from tests.modeling_common import TINY


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    PrefAceModel(PrefAceConfig(**TINY)).save_pretrained(folder)
    PrefAceVideoProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, num_frames=4, sampling_rate=2
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def processor(checkpoint):
    return PrefAceVideoProcessor.from_pretrained(checkpoint)


def write(prepared, folder, columns, splits=("train", "test")):
    """A set of the drawn clips with other labels: `columns` gives cells by (split, row)."""
    (folder / "data").mkdir(parents=True)
    names = list(columns(splits[0], 0))
    for split in splits:
        rows = list(read_rows(next((prepared / "data").glob("train-*"))))[:6]
        features = prepared_features({name: kind_of(columns(split, 0)[name]) for name in names})
        write_shards(folder / "data", split, ({**row, **columns(split, n)} for n, row in enumerate(rows)), features)
    return folder


def kind_of(value):
    return "string" if isinstance(value, str) else "float64" if isinstance(value, float) else "int64"


def test_classes_are_those_of_the_training_split_in_order(prepared):
    labels = label_space(prepared, "expression")
    assert labels.names == tuple(sorted(labels.names)) and len(labels.names) == 3 and not labels.is_multilabel
    assert labels.head()["problem_type"] == "single_label_classification"
    assert labels.target({"expression": labels.names[2]}) == 2
    assert labels.target({"expression": None}) is None
    with pytest.raises(ValueError, match="expression='Anger' is none of the classes 'happiness', 'sadness'"):
        labels.target({"expression": "Anger"})


def test_several_columns_are_yes_or_no(prepared, tmp_path):
    data = write(prepared, tmp_path / "set", lambda split, n: {"smiling": n % 2, "hat": int(n > 3)})
    labels = label_space(data, ["smiling", "hat"], ("train", "test"))
    assert labels.names == ("smiling", "hat") and labels.head()["problem_type"] == "multi_label_classification"
    assert labels.target({"smiling": 1, "hat": 0}) == [1.0, 0.0]
    assert labels.target({"smiling": float("nan"), "hat": 0}) is None


@pytest.mark.parametrize(
    ("cells", "columns", "message"),
    [
        (lambda split, n: {"mood": "Happy"}, "mood", "has one class of 'mood' at most \\('Happy'\\)"),
        (
            lambda split, n: {"mood": ["Happy", "sad"][n % 2] if split == "train" else "happy "},
            "mood",
            "'happy ', which no row of 'train' has \\('Happy', 'sad'\\)",
        ),
        (lambda split, n: {"age": n, "hat": 0}, ["hat", "age"], "row 2 of 'train' has age=2"),
        (lambda split, n: {"hat": 0}, "beard", "has no column 'beard': choose of"),
    ],
)
def test_labels_that_cannot_be_learned_are_one_sentence(prepared, tmp_path, cells, columns, message):
    data = write(prepared, tmp_path / "set", cells)
    with pytest.raises(ValueError, match=message):
        label_space(data, columns, ("train", "test"))


def test_people_in_both_splits_are_named(prepared, tmp_path):
    data = write(
        prepared, tmp_path / "set", lambda split, n: {"person": f"p{n + 4 * (split == 'test')}", "hat": n % 2}
    )
    labels = label_space(data, "hat")
    with pytest.raises(ValueError, match="p4, p5 are in 'train' and in 'test', .* or insist with --allow-overlap"):
        parts_of(data, labels, group="person")
    parts = parts_of(data, labels, group="person", allow_overlap=True)
    assert set(parts["train"].groups) & set(parts["test"].groups) == {"p4", "p5"} - set(parts["validation"].groups)


def test_people_are_held_out_where_a_set_has_no_split(prepared, tmp_path):
    cells = lambda split, n: {"person": f"p{n // 2}", "hat": n % 2}  # noqa: E731
    data = write(prepared, tmp_path / "set", cells, ("train",))
    parts = parts_of(data, label_space(data, "hat"), group="person", seed=1)
    check_overlap(parts)
    assert sorted(row for part in parts.values() for row in part.rows) == list(range(6))
    assert all(set(part.classes) == {0, 1} for part in parts.values())
    again = parts_of(data, label_space(data, "hat"), group="person", seed=1)
    assert all((again[name].rows == parts[name].rows).all() for name in parts)
    for seed in range(10):  # two people of each of three classes: whatever is drawn, one of each is left
        two = write(prepared, tmp_path / f"two{seed}", lambda split, n: {"person": f"p{n}", "hat": n % 3}, ("train",))
        parts = parts_of(two, label_space(two, "hat"), group="person", seed=seed)
        assert set(parts["train"].classes) == {0, 1, 2}
    alone = write(prepared, tmp_path / "alone", lambda split, n: {"person": "p", "hat": n % 2}, ("train",))
    with pytest.raises(ValueError, match="all 6 labeled rows of 'train' are of 'p': nobody is left to test on"):
        parts_of(alone, label_space(alone, "hat"), group="person")


@pytest.mark.parametrize("seed", range(6))
def test_of_few_people_the_one_with_most_rows_is_learned_from(prepared, tmp_path, seed):
    """Six rows of three people, of whom one has four."""
    cells = lambda split, n: {"person": "aaaabc"[n], "hat": n % 2}  # noqa: E731
    data = write(prepared, tmp_path / "set", cells, ("train",))
    parts = parts_of(data, label_space(data, "hat"), group="person", seed=seed)
    assert set(parts["train"].groups) == {"a"}


def test_few_labels_are_among_more_and_of_every_class(prepared):
    labels = label_space(prepared, "expression")
    part = read_part(prepared, "train", labels)
    sizes, before = [], set()
    for share in (0.01, 0.4, 0.7, 1.0):
        some = fewer(part, share, seed=3)
        assert set(some.rows) >= before and set(some.classes) == {0, 1, 2} and (np.diff(some.rows) > 0).all()
        before, sizes = set(some.rows), [*sizes, len(some.rows)]
    assert sizes[0] == 3 and sizes[-1] == len(part.rows) and sizes == sorted(sizes)
    assert np.bincount(fewer(part, shots=2, seed=3).classes).tolist() == [2, 2, 2]
    assert read_share("2.5%") == 0.025
    for text in ("0%", "10", "110%", "-1%", "nan%"):
        with pytest.raises(ValueError, match=f"--labels {text} is no share: write 1%"):
            read_share(text)


def test_windows_are_spread_over_the_video(prepared, processor):
    labels = label_space(prepared, "expression")
    clips = LabeledClips(prepared, "train", labels, processor, windows=3)
    assert len(clips) == 36 and clips.rows[:4] == [0, 0, 0, 1] and clips.left_out == 0
    row = clips.table[0]
    frames = np.stack(list(open_video(row["video"]["bytes"])))  # 20 of them; a clip spans 7
    for window, start in enumerate((2, 6, 11)):
        found = clips[window]
        for time in range(4):  # each frame by itself, repeated
            alone = processor(frames[[start + 2 * time] * 4], return_tensors="pt")["pixel_values_videos"][0, 0]
            assert torch.equal(found["pixel_values_videos"][time], alone)
        assert int(found["labels"]) == labels.names.index(row["expression"])


def test_training_clips_are_drawn_from_torchs_generator(prepared, processor):
    clips = LabeledClips(prepared, "train", label_space(prepared, "expression"), processor, augment=True)
    torch.manual_seed(0)
    one = [clips[0]["pixel_values_videos"] for _ in range(12)]
    torch.manual_seed(0)
    other = [clips[0]["pixel_values_videos"] for _ in range(12)]
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    plain = {tuple(clip.flatten().tolist()) for clip in one}
    mirrored = {tuple(clip.flip(-1).flatten().tolist()) for clip in one}
    assert len(plain) > 6 and plain != mirrored


def test_rows_without_a_label_are_left_out_and_counted(prepared, tmp_path, processor):
    cells = [1.0, 0.0, float("nan"), 1.0, float("nan"), 0.0]
    data = write(prepared, tmp_path / "set", lambda split, n: {"glad": cells[n]})
    labels = label_space(data, "glad")
    clips = LabeledClips(data, "train", labels, processor)
    assert clips.rows == [0, 1, 3, 5] and clips.left_out == 2 and labels.names == ("0.0", "1.0")
    with pytest.raises(ValueError, match="windows=2 must be 1 for training"):
        LabeledClips(data, "train", labels, processor, augment=True, windows=2)


def test_metrics_average_the_windows_of_a_row(prepared, processor):
    labels = LabelSpace(("expression",), label_space(prepared, "expression").names)
    clips = LabeledClips(prepared, "train", labels, processor, windows=2)
    truth = np.array([labels.target(clips.table[row]) for row in clips.rows])
    logits = np.full((24, 3), -4.0)
    logits[np.arange(24), truth] = 4.0
    logits[1::2] = 0.0  # every second window knows nothing
    found = metrics_of(clips, labels)(EvalPrediction(logits, truth))
    assert found["war"] == found["uar"] == 1.0 and found["count"] == 12
    logits[0] = np.roll(logits[0], 1)
    assert metrics_of(clips, labels)(EvalPrediction(logits, truth))["war"] == pytest.approx(11 / 12)


def trainer(checkpoint, data, labels, processor, folder, epochs):
    train = LabeledClips(data, "train", labels, processor, augment=True)
    test = LabeledClips(data, "test", labels, processor, windows=2)
    arguments = TrainingArguments(
        folder, num_train_epochs=epochs, per_device_train_batch_size=4, learning_rate=1e-3, eval_strategy="epoch",
        save_strategy="epoch", load_best_model_at_end=True, metric_for_best_model="mean_auc", report_to=[], seed=0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForVideoClassification.from_pretrained(checkpoint, **labels.head())
    return Trainer(
        model, arguments, train_dataset=train, eval_dataset=test, processing_class=processor,
        compute_metrics=metrics_of(test, labels),
    )  # fmt: skip


def test_a_trainer_evaluates_keeps_the_best_and_resumes_exactly(prepared, tmp_path, checkpoint, processor):
    data = write(prepared, tmp_path / "set", lambda split, n: {"smiling": n % 2, "hat": int(n > 2)})
    labels = label_space(data, ["smiling", "hat"], ("train", "test"))
    whole = trainer(checkpoint, data, labels, processor, tmp_path / "whole", 2)
    whole.train()
    logged = [row for row in whole.state.log_history if "eval_mean_auc" in row]
    assert len(logged) == 2 and all(row["eval_count"] == 6 for row in logged)
    best = max(logged, key=lambda row: row["eval_mean_auc"])
    chosen = load_file(f"{whole.state.best_model_checkpoint}/model.safetensors")
    assert whole.state.best_metric == best["eval_mean_auc"]
    assert whole.state.best_model_checkpoint.endswith(f"-{best['step']}")
    assert all(torch.equal(weight, whole.model.state_dict()[name]) for name, weight in chosen.items())
    said = whole.predict(whole.eval_dataset)
    assert said.predictions.shape == (12, 2) and said.metrics["test_mean_auc"] == best["eval_mean_auc"]
    assert said.metrics["test_count"] == 6 and (said.label_ids[::2] == said.label_ids[1::2]).all()
    first = sorted((tmp_path / "whole").glob("checkpoint-*"))[0]
    again = trainer(checkpoint, data, labels, processor, tmp_path / "whole", 2)
    again.train(resume_from_checkpoint=str(first))
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(weight, again.model.state_dict()[name], atol=0, rtol=0, msg=name)
