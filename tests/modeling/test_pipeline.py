"""`pipeline("video-classification", model=folder)` on a video file, with the package and without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import pipeline

from preface_hf import PrefAceConfig, PrefAceForVideoClassification, PrefAceVideoProcessor
from tests.modeling_common import TINY


LABELS = ["anger", "fear", "happiness", "neutral", "sadness"]


@pytest.fixture
def classifier(tmp_path) -> Path:
    torch.manual_seed(0)
    config = PrefAceConfig(**TINY, id2label=dict(enumerate(LABELS)), label2id={k: i for i, k in enumerate(LABELS)})
    PrefAceForVideoClassification(config).save_pretrained(tmp_path / "model")
    PrefAceVideoProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, num_frames=4
    ).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def expected(folder: Path, video: str) -> list[tuple[str, float]]:
    clip = PrefAceVideoProcessor.from_pretrained(folder)(video, return_tensors="pt")
    chances = PrefAceForVideoClassification.from_pretrained(folder)(**clip).logits[0].softmax(-1).tolist()
    return sorted(zip(LABELS, chances, strict=True), key=lambda pair: -pair[1])


def test_a_video_file_goes_in(classifier, drawn_videos):
    videos = [str(file) for file in sorted(drawn_videos.glob("*.mp4"))[:2]]
    classify = pipeline("video-classification", model=str(classifier))
    for video, answer in zip(videos, classify(videos), strict=True):
        assert [(row["label"], pytest.approx(row["score"])) for row in answer] == expected(classifier, video)
    assert classify(videos[0], top_k=1) == [classify(videos[0])[0]]


def test_without_the_package(classifier, drawn_videos, tmp_path):
    video = str(sorted(drawn_videos.glob("*.mp4"))[0])
    code = f"""
import json, sys
sys.modules["preface_hf"] = None  # importing it raises
from transformers import AutoModelForKeypointDetection, AutoModelForVideoClassification, pipeline
classify = pipeline("video-classification", model={str(classifier)!r}, trust_remote_code=True)
print(json.dumps([[row["label"], row["score"]] for row in classify({video!r})]))
assert type(classify.model).__module__.startswith("transformers_modules")
AutoModelForKeypointDetection.from_pretrained({str(classifier)!r}, trust_remote_code=True)
"""
    environment = {"PATH": "/usr/bin", "HF_HOME": str(tmp_path / "hf"), "HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment, capture_output=True)
    answer = json.loads(run.stdout.splitlines()[-1])
    assert [(label, pytest.approx(score)) for label, score in answer] == expected(classifier, video)
