"""What watches over a collapse: against slow loops, and that the warning comes when it should."""

import math
import re

import pytest
import torch

from preface_hf.objectives.collapse import effective_rank, feature_std, warning, watch


def slow_feature_std(features):
    unit = [row / row.norm() for row in features]
    deviations = []
    for column in range(features.shape[1]):
        values = [float(row[column]) for row in unit]
        mean = sum(values) / len(values)
        deviations.append(math.sqrt(sum((value - mean) ** 2 for value in values) / len(values)))
    return sum(deviations) / len(deviations)


def slow_effective_rank(features):
    values = torch.linalg.svdvals(features.double()).tolist()
    shares = [value / sum(values) for value in values]
    return math.exp(-sum(share * math.log(share) for share in shares if share > 0))


@pytest.mark.parametrize("shape", [(3, 8), (8, 3), (5, 5), (1, 4)])
def test_against_slow_loops(shape):
    torch.manual_seed(0)
    features = torch.randn(shape)
    assert float(feature_std(features)) == pytest.approx(slow_feature_std(features), rel=1e-4, abs=1e-6)
    assert float(effective_rank(features)) == pytest.approx(slow_effective_rank(features), rel=1e-4)


def test_healthy_and_collapsed_features_are_told_apart():
    torch.manual_seed(0)
    healthy, collapsed = torch.randn(200, 16), torch.randn(1, 16).repeat(200, 1)
    assert float(feature_std(healthy)) == pytest.approx(1 / 4, rel=0.05) and float(feature_std(collapsed)) < 1e-6
    assert float(effective_rank(1e-4 * healthy)) == pytest.approx(float(effective_rank(healthy)), rel=1e-4)
    assert float(effective_rank(healthy)) > 15 and float(effective_rank(collapsed)) == pytest.approx(1, abs=1e-3)


def test_used_prototypes_are_counted_once():
    logs = watch(torch.randn(3, 4), torch.tensor([7, 2, 7, 7, 0, 2]), 9)
    assert float(logs["used_prototypes"]) == 3


def test_features_that_are_not_finite_are_left_to_the_loss():
    logs = watch(torch.full((3, 4), math.nan), torch.zeros(6).long(), 9)
    assert all(torch.isfinite(value) for value in logs.values())


TOP = math.log(64)


@pytest.mark.parametrize(
    ("loss", "entropy", "said"),
    [
        (TOP, TOP, "within 1 % of ln 64 = 4.159.*targets are flat"),
        (0.995 * TOP, 0.5, "within 1 % of ln 64.*does not follow"),
        (1.005 * TOP, 0.5, "within 1 %"),
        (0.98 * TOP, TOP, None),
        (1.02 * TOP, TOP, None),
        (math.nan, TOP, None),
    ],
)
def test_a_loss_of_ln_k_is_warned_of(loss, entropy, said):
    sentence = warning({"loss_distill": torch.tensor(loss), "teacher_entropy": entropy}, 64)
    assert sentence is None if said is None else re.search(said, sentence)
    assert warning({"loss_other": loss}, 64) is None
