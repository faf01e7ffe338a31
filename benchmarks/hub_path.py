"""The Hub from a clean environment with only the wheel: push, open by name, fine-tune, push, stream; seconds of each.

    PYTHONPATH=. python benchmarks/hub_path.py

Builds the wheel, makes an empty environment, installs `wheel[faces,peft]` by pip, and runs every step as a process of
its own in a folder outside of this checkout, against a Hub on this machine (tests/hub_server.py). Last it uninstalls
the package and opens the same names without it. `tests/hub/test_from_wheel.py` does so on installed dependencies.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

from tests.hub_server import OWNER, Hub


ROOT = Path(__file__).parents[1]
# Read when huggingface_hub is imported; Xet is a protocol that the Hub here does not speak.
QUIET = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1"}
SETTINGS = """
size: vit-t
model: {image_size: 32, num_frames: 4, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2,
  intermediate_size: 64, projector_hidden_size: 32, projector_output_size: 16, num_prototypes: 32, facefeat_size: 16}
views: {num_local: 2, local_size: 16}
batch_size: 4
max_steps: 6
warmup_steps: 2
num_workers: 0
"""
DRAW = """
import pathlib, sys, preface_hf
from preface_hf.synthetic import EXPRESSIONS, ClipSpec, write_synthetic
assert pathlib.Path(sys.prefix) in pathlib.Path(preface_hf.__file__).parents, preface_hf.__file__
write_synthetic(pathlib.Path("drawn"), [
    ClipSpec(person, EXPRESSIONS[1 + (person + take) % 3], 10 * person + take, "train" if person < 6 else "test",
             num_frames=20, size=64) for person in range(12) for take in range(2)])
"""
DOORS = """
import json, torch, transformers
from transformers.models.auto.video_processing_auto import AutoVideoProcessor  # the plain name needs torchvision
names = "AutoConfig AutoModel AutoModelForPreTraining AutoModelForVideoClassification AutoModelForKeypointDetection"
found = [getattr(transformers, name).from_pretrained("org/faces", **options) for name in names.split()]
found.append(AutoVideoProcessor.from_pretrained("org/faces", **options))
assert all(type(one).__module__.startswith(place) for one in found), [type(one).__module__ for one in found]
clip = found[-1](torch.arange(9 * 3 * 40 * 50).reshape(9, 3, 40, 50) % 255, return_tensors="pt")
print(json.dumps(found[1].eval()(**clip).pooler_output[0].tolist()))
"""
PIPELINE = """
import json, pathlib
from transformers import pipeline
classify = pipeline("video-classification", model="org/tuned", **options)
video = sorted(pathlib.Path("drawn").glob("*.mp4"))[0]
print(json.dumps({row["label"]: row["score"] for row in classify(str(video))}))
"""
ADAPTER = """
import json, torch
from peft import PeftModel
from transformers import AutoModelForVideoClassification
torch.manual_seed(0)
base = AutoModelForVideoClassification.from_pretrained(
    "org/faces", num_labels=3, classifier_pooling="grid", **options)
model = PeftModel.from_pretrained(base, "org/adapter").eval()
whole = AutoModelForVideoClassification.from_pretrained("org/tuned", **options).eval()
clip = torch.rand(1, 4, 3, 32, 32)
torch.testing.assert_close(model(pixel_values_videos=clip).logits, whole(clip).logits, atol=1e-5, rtol=1e-4)
print(json.dumps(model(pixel_values_videos=clip).logits[0].tolist()))
"""
WITH = "import preface_hf\noptions, place = {}, 'preface_hf.modeling'\n"
WITHOUT = """
import importlib.util
assert importlib.util.find_spec("preface_hf") is None
options, place = {"trust_remote_code": True}, "transformers_modules"
"""
TUNE = "finetune org/faces --data set --label expression --protocol lora --max-steps 6 --batch-size 4"


class Walk:
    """A user's folder, an environment and a Hub; and what each step took."""

    def __init__(self, environment: Path, folder: Path, hub: Hub):
        self.environment, self.folder, self.hub = environment, folder, hub
        self.rows: list[tuple[str, float, float]] = []
        (folder / "tiny.yaml").write_text(SETTINGS, encoding="utf-8")
        self.variables = {
            "PATH": f"{environment / 'bin'}:{os.environ['PATH']}", "HOME": str(folder), "HF_HOME": str(folder / "hf"),
            "HF_ENDPOINT": hub.url, "HF_TOKEN": OWNER, **QUIET,
        }  # fmt: skip

    def run(self, step: str, *command: object) -> str:
        """A process of a step; its last line. Its time is written down."""
        started, before = time.perf_counter(), cpu_seconds()
        done = subprocess.run([str(word) for word in command], cwd=self.folder, env=self.variables, text=True,
                              capture_output=True)  # fmt: skip
        assert not done.returncode, f"{step}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        self.rows.append((step, time.perf_counter() - started, cpu_seconds() - before))
        return (done.stdout.strip().splitlines() or [""])[-1]

    def command(self, step: str, words: str) -> str:
        """A step by the installed command."""
        return self.run(step, self.environment / "bin/preface-hf", *words.split())

    def python(self, step: str, code: str) -> str:
        """A step in Python."""
        return self.run(step, self.environment / "bin/python", "-c", code)

    def with_package(self) -> Iterator[object]:
        """All steps that need the package; yields what opening by name gives."""
        self.python("draw 24 clips", DRAW)
        self.command("`prepare`", "prepare drawn set --landmarker given --crop-size 64")
        self.command("`pretrain`", "pretrain --config tiny.yaml --data set --output-dir run")
        self.command("`push` the checkpoint", "push run org/faces")
        yield json.loads(self.python("six Auto doors, with the package", WITH + DOORS))
        self.command("`finetune` a LoRA from it by name", f"{TUNE} --output-dir tuned")
        self.command("`push` the adapter", "push tuned org/adapter --adapter")
        self.command("`push` the merged model", "push tuned org/tuned")
        yield json.loads(self.python("the pipeline on a video, with the package", WITH + PIPELINE))
        yield json.loads(self.python("the adapter on its base, with the package", WITH + ADAPTER))
        self.command("`push` the prepared set", "push set org/set --repo-type dataset")
        self.command("`pretrain` from it by name", "pretrain --config tiny.yaml --data org/set --output-dir streamed")
        assert not list((self.folder / "hf").rglob("*.parquet")), "a stream leaves no copy of the set"
        assert all((self.folder / name / "final/model.safetensors").is_file() for name in ("run", "streamed"))

    def without_package(self) -> Iterator[object]:
        """The same opened without the package."""
        pip = (sys.executable, "-m", "pip", "--python", self.environment / "bin/python")
        self.run("uninstall the package", *pip, "uninstall", "-q", "-y", "preface-hf")
        yield json.loads(self.python("six Auto doors, without", WITHOUT + DOORS))
        yield json.loads(self.python("the pipeline on a video, without", WITHOUT + PIPELINE))
        yield json.loads(self.python("the adapter on its base, without", WITHOUT + ADAPTER))


def cpu_seconds() -> float:
    """User and system seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def install(folder: Path, environment: Path) -> None:
    """Build the wheel, and install it with what it needs into an empty environment."""
    build = (sys.executable, "-m", "build", "-q", "--no-isolation", "--wheel", "--outdir", folder, ROOT)
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    venv.create(environment, with_pip=True)
    (wheel,) = folder.glob("*.whl")
    # pip must not find this checkout by PYTHONPATH, and take it for what is installed.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # On a machine without a GPU, the tested torch: the plain name takes gigabytes of CUDA.
    for words in (("torch",), (f"{wheel}[faces,peft]",)):
        pip = (environment / "bin/pip", "install", "-q", "-c", ROOT / "constraints.txt")
        subprocess.run([*pip, *words], check=True, cwd=folder, env=alone)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, environment, started, before = Path(name), Path(name) / "venv", time.perf_counter(), cpu_seconds()
        install(folder, environment)
        installed = ("build and install `wheel[faces,peft]`", time.perf_counter() - started, cpu_seconds() - before)
        (folder / "home").mkdir()
        walk = Walk(environment, folder / "home", Hub())
        same = list(walk.with_package()) == list(walk.without_package())
    print("| step | seconds | of CPU |\n|---|---|---|")
    for step, seconds, used in (installed, *walk.rows):
        print(f"| {step} | {seconds:.1f} | {used:.1f} |")
    print(f"\nWith and without the package the numbers are {'the same' if same else 'NOT the same'}.")


if __name__ == "__main__":
    main()
