"""The package as others get it: built, installed beside the dependencies, and used outside of this folder."""

import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.wheels import ROOT, alone, run


pytestmark = pytest.mark.slow

# What runs in the new environment, in a folder of its own.
USE = """
import importlib, pathlib, sys
import preface_hf
from preface_hf import PrefAceConfig, PrefAceModel
home = pathlib.Path(preface_hf.__file__).parent
assert pathlib.Path(sys.prefix) in home.parents, f"{home} is not what was installed"
assert all(getattr(preface_hf, name) for name in preface_hf.__all__)
assert "modeling" not in sys.modules and PrefAceModel.__module__ == "preface_hf.modeling.modeling_preface"
for file in ("py.typed", "configs/laptop.yaml", "default_model/encoder/model.safetensors",
             "faces/networks/mesh.onnx", "faces/networks/short.onnx",
             "faces/networks/yunet_n_640_640.onnx", "faces/networks/NOTICE", "modeling/modeling_preface.py"):
    assert (home / file).is_file(), file
for file in sorted(home.rglob("*.py")):
    if file.name != "__main__.py":
        name = ".".join(file.relative_to(home.parent).with_suffix("").parts)
        importlib.import_module(name.removesuffix(".__init__"))
from preface_hf.training.arguments import load_arguments
assert load_arguments("laptop", {"data": "x", "output_dir": "y"}).size == "vit-t"
model = PrefAceModel(PrefAceConfig(image_size=32, patch_size=8, num_frames=4, hidden_size=32, num_hidden_layers=1,
                                   num_attention_heads=2, intermediate_size=64))
model.save_pretrained("tiny")
from transformers import AutoModel
assert type(AutoModel.from_pretrained("tiny")) is PrefAceModel
assert pathlib.Path("tiny/modeling_preface.py").is_file()
from preface_hf.synthetic import ClipSpec, write_synthetic
write_synthetic(pathlib.Path("drawn"), [ClipSpec(0, "happiness", 0, "train", num_frames=8, size=64)])
"""


def names(wheel: Path) -> list[str]:
    """The files of the package in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return sorted(name for name in archive.namelist() if name.startswith("preface_hf/"))


def test_the_wheel_holds_what_the_checkout_holds(wheel):
    listed = run("git", "ls-files", "preface_hf", "modeling", cwd=ROOT).splitlines()
    # The link to `modeling/` is a folder of its own there.
    expected = [f"preface_hf/{name}" if name.startswith("modeling/") else name for name in listed]
    expected.remove("preface_hf/modeling")
    assert names(wheel) == sorted(expected)


def test_the_sdist_builds_the_same_wheel(packages, wheel, tmp_path):
    (file,) = packages.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    run(sys.executable, "-m", "build", "-q", "--no-isolation", "--wheel", "--outdir", tmp_path / "again", folder)
    (again,) = (tmp_path / "again").glob("*.whl")
    assert names(again) == names(wheel) and again.name == wheel.name


def test_the_wheel_works_elsewhere(installed, tmp_path):
    options = {"cwd": tmp_path, "env": alone()}
    run(installed / "bin/python", "-c", USE, **options)
    assert "prepare" in run(installed / "bin/preface-hf", "--help", **options)
    command = ("prepare", "drawn", "set", "--landmarker", "given", "--crop-size", "64")
    assert "1 rows in train" in run(installed / "bin/preface-hf", *command, **options)
