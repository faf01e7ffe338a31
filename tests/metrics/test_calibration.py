"""Reliability against a loop that is slow and plain."""

import numpy as np
import pytest

from preface_hf.metrics.calibration import reliability


def test_the_error_is_that_of_a_slow_loop():
    rng = np.random.default_rng(0)
    said = np.concatenate([rng.random(300) ** 0.4, [0.0, 0.1, 1.0]])
    true = rng.random(303) < 0.7
    found, expected = reliability(said, true), 0.0
    for low in range(10):
        inside = [n for n in range(303) if low / 10 <= said[n] < (low + 1) / 10 or (low == 9 and said[n] == 1)]
        assert found.count[low] == len(inside)
        if inside:
            gap = abs(sum(said[n] for n in inside) - sum(true[n] for n in inside)) / len(inside)
            expected += gap * len(inside) / 303
    assert found.ece == pytest.approx(expected, abs=1e-12) and found.ece > 0.05


def test_one_bin_by_hand_and_none_at_all():
    found = reliability(np.array([0.9, 0.9, 0.9, 0.9]), np.array([1, 1, 0, 0]))
    assert found.ece == pytest.approx(0.4) and found.share[9] == 0.5 and np.isnan(found.share[0])
    with pytest.raises(ValueError, match="no probability is given"):
        reliability(np.array([]), np.array([]))
