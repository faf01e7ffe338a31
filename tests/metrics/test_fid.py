"""FID: 0 for the same pictures, the distance of two Gaussians for others, and never without the name of a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from preface_hf import PrefAceConfig, PrefAceModel, PrefAceVideoProcessor
from preface_hf.metrics.fid import FID, EncoderFeatures, pictures_of
from tests.modeling_common import TINY


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    PrefAceModel(PrefAceConfig(**TINY)).save_pretrained(folder)
    PrefAceVideoProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    real = draw.integers(0, 256, (60, 24, 24, 3)).astype(np.uint8)
    return (real * 0.6).astype(np.uint8), real


def test_the_distance_is_that_of_two_gaussians(encoder, pictures):
    found, real = pictures
    scores = FID().compute(predictions=found.tolist(), references=real.tolist(), encoder=encoder)
    network = EncoderFeatures(encoder)
    with torch.no_grad():
        one, other = (network(pictures_of(values)).double().numpy() for values in pictures)
    covariances = np.cov(one.T), np.cov(other.T)
    root = sqrtm(covariances[0] @ covariances[1]).real
    by_hand = ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert scores["fid"] == pytest.approx(by_hand, rel=1e-3) and scores["fid"] > 0.1
    assert scores["count"] == 60 and scores["features"] == f"PrefAce encoder {encoder}, no Inception"


def test_the_same_pictures_are_at_0(encoder, pictures):
    values = pictures[1].tolist()
    assert abs(FID().compute(predictions=values, references=values[::-1], encoder=encoder)["fid"]) < 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "FID needs one network of features"), ({"inception": "a", "encoder": "b"}, "FID needs one network"),
     ({"inception": "missing.pth"}, "give encoder=|give one, or encoder=")],
)  # fmt: skip
def test_no_network_is_taken_silently(options, message):
    values = np.zeros((2, 8, 8, 3), np.uint8).tolist()
    with pytest.raises(ValueError, match=message):
        FID().compute(predictions=values, references=values, **options)


def test_inception_is_read_from_a_file_of_weights(pictures, tmp_path, monkeypatch):
    """Torch-fidelity's network with first weights, as such a file; its values mean nothing, that it is read does."""
    inception = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    with monkeypatch.context() as patch:  # it cannot be built without a file
        patch.setattr(torch, "load", lambda *args, **options: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda self, state, *args, **options: None)
        network = inception.FeatureExtractorInceptionV3("", ["2048"], feature_extractor_weights_path="none")
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    found, real = (values[:4].tolist() for values in pictures)
    scores = FID().compute(predictions=found, references=real, inception=tmp_path / "weights.pth")
    assert np.isfinite(scores["fid"]) and scores["features"] == "Inception v3 (weights.pth)"


def test_the_packages_own_model_makes_features(pictures):
    found, real = (values.tolist() for values in pictures)
    scores = FID().compute(predictions=found, references=real, encoder="default")
    assert scores["fid"] > 0 and scores["features"] == "PrefAce encoder default, no Inception"


def test_a_single_picture_is_refused(encoder):
    values = np.zeros((1, 8, 8, 3), np.uint8).tolist()
    with pytest.raises(ValueError, match=r"pictures of shape \(1, 8, 8, 3\) have no FID"):
        FID().compute(predictions=values, references=values, encoder=encoder)
