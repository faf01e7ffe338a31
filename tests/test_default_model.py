"""The small model that is part of the package: it opens by `default`, and says something sensible of new faces."""

import json

import numpy as np
import pyarrow.parquet as pq
import torch

from preface_hf.features.encoders import load_encoder, random_encoder
from preface_hf.features.extract import extract
from preface_hf.files import DEFAULT, packaged
from preface_hf.modeling import PrefAceForLandmarkDetection
from preface_hf.synthetic import EXPRESSIONS, draw_clip
from preface_hf.tasks.finetune import finetune
from preface_hf.tasks.predict import predict
from preface_hf.video.encoding import encode_video


PEOPLE = range(100_000, 100_016)  # of none of the pretraining's


def test_it_is_small_whole_and_says_what_it_is():
    files = [file for file in DEFAULT.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 10e6
    for kind in ("encoder", "landmarks"):
        card = (DEFAULT / kind / "README.md").read_text(encoding="utf-8")
        assert "drawn" in card and "apache-2.0" in card
    model = PrefAceForLandmarkDetection.from_pretrained(DEFAULT / "landmarks")
    assert model.config.num_landmarks == 68
    assert all(weight.isfinite().all() for weight in model.parameters())


def test_the_name_stands_for_it_unless_a_folder_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert packaged("default") == str(DEFAULT / "encoder") and packaged("run/final") == "run/final"
    (tmp_path / "default").mkdir()
    assert packaged("default") == "default"


def test_it_finds_the_points_of_a_new_drawn_person(tmp_path):
    """Of whose video faces are found and cut out as of any other."""
    clip = draw_clip(100_000, "surprise", seed=1, num_frames=8, size=160)
    (tmp_path / "face.mp4").write_bytes(encode_video(clip.frames, 25))
    rows = [row for row in predict("default", tmp_path / "face.mp4") if row.kind == "window"]
    found = np.concatenate([np.array(row.landmarks) for row in rows])
    eyes = np.linalg.norm(clip.landmarks[:, 36] - clip.landmarks[:, 45], axis=-1)
    errors = np.linalg.norm(found - clip.landmarks[: len(found)], axis=-1).mean(axis=1) / eyes
    assert len(found) == 8 and errors.mean() < 0.12


def test_clips_of_a_person_are_more_alike_than_before_training():
    encoder = load_encoder("default")
    clips = [
        draw_clip(person, expression, seed=person + take, num_frames=2, size=72).frames
        for person in PEOPLE
        for take, expression in enumerate(("neutral", "anger"))
    ]

    def found(features: np.ndarray) -> float:
        features = torch.nn.functional.normalize(torch.from_numpy(features - features.mean(0)), dim=-1)
        order = (features @ features.T).fill_diagonal_(-2).argmax(-1)
        return float((order // 2 == torch.arange(len(features)) // 2).float().mean())

    assert found(encoder(clips)) > found(random_encoder(encoder)(clips))


def test_extract_finetune_and_predict_take_it(tmp_path, prepared):
    extract("default", prepared, tmp_path / "features.parquet")
    features = np.stack(pq.read_table(tmp_path / "features.parquet")["feature"].to_pylist())
    assert np.isfinite(features).all() and features.std(axis=0).max() > 0
    run = finetune("default", prepared, "expression", protocol="linear", output_dir=str(tmp_path / "run"))
    assert json.loads((run / "scores-test.json").read_text())["war"] >= 0
    assert {row.label for row in predict(run, prepared)} <= set(EXPRESSIONS)
