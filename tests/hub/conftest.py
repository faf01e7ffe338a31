"""A Hub for each module, a run of each kind, and a way to open things by name in a clean process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from preface_hf.tasks.finetune import finetune
from preface_hf.training.arguments import load_arguments
from preface_hf.training.loop import pretrain
from tests.conftest import tiny
from tests.hub_server import OWNER, Hub


ROOT = Path(__file__).parents[2]
NO_NETWORK = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def run(prepared, tmp_path_factory) -> Path:
    """A pretraining run of six steps."""
    folder = tmp_path_factory.mktemp("hub") / "run"
    pretrain(load_arguments(None, {**tiny(prepared), "output_dir": str(folder)}))
    return folder


@pytest.fixture(scope="session")
def tuned(run, prepared) -> Path:
    """A LoRA run of four steps."""
    return finetune(run / "final", prepared, "expression", output_dir=str(run.parent / "tuned"), protocol="lora",
                    max_steps=4, batch_size=4)  # fmt: skip


@pytest.fixture(autouse=True)
def few_pictures(request, monkeypatch):
    """Drawing takes longer than all else here: one fast test draws."""
    if "pretraining" not in request.node.name and not request.node.get_closest_marker("slow"):
        monkeypatch.setattr("preface_hf.hub.figures.draw_curves", lambda rows, terms: {})


@pytest.fixture
def hub(monkeypatch) -> Hub:
    """An empty Hub, which this process pushes to as the owner of `org`."""
    server = Hub()
    for name in ("huggingface_hub.constants.ENDPOINT", "huggingface_hub.hf_api.constants.ENDPOINT"):
        monkeypatch.setattr(name, server.url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", OWNER)
    # huggingface_hub waits 23 seconds in all before it gives up.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def clean(hub, tmp_path) -> Callable[..., str]:
    """Run code in a process that knows this Hub by HF_ENDPOINT; without `package` it cannot import preface_hf."""

    def call(code: str, token: str = OWNER, package: bool = False) -> str:
        # The environment is read when huggingface_hub is imported, so a process of its own is needed.
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf"),
                       "HF_ENDPOINT": hub.url, "HF_TOKEN": token, **NO_NETWORK}  # fmt: skip
        start = "" if package else "import sys; sys.modules['preface_hf'] = None\n"
        if package:
            environment["PYTHONPATH"] = str(ROOT)
        done = subprocess.run([sys.executable, "-c", start + code], cwd=tmp_path, env=environment, text=True,
                              capture_output=True)  # fmt: skip
        assert not done.returncode, done.stderr[-3000:]
        return done.stdout.strip()

    return call
