"""A drawn clip, and models to look at it with."""

from pathlib import Path

import numpy as np
import pytest
import torch

from preface_hf import PrefAceConfig, PrefAceForVideoClassification, PrefAceModel, PrefAceVideoProcessor
from preface_hf.demo.viewing import Viewer
from preface_hf.synthetic import draw_clip
from preface_hf.video.encoding import encode_video
from tests.modeling_common import TINY


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """A drawn face in a wider picture, in which it is found as in a real one."""
    frames = draw_clip(3, "neutral", seed=3, num_frames=16, size=128).frames
    file = tmp_path_factory.mktemp("clip") / "talk.mp4"
    file.write_bytes(encode_video(np.pad(frames, ((0, 0), (16, 16), (24, 60), (0, 0)), constant_values=90), 25))
    return file


def save(model, folder: Path) -> Path:
    model.save_pretrained(folder)
    PrefAceVideoProcessor(size={"shortest_edge": 32}, crop_size=32, num_frames=4, sampling_rate=1).save_pretrained(
        folder
    )
    return folder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory) -> Path:
    """A checkpoint of an encoder alone."""
    torch.manual_seed(0)
    return save(PrefAceModel(PrefAceConfig(**TINY)), tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture(scope="session")
def viewers(encoder, prepared) -> dict[str, Viewer]:
    """An encoder alone, and one with a head for three names."""
    torch.manual_seed(0)
    folder, names = encoder.parent, {0: "calm", 1: "glad", 2: "<sad>"}
    config = PrefAceConfig(**TINY | {"num_labels": 3, "problem_type": "single_label_classification"}, id2label=names)
    tuned = save(PrefAceForVideoClassification(config), folder / "tuned")
    return {"encoder": Viewer(encoder, prepared), "tuned": Viewer(tuned)}
