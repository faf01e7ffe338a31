"""Intervals: of the width that theory gives, wider where faces are of few people, the same for the same seed."""

import numpy as np
import pytest

from preface_hf.metrics.classes import Classes
from preface_hf.metrics.fakes import Fakes
from preface_hf.metrics.intervals import bootstrap, group_numbers


def test_the_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(0).normal(size=400)
    found = bootstrap(lambda w: {"mean": float(np.average(values, weights=w))}, np.arange(400), samples=2000)
    low, high = found["mean"]
    half = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_it_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        people = np.repeat(np.arange(40), 5)
        values = rng.normal(size=40)[people] + 0.1 * rng.normal(size=200)  # faces of a person are alike; the mean is 0
        low, high = bootstrap(lambda w, v=values: {"m": float(np.average(v, weights=w))}, people, 300, seed=seed)["m"]
        covered += low <= 0 <= high
    assert 86 <= covered <= 99


def test_groups_widen_it():
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(20), 10)
    right = rng.uniform(size=20)[people] > rng.uniform(size=200)
    guess, truth = np.where(right, 1, 0), np.ones(200)
    alone = Classes().compute(predictions=guess, references=truth, samples=500)
    grouped = Classes().compute(predictions=guess, references=truth, groups=people, samples=500)
    again = Classes().compute(predictions=guess, references=truth, groups=people, samples=500)
    other = Classes().compute(predictions=guess, references=truth, groups=people, samples=500, seed=1)
    assert alone["war"] == grouped["war"] and alone["war_low"] < alone["war"] < alone["war_high"]
    assert grouped["war_high"] - grouped["war_low"] > 1.5 * (alone["war_high"] - alone["war_low"])
    assert again == grouped != other


def test_draws_without_one_class_do_not_count():
    found = Fakes().compute(predictions=[0.1, 0.9, 0.8], references=[0, 1, 1], samples=200)
    assert found["auc"] == found["auc_low"] == found["auc_high"] == 1.0


def test_groups_are_told_apart_as_text():
    assert group_numbers(["b", "a", "b", 1], 4).tolist() == [2, 1, 2, 0]
    assert group_numbers(None, 3).tolist() == [0, 1, 2]


def test_one_person_has_no_interval():
    from preface_hf.metrics.classes import Classes

    values = {"predictions": [0, 1, 1, 0], "references": [0, 1, 0, 0], "samples": 50}
    assert "war_low" not in Classes().compute(**values, groups=["a"] * 4)
    assert Classes().compute(**values, groups=["a", "a", "b", "b"])["war_low"] <= 0.75
