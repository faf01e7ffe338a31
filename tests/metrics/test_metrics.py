"""Each metric against scikit-learn, torchmetrics or a count by hand; what has no number is counted and left out."""

import socket
import warnings
from pathlib import Path

import evaluate
import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.functional.classification import multilabel_auroc

from preface_hf import metrics
from preface_hf.metrics.attributes import Attributes
from preface_hf.metrics.classes import Classes
from preface_hf.metrics.fakes import Fakes, best_threshold
from preface_hf.metrics.landmarks import Landmarks
from preface_hf.metrics.ranking import auc, average_precision, equal_error_rate


def draw(seed, shape, levels=8):
    """Scores with ties, and labels that they have something to do with."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, shape) / levels
    return scores, (scores + rng.normal(0, 0.5, shape) > 0.5).astype(int)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a metric asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("seed", range(5))
def test_ranking_with_weights_agrees_with_scikit_learn(seed):
    scores, labels = draw(seed, 200)
    weights = np.random.default_rng(seed).integers(0, 4, 200).astype(float)
    assert auc(scores, labels, weights) == pytest.approx(sk.roc_auc_score(labels, scores, sample_weight=weights))
    expected = sk.average_precision_score(labels, scores, sample_weight=weights)
    assert average_precision(scores, labels, weights) == pytest.approx(expected)
    # The equal error rate by a fine search on the straight lines between the points of the curve.
    accepted, found, _ = sk.roc_curve(labels, scores, sample_weight=weights)
    line = np.linspace(0, 1, 200_001)
    error = line[np.argmin(np.abs(1 - np.interp(line, accepted, found) - line))]
    assert equal_error_rate(scores, labels, weights) == pytest.approx(error, abs=1e-4)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_one_class_has_no_ranking(labels):
    numbers = np.array([0.1, 0.5, 0.9]), np.array(labels), np.ones(3)
    assert all(np.isnan(score(*numbers)) for score in (auc, average_precision, equal_error_rate))


def test_attributes_micro_and_macro():
    scores, labels = draw(0, (300, 7), levels=50)
    found = Attributes().compute(predictions=scores, references=labels)
    assert found["count"] == 300 and found["left_out"] == 0
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels.ravel(), scores.ravel() >= 0.5))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, scores, average="micro"))
    assert found["mean_auc"] == pytest.approx(sk.roc_auc_score(labels, scores, average="macro"))
    pair = torch.from_numpy(scores), torch.from_numpy(labels)
    assert found["mean_auc"] == pytest.approx(float(multilabel_auroc(*pair, 7, average="macro")), abs=1e-5)
    assert found["auc"] == pytest.approx(float(multilabel_auroc(*pair, 7, average="micro")), abs=1e-5)
    columns = [sk.accuracy_score(labels[:, k], scores[:, k] >= 0.5) for k in range(7)]
    assert found["accuracy_of"] == pytest.approx(columns) and found["mean_accuracy"] == pytest.approx(np.mean(columns))
    strict = Attributes().compute(predictions=scores, references=labels, threshold=0.9)
    assert strict["accuracy"] == pytest.approx(sk.accuracy_score(labels.ravel(), scores.ravel() >= 0.9))


def test_attributes_nobody_looked_at_do_not_count():
    scores, labels = draw(1, (50, 3), levels=50)
    holes = labels.astype(float)
    holes[:40, 1] = np.nan
    holes[7] = np.nan  # nothing is known of this clip
    holes[40:, 2] = np.nan
    found = Attributes().compute(predictions=scores, references=holes)
    assert (found["count"], found["left_out"]) == (49, 1)
    assert found["accuracy_of"][1] == pytest.approx(sk.accuracy_score(labels[40:, 1], scores[40:, 1] >= 0.5))
    known = np.isfinite(holes)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels[known], scores[known]))
    holes[:, 0] = np.where(np.isfinite(holes[:, 0]), 1, np.nan)  # one answer only: no AUC, and none in the mean
    found = Attributes().compute(predictions=scores, references=holes)
    assert np.isnan(found["auc_of"][0])
    assert found["mean_auc"] == pytest.approx(np.nanmean(found["auc_of"]))


def test_classes():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 400)
    guess = np.where(rng.uniform(size=400) < 0.6, truth, rng.integers(0, 6, 400))  # 5 never occurs
    found = Classes().compute(predictions=guess, references=truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found["uar"] == pytest.approx(sk.balanced_accuracy_score(truth, guess))
    assert found["war"] == pytest.approx(sk.accuracy_score(truth, guess))
    assert found["f1"] == pytest.approx(sk.f1_score(truth, guess, average="macro"))
    assert found["weighted_f1"] == pytest.approx(sk.f1_score(truth, guess, average="weighted"))
    assert found["confusion"] == sk.confusion_matrix(truth, guess).tolist() and found["classes"] == list(range(6))


def test_windows_are_joined_to_videos():
    rng = np.random.default_rng(0)
    fake = rng.integers(0, 2, 40)
    videos = rng.permutation(np.repeat(np.arange(40), rng.integers(1, 6, 40)))
    scores = np.clip(0.5 + 0.2 * (fake[videos] - 0.5) + rng.normal(0, 0.3, len(videos)), 0, 1)
    scores[3] = np.nan
    known = np.isfinite(scores)
    means = np.array([scores[(videos == video) & known].mean() for video in range(40)])
    found = Fakes().compute(predictions=scores, references=fake[videos], videos=[f"v{v}" for v in videos])
    assert found["count"] == 40 and found["left_out"] == 1
    assert found["auc"] == pytest.approx(sk.roc_auc_score(fake, means))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(fake, means))
    assert found["accuracy"] == pytest.approx(((means >= 0.5) == fake).mean())
    alone = Fakes().compute(predictions=scores[known], references=fake[videos][known])
    assert alone["auc"] == pytest.approx(sk.roc_auc_score(fake[videos][known], scores[known]))


def test_the_threshold_of_fakes_is_the_best_between_two_videos():
    scores, fake = np.array([0.8, 0.85, 0.9, 0.95]), np.array([0, 0, 1, 1])
    assert best_threshold(scores, fake) == pytest.approx(0.875)
    assert Fakes().compute(predictions=scores, references=fake)["accuracy"] == 0.5, "all count as fake at 0.5"
    found = Fakes().compute(predictions=scores, references=fake, threshold=best_threshold(scores, fake))
    assert (found["accuracy"], found["threshold"], found["auc"]) == (1.0, pytest.approx(0.875), 1.0)
    assert best_threshold(scores, 1 - fake) == pytest.approx(0.4), "everything is fake, or real: nearest to 0.5"
    assert best_threshold(scores, np.ones(4)) == 0.5
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores, fake = rng.random(9).round(1), rng.integers(0, 2, 9)
        best = max(((scores >= value) == fake).mean() for value in np.linspace(-0.05, 1.05, 100))
        if len(set(fake)) == 2:
            assert ((scores >= best_threshold(scores, fake)) == fake).mean() == pytest.approx(best)


def face(count=6, points=68, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 100, (count, points, 2))


@pytest.mark.parametrize(("points", "corners", "eyes"), [(68, (36, 45), (36, 42, 48)), (98, (60, 72), (60, 68, 76))])
def test_landmarks_by_each_size(points, corners, eyes):
    truth = face(points=points)
    guess = truth + np.array([3.0, 4.0])  # every point is 5 pixels off
    a, b, c = eyes
    sizes = {
        "ocular": [np.hypot(*(t[corners[0]] - t[corners[1]])) for t in truth],
        "pupil": [np.hypot(*(t[a:b].mean(0) - t[b:c].mean(0))) for t in truth],
        "box": [np.sqrt((t[:, 0].max() - t[:, 0].min()) * (t[:, 1].max() - t[:, 1].min())) for t in truth],
    }
    for name, each in sizes.items():
        errors = 5 / np.array(each)
        found = Landmarks().compute(predictions=guess, references=truth, normalizer=name, limit=0.1)
        assert found["nme"] == pytest.approx(errors.mean()) and found["count"] == 6
        assert found["failure_rate"] == pytest.approx((errors > 0.1).mean())
        line = np.linspace(0, 0.1, 20_001)
        curve = [(errors <= error).mean() for error in line]
        assert found["auc"] == pytest.approx(np.mean(curve), abs=1e-3)


def test_faces_without_landmarks_are_left_out_and_counted():
    truth = face()
    guess = truth + 1
    guess[2] = np.nan
    found = Landmarks().compute(predictions=guess, references=truth)
    assert (found["count"], found["left_out"]) == (5, 1) and np.isfinite(found["nme"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Landmarks().compute(predictions=face(2, 5), references=face(2, 5)), "the eyes among 5 points"),
        (lambda: Landmarks().compute(predictions=face(2), references=face(2) * 0), "face 0 has no size"),
        (lambda: Landmarks().compute(predictions=face(2), references=face(2), normalizer="eyes"), "choose one of"),
        (
            lambda: Landmarks().compute(predictions=face(2), references=face(2), normaliser="box"),
            "takes no 'normaliser'",
        ),
        (lambda: Classes().compute(predictions=[np.nan], references=[1]), "none of 1 items"),
        (lambda: Classes().compute(predictions=[1, 2], references=[1, 2], groups=["a"]), "groups has 1 entries for 2"),
        (lambda: Fakes().compute(predictions=[0.1, 0.2], references=[0, 1], videos=["a", "a"]), "fake and real"),
        (lambda: Fakes().compute(predictions=[0.1, 0.2], references=[0, 1], videos=["a"]), "videos has 1 entries"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_batches_add_up():
    scores, labels = draw(2, (60, 4), levels=50)
    metric = Attributes()
    for start in range(0, 60, 20):
        metric.add_batch(predictions=scores[start : start + 20], references=labels[start : start + 20])
    assert metric.compute() == Attributes().compute(predictions=scores, references=labels)


@pytest.mark.parametrize("name", ["attributes", "classes", "fakes", "landmarks"])
def test_evaluate_loads_them_from_their_file(name):
    file = Path(metrics.__file__).with_name(f"{name}.py")
    assert type(evaluate.load(str(file))).__name__ == name.title()
