"""Small real data for the whole suite: drawn faces, as videos and as a prepared set."""

import sys
from dataclasses import fields
from pathlib import Path

import pytest

from preface_hf.objectives.methods import METHODS
from preface_hf.prepare.run import prepare
from preface_hf.synthetic import EXPRESSIONS, ClipSpec, write_synthetic
from tests.slurm import install_queue


pytest.register_assert_rewrite("tests.modeling_common")

pytest_plugins = ["tests.noise", "tests.wheels"]
# A student of seconds: its encoder, and every head that a method may give it.
ENCODER_SIZES = {
    "image_size": 32, "num_frames": 4, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64,
}  # fmt: skip
HEAD_SIZES = {
    "projector_hidden_size": 32, "projector_output_size": 16, "num_prototypes": 32, "facefeat_size": 16,
    "decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 32,
}  # fmt: skip
SHARED = Path(__file__).parents[1].parent / "shared"


@pytest.fixture
def reports():
    """Asked for by tests that read the page which a run leaves: see `without_pages`."""


@pytest.fixture(autouse=True)
def without_pages(request, monkeypatch):
    """Runs of this process write no report.html, two thirds of the seconds of a tiny run, and fine-tuned ones draw no
    charts into theirs, unless the test asks for `reports`."""
    loop, page = (sys.modules.get(f"preface_hf.{name}") for name in ("training.loop", "tasks.results.report"))
    if "reports" in request.fixturenames:
        return
    if loop:
        monkeypatch.setattr(loop, "try_report", lambda *run: None)
    if page:
        monkeypatch.setattr(page, "detail_sections", lambda run: ())


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real faces and weights, which are not part of the repository."""
    if not (SHARED / "faces").is_dir():
        pytest.skip(f"no real faces in {SHARED / 'faces'}")
    return SHARED


@pytest.fixture(scope="session")
def drawn_videos(tmp_path_factory) -> Path:
    """12 people, 2 clips of 20 frames each; the last 6 people are the test split."""
    folder = tmp_path_factory.mktemp("drawn")
    write_synthetic(
        folder,
        [
            ClipSpec(person, EXPRESSIONS[1 + (person + take) % 3], 10 * person + take, split, num_frames=20, size=64)
            for person in range(12)
            for take in range(2)
            for split in ("train" if person < 6 else "test",)
        ],
    )
    return folder


@pytest.fixture(scope="session")
def prepared(drawn_videos, tmp_path_factory) -> Path:
    """The drawn videos as a prepared set of 12 + 12 rows."""
    folder = tmp_path_factory.mktemp("prepared") / "set"
    prepare(drawn_videos, folder, landmarker="given", crop_size=64)
    return folder


@pytest.fixture
def tiny_settings(prepared) -> dict:
    """Settings of a pretraining run of seconds on the prepared set."""
    return tiny(prepared)


@pytest.fixture
def method_settings(prepared, method) -> dict:
    """`tiny_settings` of the method that a test is parametrized by."""
    return {**tiny(prepared, method), "learning_rate": 0.005}


def tiny(prepared: Path, method: str = "preface") -> dict:
    """`tiny_settings` of any method, and for fixtures of a whole module."""
    entry = METHODS[method]
    views = {"num_local": 2, "local_size": 16}
    known = {field.name for field in fields(entry.views)}
    return {
        "method": method,
        "data": str(prepared),
        "size": "vit-t",
        "model": ENCODER_SIZES | {name: HEAD_SIZES[name] for name in entry.heads},
        "views": {name: value for name, value in views.items() if name in known},
        "batch_size": 4,
        "max_steps": 6,
        "warmup_steps": 2,
        "save_steps": 3,
        "logging_steps": 1,
        "num_workers": 0,
        "learning_rate": 0.05,
    }


@pytest.fixture(scope="session")
def two_ray_workers():
    """A Ray cluster of two processes on this machine."""
    ray = pytest.importorskip("ray")
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def slurm_queue(tmp_path: Path, monkeypatch) -> Path:
    """A queue that runs every job at once, and the folder of its scripts and output."""
    return install_queue(tmp_path / "queue", monkeypatch)
