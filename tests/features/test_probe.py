"""Probes: right on features that hold the label, at chance on noise, and groups never cross a fold."""

import numpy as np
import pytest

from preface_hf.features.encoders import pixel_encoder
from preface_hf.features.labeled import usable_folds
from preface_hf.features.probe import cross_validate, encode_rows, probe
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


def test_rows_are_the_mean_of_their_windows():
    rows = [[np.full((2, 16, 16, 3), value, dtype=np.uint8) for value in values] for values in ([0, 100], [255])]
    features = encode_rows(rows, pixel_encoder, batch_size=2)
    assert features.shape == (2, 768)
    np.testing.assert_allclose(features[:, 0], [50 / 255, 1.0], atol=1e-6)


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
        ("source", {}, "0 classes in two groups of 'source'"),
    ],
)
def test_what_cannot_be_probed_is_named(checkpoint, prepared, column, options, message):  # noqa: F811
    with pytest.raises(ValueError, match=message):
        probe(checkpoint, prepared, column, **options)
