"""The examples run as they are."""

import importlib.util
from pathlib import Path

import pytest
import torch
from datasets import load_dataset
from transformers import pipeline

from preface_hf import PrefAceConfig, PrefAceForPreTraining, PrefAceModel, PrefAceVideoProcessor
from preface_hf.objectives.base import part
from preface_hf.prepare.run import prepare
from preface_hf.training import loop
from preface_hf.training.arguments import PretrainArguments, build, load_arguments
from preface_hf.training.checkpoint import saved_settings
from preface_hf.training.log import read_metrics
from tests.modeling_common import TINY
from tests.noise import count_encoder_flops
from tests.pictures.runs import written_run
from tests.tasks.finished import finished_run


EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        load("pretrain_preface").main(steps=2, batch_size=8)
    return out.getvalue()


def test_pretrain_preface(model):
    assert "0 loss" in model and "1 loss" in model and "pretrained encoder" in model and "128 wide" in model
    folder = Path(model.strip().split()[-1]).parent
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    published = PrefAceForPreTraining.from_pretrained(folder / "model").state_dict()
    taught = {name.removeprefix("model."): value for name, value in part(checkpoint["objective"], "teacher").items()}
    assert checkpoint["step"] == 2 and all(torch.equal(published[name], taught[name]) for name in taught)


def test_pretrain_on_drawn_faces(tmp_path, capsys):
    """In one process, for starting others takes longer than the rest."""
    example = load("pretrain_on_drawn_faces")
    example.prepare = lambda *paths, **options: prepare(*paths, **{**options, "workers": 1})
    example.load_arguments = lambda file, flags: load_arguments(file, {**flags, "num_workers": 0})
    example.main(str(tmp_path / "drawn"), people=30, max_steps=1)
    assert "pretrained encoder" in capsys.readouterr().out
    published = PrefAceForPreTraining.from_pretrained(tmp_path / "drawn/run/final")
    assert published.config.pretraining_method == "pros" and published.config.num_frames == 2


def test_video_features(model, drawn_videos, capsys):
    folder = model.strip().split()[-1]
    load("video_features").main(folder, str(next(drawn_videos.glob("*.mp4"))))
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 3 and "0.00 s to   0.32 s: (128,)" in lines[0]


def test_finetune_on_your_videos(model, prepared, tmp_path):
    folder, output = model.strip().split()[-1], str(tmp_path / "tuned")
    scores = load("finetune_on_your_videos").main(folder, str(prepared), "expression", output, epochs=1)
    assert 0 <= scores["eval_uar"] <= 1 and scores["eval_count"] == 12
    named = pipeline("video-classification", model=output).model.config.id2label
    assert sorted(named.values()) == sorted(set(load_dataset(str(prepared), split="train")["expression"]))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    config = PrefAceConfig(**TINY)
    PrefAceModel(config).save_pretrained(folder)
    PrefAceVideoProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, num_frames=4
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def landmark_checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("landmark_checkpoint")
    torch.manual_seed(0)
    PrefAceModel(PrefAceConfig(**{**TINY, "num_landmarks": 68})).save_pretrained(folder)
    PrefAceVideoProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, num_frames=4
    ).save_pretrained(folder)
    return folder


def test_lora(checkpoint, drawn_videos, tmp_path, capsys):
    for number, file in enumerate(sorted(drawn_videos.glob("*.mp4"))[:6]):
        folder = tmp_path / "videos" / ("first", "second")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).write_bytes(file.read_bytes())
    load("lora").main(str(checkpoint), str(tmp_path / "videos"), str(tmp_path / "out"), steps=3, batch_size=3)
    assert "trainable params" in capsys.readouterr().out
    assert (tmp_path / "out/adapter_model.safetensors").exists()
    classify = pipeline("video-classification", model=str(tmp_path / "out/merged"))
    assert {row["label"] for row in classify(str(next(drawn_videos.glob("*.mp4"))))} == {"first", "second"}


def test_linear_probe(checkpoint, prepared, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PREFACE_HF_CACHE", str(tmp_path / "cache"))
    load("linear_probe").main(str(checkpoint), str(prepared), "expression", str(tmp_path / "out"))
    said = capsys.readouterr().out
    assert all(pooling in said for pooling in ("mean", "layers", "grid")) and said.count("| war |") == 3


def test_landmarks(landmark_checkpoint, prepared, drawn_videos, tmp_path, capsys):
    video = str(next(drawn_videos.glob("*.mp4")))
    load("landmarks").main(str(landmark_checkpoint), str(prepared), str(tmp_path / "out"), video, steps=3)
    assert "| nme |" in capsys.readouterr().out and (tmp_path / "out/overlay.mp4").stat().st_size > 1000


def test_pictures(prepared, tmp_path, capsys):
    run = written_run(tmp_path / "run", prepared, "preface", {"cache.entries": torch.eye(12)})
    tuned = finished_run(tmp_path / "tuned")
    load("pictures").main(str(run), str(prepared), str(tmp_path / "out"), "expression", [str(tuned)])
    names = [Path(line).name for line in capsys.readouterr().out.splitlines() if line.endswith((".png", ".mp4"))]
    assert names == ["attention.png", "features.png", "few_labels.png", "methods.png", "neighbors.png", "tokens.png",
                     "tubes.mp4", "tubes.png"]  # fmt: skip
    assert all((tmp_path / "out" / name).stat().st_size > 1000 for name in names)
    masked = written_run(tmp_path / "masked", prepared, "videomae")
    load("pictures").main(str(masked), str(prepared), str(tmp_path / "other"))
    assert "reconstructions.png" in capsys.readouterr().out


def test_export_onnx(checkpoint, tmp_path, capsys):
    pytest.importorskip("onnxscript")
    load("export_onnx").main(str(checkpoint), str(tmp_path / "model.onnx"))
    differences = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines() if "difference" in line]
    assert len(differences) == 2 and max(differences) < 1e-4


@pytest.fixture
def compare(monkeypatch):
    """The example, with small batches that its own process loads, and without the pictures of each run's report."""
    monkeypatch.setattr(loop, "try_report", lambda *run: None)
    example = load("compare_methods")
    example.COMMON |= {"batch_size": 2, "num_workers": 0, "attn_implementation": "eager"}
    return example


def spent(run: Path, noise_step) -> tuple[int, int]:
    """FLOPs of the encoder in a run on 12 rows, and in a step of it, by torch's count."""
    arguments = build(PretrainArguments, saved_settings(run), str(run))
    objective, batch = noise_step(arguments, 12)
    views = arguments.parts().views
    clips = torch.zeros(12, views.num_frames, 3, views.global_size, views.global_size, dtype=torch.uint8)
    start = count_encoder_flops(objective, lambda: objective.start([(torch.arange(12), clips)]))
    step = count_encoder_flops(objective, lambda: objective(batch, 0))
    return start + read_metrics(run / "metrics.jsonl")[-1]["step"] * step, step


def test_compare_methods(compare, prepared, noise_step, tmp_path, capsys):
    command = {"data": str(prepared), "label": "expression", "output_dir": tmp_path, "max_steps": 1}
    methods = ["dino", "videomae"]
    compare.main(**command, methods=["dino"], reference="dino")
    assert "| dino |" in capsys.readouterr().out.split("# Pretraining")[0], "told before anything runs"
    alone = (tmp_path / "comparison.md").read_text(encoding="utf-8").splitlines()
    compare.main(**command, methods=methods, reference="dino")
    lines = (tmp_path / "comparison.md").read_text(encoding="utf-8").splitlines()
    (added,) = set(lines) - set(alone)
    assert added.startswith("| videomae | 0 FLOP |"), "and nothing else is done again"
    rows = {line.split(" | ")[0][2:]: line.split(" | ") for line in lines if line.startswith("| ")}
    assert set(rows) == {"encoder", "---", *methods, "pixels", "random encoder"}
    assert rows["dino"][3] == "1" and all("±" in score for name in methods for score in rows[name][-2:])
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")
    (dino, _), (videomae, step) = (spent(tmp_path / name, noise_step) for name in methods)
    assert abs(dino - videomae) <= step


def test_what_compare_methods_refuses(compare, prepared, tmp_path):
    command = {"data": str(prepared), "output_dir": tmp_path, "methods": ["dino", "videomae"], "reference": "videomae"}
    with pytest.raises(ValueError, match="no column 'mood'"):
        compare.main(**command, label="mood")
    with pytest.raises(ValueError, match="leave dino no step"):
        compare.main(**command, label="expression", max_steps=1)
    del compare.MODEL["patch_size"]
    with pytest.raises(ValueError, match="the settings of dino change the backbone"):
        compare.main(**command, label="expression", max_steps=1000)
    assert list(tmp_path.iterdir()) == []
