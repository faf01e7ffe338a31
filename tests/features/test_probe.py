"""Probes: right on features that hold the label, at chance on noise, and groups never cross a fold."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from preface_hf.data.shards import prepared_features, write_shards
from preface_hf.features.encoders import pixel_encoder
from preface_hf.features.labeled import folds_of, labeled_rows, usable_folds
from preface_hf.features.probe import cross_validate, encode_rows, probe
from preface_hf.video.windows import windows
from tests.data.rows import row
from tests.features.test_extract import checkpoint  # noqa: F401


def made_up(signal, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(["a", "b", "c"], 40)
    groups = np.array([f"{label}{i % 8}" for i, label in enumerate(labels)])
    means = {"a": [3, 0, 0, 0], "b": [0, 3, 0, 0], "c": [0, 0, 3, 0]}
    features = signal * np.array([means[label] for label in labels]) + rng.normal(size=(120, 4))
    return features, labels, groups


def test_a_clear_signal_is_found_and_noise_is_not():
    for name, (mean, _) in cross_validate(*made_up(3.0), folds=4, seed=0).items():
        assert mean > 0.97, name
    for name, (mean, _) in cross_validate(*made_up(0.0), folds=4, seed=0).items():
        assert mean < 0.5, name


def test_what_only_a_group_shares_does_not_count():
    """Features that name the group, and nothing else, would give 100 % if groups crossed the folds."""
    _, labels, groups = made_up(0.0)
    codes = {name: np.random.default_rng(i).normal(size=16) * 5 for i, name in enumerate(np.unique(groups))}
    features = np.array([codes[group] for group in groups])
    for mean, _ in cross_validate(features, labels, groups, folds=4, seed=0).values():
        assert mean < 0.7


def test_folds_are_as_many_as_the_smallest_class_has_groups():
    _, labels, groups = made_up(0.0)
    assert usable_folds(labels, groups, 5, "label", "group") == 5
    assert usable_folds(labels, groups, 20, "label", "group") == 8
    with pytest.raises(ValueError, match="'label' has 1 classes in two groups"):
        usable_folds(labels[:40], groups[:40], 5, "label", "group")


@pytest.mark.parametrize("count", [4, 5, 6, 8, 9])
@pytest.mark.parametrize("folds", [2, 5])
def test_neighbors_and_folds_adapt_to_few_rows(count, folds):
    """Half of 8 rows are less than 5 neighbors."""
    features, labels, groups = np.random.default_rng(0).normal(size=(count, 3)), *few(count)
    usable = usable_folds(labels, groups, folds, "label", "group")
    assert 2 <= usable <= folds
    for mean, _ in cross_validate(features, labels, groups, usable, seed=0).values():
        assert 0 <= mean <= 1
    separate = np.array([[5.0 if label == "a" else -5.0, 0.0] for label in labels])
    assert count not in (4, 8) or cross_validate(separate, labels, groups, 2, 0)["linear"][0] == 1


def few(count):
    return np.array(["a", "b"] * count)[:count], np.array([f"g{i}" for i in range(count)])


def test_folds_that_would_fit_one_class_are_not_made():
    """Of groups 0 to 2, two folds can only hold out what is all of a class in the rest."""
    labels, groups = np.array(list("aabbaaabb")), np.array(list("012201122"))
    for seed in range(8):
        for wanted in (2, 5):
            count = len(folds_of(labels, groups, wanted, seed))
            for fit, held in folds_of(labels, groups, wanted, seed):
                assert count >= 2 and len(held) and len(set(labels[fit])) == 2
    with pytest.raises(ValueError, match="4 rows with a 'mood' in 3 groups of 'who' cannot be split"):
        usable_folds(np.array(list("aabb")), np.array(list("0112")), 2, "mood", "who", seed=0)


@pytest.mark.parametrize("folds", [1, 0, -3])
def test_too_few_folds_are_named(folds):
    with pytest.raises(ValueError, match=f"folds={folds} leaves nothing"):
        usable_folds(*few(8), folds, "label", "group")


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_features_without_numbers_are_named(broken):
    features, labels, groups = made_up(3.0)
    features[[3, 7], 1] = broken
    with pytest.raises(ValueError, match="features of 2 of 120 rows hold NaN or infinity"):
        cross_validate(features, labels, groups, 4, 0)


@pytest.fixture(scope="module")
def labeled_set(tmp_path_factory):
    """Opens a set of rows (label, person), which nobody decodes."""

    def write(rows, split="train"):
        folder = tmp_path_factory.mktemp("set")
        (folder / "data").mkdir()
        features = prepared_features({"mood": "string", "score": "float64", "person": "string"})
        labels = [
            {
                **row(i),
                "source": f"{i}.mp4",
                "mood": mood,
                "score": np.nan if mood is None else float(i % 2),
                "person": person,
            }
            for i, (mood, person) in enumerate(rows)
        ]
        if rows:
            write_shards(folder / "data", split, labels, features)
        else:
            with pq.ParquetWriter(folder / "data/test-00000-of-00001.parquet", features.arrow_schema):
                pass
        return folder

    return write


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", f"p{i}") for i in range(8)], "1 classes in two groups of 'person'"),
        ([(f"m{i}", f"p{i}") for i in range(8)], "0 classes in two groups"),
        ([("ab"[i % 2], "p0") for i in range(8)], "0 classes in two groups.*another label or group"),
        ([(None, f"p{i}") for i in range(8)], "0 classes in two groups"),
        ([], "has no rows"),
    ],
    ids=["one class", "a row a class", "one person", "no label", "empty"],
)
def test_sets_that_cannot_be_probed_are_named(checkpoint, labeled_set, rows, message):  # noqa: F811
    folder = labeled_set(rows)
    for column in ("mood",) if rows and rows[0][0] else ("mood", "score"):
        with pytest.raises(ValueError, match=message):
            probe(checkpoint, folder, column, group="person")


def test_rows_are_the_mean_of_their_windows_by_frames():
    """A second window of one frame beside one of four counts a quarter of it."""
    light = [np.full((16, 16, 3), 200, np.uint8)]
    dark = [np.zeros((16, 16, 3), np.uint8)]
    rows = [list(windows(frames, 2, 2)) for frames in (dark * 4 + light * 4, dark * 4 + light, light)]
    assert [[window.weight for window in row] for row in rows] == [[1, 1], [1, 0.25], [1]]
    features = encode_rows(rows, pixel_encoder, batch_size=2)
    assert features.shape == (3, 768)
    np.testing.assert_allclose(features[:, 0], [100 / 255, 40 / 255, 200 / 255], atol=1e-6)
    full = pixel_encoder([window.frames for window in rows[0]])
    assert (features[0] == full.mean(axis=0)).all(), "whole windows count as ever"


def test_a_prepared_set_is_probed(checkpoint, prepared):  # noqa: F811
    result = probe(checkpoint, prepared, "expression", group="identity", folds=2)
    assert (result.num_rows, result.num_classes, result.folds) == (12, 3, 2)
    assert [(s.encoder, s.classifier) for s in result.scores] == [
        (encoder, classifier)
        for encoder in ("pixels", "random encoder", "pretrained encoder")
        for classifier in ("kNN", "linear")
    ]
    assert all(0 <= score.mean <= 1 for score in result.scores)


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        ("mood", {}, "no column 'mood': choose one of .*expression"),
        ("expression", {"split": "dev"}, "no split 'dev': choose one of"),
        ("expression", {"group": "family"}, "no column 'family'"),
        ("source", {}, "0 classes in two groups of 'identity'"),
        ("source", {"group": "source"}, "0 classes in two groups of 'source'"),
    ],
)
def test_what_cannot_be_probed_is_named(checkpoint, prepared, column, options, message):  # noqa: F811
    with pytest.raises(ValueError, match=message):
        probe(checkpoint, prepared, column, **options)


@pytest.mark.parametrize(("people", "group"), [([None] * 8, "source"), (["a", "a", *[None] * 6], "person")])
def test_rows_of_unknown_people_are_grouped_by_their_file(labeled_set, people, group):
    """All of them together were one group, which no fold can split."""
    folder = labeled_set([("ab"[i % 2], person) for i, person in enumerate(people)])
    rows = labeled_rows(folder, "mood")
    assert rows.group == group and len(set(rows.groups)) == (8 if group == "source" else 7)
