"""The folder boundary is the Hub's rule: `modeling/` stands alone, and what it saves opens without the package."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import preface_hf
from preface_hf import PrefAceConfig, PrefAceForPreTraining, PrefAceModel, PrefAceVideoProcessor
from preface_hf.modeling.configuration_preface import AUTO_MAP


ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "preface_hf"
ALLOWED = {"torch", "transformers", "huggingface_hub", "numpy", "decord", "av", "PIL", *sys.stdlib_module_names}


@pytest.mark.parametrize("file", sorted((ROOT / "modeling").glob("*.py")), ids=lambda file: file.name)
def test_modeling_imports_only_what_the_hub_has(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= ALLOWED
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module.split(".")[0] in ALLOWED
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1 and (ROOT / "modeling" / f"{node.module}.py").exists()


def test_modeling_is_flat_and_one_identity():
    assert [path for path in (ROOT / "modeling").iterdir() if path.is_dir() and path.name != "__pycache__"] == []
    assert (ROOT / "preface_hf/modeling").resolve() == ROOT / "modeling"
    assert PrefAceModel.__module__ == "preface_hf.modeling.modeling_preface"


def test_every_public_name_is_there():
    assert all(getattr(preface_hf, name) for name in preface_hf.__all__)
    assert set(preface_hf.__all__) <= set(dir(preface_hf))
    with pytest.raises(AttributeError, match="no attribute 'PrefAss'"):
        preface_hf.PrefAss  # noqa: B018


def test_importing_the_package_is_quick():
    code = "import sys, preface_hf; assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    "imports",
    ["import preface_hf; from transformers import AutoModel", "from transformers import AutoModel; import preface_hf",
     # The tests that run in this process know that: their first import is of something like it.
     pytest.param("from preface_hf.modeling import PrefAceModel; from transformers import AutoModel",
                  marks=pytest.mark.slow)],
)  # fmt: skip
def test_auto_classes_know_the_models_in_any_order_of_imports(imports, checkpoint):
    code = f"{imports}; print(type(AutoModel.from_pretrained({str(checkpoint)!r})).__module__)"
    run = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == "preface_hf.modeling.modeling_preface"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoint")
    config = PrefAceConfig(
        image_size=32, patch_size=8, num_frames=4, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, projector_hidden_size=32, projector_output_size=16, num_prototypes=32, facefeat_size=16,
    )  # fmt: skip
    PrefAceForPreTraining(config).save_pretrained(folder)
    PrefAceVideoProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, num_frames=4
    ).save_pretrained(folder)
    return folder


def test_a_checkpoint_opens_without_the_package(checkpoint, tmp_path):
    expected = PrefAceModel.from_pretrained(checkpoint)(torch.ones(1, 4, 3, 32, 32)).pooler_output
    longer = PrefAceModel.from_pretrained(checkpoint)(torch.ones(1, 8, 3, 48, 48)).pooler_output
    torch.save((expected, longer), tmp_path / "expected.pt")
    code = f"""
import sys
sys.modules["preface_hf"] = None  # importing it raises
import torch
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining
from transformers.models.auto.video_processing_auto import AutoVideoProcessor
folder = {str(checkpoint)!r}
options = dict(trust_remote_code=True)
model = AutoModel.from_pretrained(folder, **options)
expected, longer = torch.load({str(tmp_path / "expected.pt")!r})
torch.testing.assert_close(model(torch.ones(1, 4, 3, 32, 32)).pooler_output, expected)
student = AutoModelForPreTraining.from_pretrained(folder, **options)
assert student(torch.ones(1, 4, 3, 32, 32)).prototype_logits.shape == (1, 32)
assert AutoConfig.from_pretrained(folder, **options).hidden_size == 32
processor = AutoVideoProcessor.from_pretrained(folder, **options)
assert processor(torch.zeros(9, 3, 40, 50), return_tensors="pt")["pixel_values_videos"].shape == (1, 4, 3, 32, 32)
model.save_pretrained({str(tmp_path / "again")!r})
AutoModelForPreTraining.from_pretrained({str(tmp_path / "again")!r}, **options)
for start in (folder, {str(tmp_path / "again")!r}):  # positions stay those of the pretrained grid
    larger = AutoModel.from_pretrained(start, num_frames=8, image_size=48, **options)
    torch.testing.assert_close(larger(torch.ones(1, 8, 3, 48, 48)).pooler_output, longer)
"""
    environment = {"PATH": "/usr/bin", "HF_HOME": str(tmp_path / "hf"), "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)


def test_the_full_map_names_real_classes(checkpoint):
    assert PrefAceConfig.from_pretrained(checkpoint).auto_map == AUTO_MAP
    for reference in AUTO_MAP.values():
        file, name = reference.split(".")
        assert f"class {name}" in (checkpoint / f"{file}.py").read_text(encoding="utf-8")


# A room imports itself and rooms before it; `data flows one way` is this order.
ROOMS = (
    "modeling", "files", "progress", "video", "audio", "faces", "metrics", "executors", "convert", "adapters",
    "precision", "registration", "synthetic", "data", "recipes", "objectives", "pictures", "prepare", "features",
    "training", "curation", "tasks", "plan", "hub", "demo", "cli", "__main__",
)  # fmt: skip


def room_of(file: Path) -> str:
    """The room of a file of the package: its folder, or the file itself."""
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_rooms(file: Path) -> set[str]:
    """The rooms that a file imports anywhere in it; `import preface_hf` alone is the package's door, not a room."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("preface_hf.")} & set(ROOMS)


def test_no_room_imports_a_later_one() -> None:
    back = [
        f"{file.relative_to(PACKAGE)} imports {room}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if file.name != "__init__.py" or file.parent != PACKAGE
        for room in imported_rooms(file)
        if ROOMS.index(room) > ROOMS.index(room_of(file))
    ]
    assert not back, back


def test_every_room_is_in_the_order_and_none_is_crowded() -> None:
    rooms = {room_of(file) for file in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms <= set(ROOMS), f"say where these stand: {rooms - set(ROOMS)}"
    folders = [folder for folder in PACKAGE.rglob("*") if folder.is_dir() and folder.name != "__pycache__"]
    # What travels with a checkpoint lies flat: that folder may hold a few more.
    most = {folder: 16 if folder.name == "modeling" else 14 for folder in folders}
    assert not [folder for folder in folders if len(list(folder.glob("*.py"))) > most[folder]]


def test_no_file_imports_itself_by_way_of_others():
    paths = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" and path.parent.name != "modeling"]
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}
    arrows = {name: imported_files(path) & set(files) - {name} for name, path in files.items()}
    while leaves := [name for name, targets in arrows.items() if not targets]:
        arrows = {name: targets - set(leaves) for name, targets in arrows.items() if name not in leaves}
    assert not arrows, f"these import each other: {arrows}"


def imported_files(path: Path) -> set[str]:
    """Dotted names that a file imports, modules and what is in them alike."""
    nodes = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)
    ]
    return {str(node.module) for node in nodes} | {
        f"{node.module}.{alias.name}" for node in nodes for alias in node.names
    }
