"""The small model that is part of the package: it opens by `default`, and says something sensible of new faces."""

import json

import numpy as np
import pyarrow.parquet as pq
import torch

from preface_hf.cli import main
from preface_hf.features.encoders import load_encoder, random_encoder
from preface_hf.files import DEFAULT, packaged
from preface_hf.modeling import PrefAceForVideoClassification
from preface_hf.synthetic import EXPRESSIONS, ClipSpec, draw_clip, write_synthetic


PEOPLE = range(100_000, 100_016)  # of none of the pretraining's


def test_it_is_small_whole_and_says_what_it_is():
    files = [file for file in DEFAULT.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 10e6
    for kind in ("encoder", "expression"):
        card = (DEFAULT / kind / "README.md").read_text(encoding="utf-8")
        assert "drawn" in card and "apache-2.0" in card
    model = PrefAceForVideoClassification.from_pretrained(DEFAULT / "expression")
    assert set(model.config.id2label.values()) == set(EXPRESSIONS)
    assert all(weight.isfinite().all() for weight in model.parameters())


def test_the_name_stands_for_it_unless_a_folder_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert packaged("default") == str(DEFAULT / "encoder") and packaged("run/final") == "run/final"
    (tmp_path / "default").mkdir()
    assert packaged("default") == "default"


def test_it_knows_expressions_of_new_drawn_people(tmp_path, capsys):
    clips = [ClipSpec(person, EXPRESSIONS[person % 8], person, "test", num_frames=12, size=96) for person in PEOPLE]
    write_synthetic(tmp_path / "drawn", clips)
    main(["-q", "predict", "default", str(tmp_path / "drawn"), "--format", "json"])
    rows = json.loads(capsys.readouterr().out)
    right = [row["label"] in row["source"] for row in rows]
    assert len(rows) == len(clips) and sum(right) >= 6, "chance is 2 of 16"


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


def test_extract_and_finetune_take_it(tmp_path, prepared, capsys):
    main(["extract", "default", str(prepared), str(tmp_path / "features.parquet")])
    features = np.stack(pq.read_table(tmp_path / "features.parquet")["features"].to_pylist())
    assert np.isfinite(features).all() and features.std(axis=0).max() > 0
    run = tmp_path / "run"
    main(["finetune", "default", "--data", str(prepared), "--label", "expression", "--protocol", "linear",
          "--output-dir", str(run)])  # fmt: skip
    assert json.loads((run / "scores-test.json").read_text())["war"] >= 0
    main(["predict", str(run), str(prepared)])
