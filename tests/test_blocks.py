"""Every block of code in README and docs runs: python in the order of its page, commands as a shell would give them.

Here, on drawn faces and tiny models, in a folder with the names that the pages use.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from preface_hf import PrefAceConfig, PrefAceForVideoClassification, PrefAceModel, PrefAceVideoProcessor
from preface_hf.cli import main
from preface_hf.modeling.lipsync_preface import PrefAceForLipSync, PrefAceLipSyncConfig
from preface_hf.modeling.sync_preface import PrefAceSyncConfig, PrefAceSyncModel
from preface_hf.synthetic import ClipSpec, write_synthetic
from tests.marlin_weights import full_marlin
from tests.modeling.test_lipsync import SMALL
from tests.modeling_common import TINY
from tests.pictures.runs import written_run
from tests.tasks.finished import finished_run


ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
# What no test runs as it stands, by how the line begins; tests/test_docs.py holds its flags to the command line.
ELSEWHERE = {
    "pip install": "changes the environment; tests/test_package.py installs",
    "make demo": "minutes; tests/demo",
    "make test": "this suite",
    "preface-hf demo": "minutes; tests/demo",
    "preface-hf pretrain --data": "of half an hour with these settings; tests/test_cli.py runs it small",
    "preface-hf finetune": "of minutes with these settings; tests/tasks runs it small",
    "preface-hf predict mine/": "needs the run of `finetune`; the same runs on tuned/",
    "preface-hf evaluate": "needs the run of `finetune`; tests/tasks",
    "preface-hf push": "needs a Hub; tests/hub",
    "preface-hf prepare LRS2/": "needs LRS2; tests/recipes",
    "preface-hf lipsync lips/ two-people.mp4": "needs two faces; tests/tasks/lipsync",
    "preface-hf report": "needs a run of `pretrain`; tests/training/test_report.py",
}


def blocks(page: Path) -> list[tuple[str, str]]:
    """The language and the text of every block of a page."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def commands(page: Path) -> list[str]:
    """The lines of its blocks of commands that are to be run."""
    lines = [line.strip() for kind, text in blocks(page) if kind in ("bash", "") for line in text.splitlines()]
    calls = [line for line in lines if line.startswith(("preface-hf ", "pip ", "make "))]
    return [line for line in calls if not line.startswith(tuple(ELSEWHERE))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, drawn_videos: Path, prepared: Path) -> Path:
    """What the pages speak of: videos, a set, checkpoints, a machine."""
    folder = tmp_path_factory.mktemp("pages")
    torch.manual_seed(0)
    config = PrefAceConfig(**{**TINY, "num_labels": 7})
    processor = PrefAceVideoProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, num_frames=4
    )  # fmt: skip
    for name, kind in {
        "run/final": PrefAceModel,
        "demo/drawn/run/final": PrefAceModel,
        "tuned": PrefAceForVideoClassification,
        "finetuned": PrefAceForVideoClassification,
    }.items():
        kind(config).save_pretrained(folder / name)
        processor.save_pretrained(folder / name)
    shutil.copytree(prepared, folder / "prepared")
    write_synthetic(folder / "talk", [ClipSpec(0, "happiness", 0, "train", num_frames=40, size=160, sound=True)])
    write_synthetic(folder / "drawn", [ClipSpec(0, "happiness", 0, "train", num_frames=8, size=160)])
    for name, clip in {"talk.mp4": "talk", "face.mp4": "drawn", "videos/happy/anna.mp4": "drawn"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(next((folder / clip).glob("*.mp4")), folder / name)
    written_run(folder / "run", prepared, "preface", {"cache.entries": torch.eye(6).repeat(2, 1).bfloat16()})
    for labels in ("1", "10"):
        finished_run(folder / "tuned" / labels, labels=f"{labels}%")
    PrefAceSyncModel(PrefAceSyncConfig()).save_pretrained(folder / "expert")
    PrefAceForLipSync(PrefAceLipSyncConfig(**{**SMALL, "num_frames": 16})).save_pretrained(folder / "lips")
    processor.save_pretrained(folder / "lips")
    shutil.copy(folder / "talk.mp4", folder / "video.mp4")
    shutil.copy(folder / "talk.mp4", folder / "speech.wav")  # any file with sound
    torch.save(full_marlin(), folder / "marlin_vit_base_ytf.encoder.pt")
    (folder / "rack.yaml").write_text("{base: h100-8, accelerators: 1000, cores: 14000}\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module", params=PAGES, ids=lambda page: page.name)
def page(request) -> Path:
    return request.param


def test_the_blocks_of_a_page_run(page: Path, folder: Path, monkeypatch, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PREFACE_HF_CACHE", str(tmp_path / "cache"))
    for line in commands(page):
        run_command(adapted(line))
    names: dict = {"__name__": "__main__"}
    for number, (kind, text) in enumerate(blocks(page)):
        if kind == "python":
            text = text.replace('"org/name"', '"run/final"')  # by name: tests/hub
            exec(compile(text, f"{page.name}, block {number}", "exec", dont_inherit=True), names)


def adapted(line: str) -> str:
    """A command on what lies here: a set with labels of another name, which is there already."""
    changed = line.replace("--label label", "--label expression").replace("--workers 2", "--workers 1")
    return changed.replace("prepare videos/ prepared/", "prepare videos/ new/")


def run_command(line: str) -> None:
    try:
        main(shlex.split(line, comments=True)[1:])
    except SystemExit as done:
        assert done.code in (0, None), f"`{line}` ended with {done.code}"


def test_whatever_is_left_out_is_in_the_pages():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [start for start in ELSEWHERE if start not in text] == []
