"""Schedules at their corners."""

import pytest

from preface_hf.objectives.schedules import cosine, linear, warmup_cosine


def test_cosine():
    assert cosine(0, 10, 2.0, 1.0) == 2.0
    assert cosine(5, 10, 2.0, 1.0) == pytest.approx(1.5)
    assert cosine(10, 10, 2.0, 1.0) == cosine(99, 10, 2.0, 1.0) == 1.0


def test_linear():
    assert [linear(step, 4, 0.0, 1.0) for step in (0, 1, 4, 9)] == [0.0, 0.25, 1.0, 1.0]
    assert linear(0, 0, 0.04, 0.07) == 0.04 and linear(1, 0, 0.04, 0.07) == 0.07


def test_warmup_cosine():
    values = [warmup_cosine(step, 4, 10, 1.0, 0.1) for step in range(11)]
    assert values[:4] == [0.25, 0.5, 0.75, 1.0]
    assert values[4] == 1.0 and values[10] == pytest.approx(0.1)
    assert all(later < earlier for earlier, later in zip(values[4:], values[5:], strict=False))
    assert warmup_cosine(0, 0, 10, 1.0, 0.1) == 1.0
