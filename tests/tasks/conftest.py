"""Drawn people who are heard, as a prepared set."""

from pathlib import Path

import pytest

from preface_hf.prepare.run import prepare
from preface_hf.synthetic import ClipSpec, write_synthetic


@pytest.fixture(scope="session")
def talking(tmp_path_factory) -> Path:
    """Six people of 50 frames with their voices, the last two of them for the test, and one who is not heard."""
    folder = tmp_path_factory.mktemp("talking")
    clips = [
        ClipSpec(p, "neutral", 40 + p, "train" if p < 4 else "test", 50, 64, sound=True) for p in range(6)
    ] + [ClipSpec(6, "neutral", 9, "train", 20, 64)]  # fmt: skip
    write_synthetic(folder, clips)
    return folder


@pytest.fixture(scope="session")
def spoken(talking, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("spoken") / "set"
    prepare(talking, folder, landmarker="given", crop_size=64, audio=True)
    return folder
