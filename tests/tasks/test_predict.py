"""Predictions: the model's own, of every frame, as rows, as files and drawn into the video."""

import csv
import json
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from preface_hf import (
    PrefAceConfig,
    PrefAceForLandmarkDetection,
    PrefAceForVideoClassification,
    PrefAceModel,
    PrefAceVideoProcessor,
)
from preface_hf.cli import main
from preface_hf.faces.squares import from_square
from preface_hf.synthetic import draw_clip
from preface_hf.synthetic.writing import add_sound
from preface_hf.tasks.predict import predict
from preface_hf.tasks.predicting.overlay import Scene, drawn
from preface_hf.tasks.predicting.predictor import load_predictor
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import encode_video
from preface_hf.video.windows import windows
from tests.media import write_timed
from tests.modeling_common import TINY


NAMES = dict(enumerate(["calm", "happy", "angry", "[b]sad", "none"]))
SINGLE, MULTI = "single_label_classification", "multi_label_classification"


def save(folder, model_class=PrefAceForVideoClassification, **settings):
    torch.manual_seed(3)
    config = PrefAceConfig(**{**TINY, "id2label": NAMES, **settings})
    model_class(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    PrefAceVideoProcessor(size={"shortest_edge": 40}, crop_size=size, num_frames=4, sampling_rate=2).save_pretrained(
        folder
    )
    return folder


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    return save(tmp_path_factory.mktemp("tuned"), problem_type=SINGLE)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A drawn face at (90, 12) of a gray picture of 120 x 200 pixels, 20 frames at 25 a second."""
    file = tmp_path_factory.mktemp("wide") / "talk.mp4"
    frames = np.full((20, 120, 200, 3), 90, np.uint8)
    frames[:, 12:108, 90:186] = draw_clip(1, "happiness", seed=2, num_frames=20, size=96).frames
    file.write_bytes(encode_video(frames, 25))
    return file


@pytest.mark.parametrize("problem", [SINGLE, MULTI, "regression"])
def test_rows_are_what_the_model_says(tmp_path, wide, problem):
    run = save(tmp_path / "run", problem_type=problem)
    *said, track = predict(run, wide, landmarker="given", batch_size=2)
    assert [row.kind for row in said] == ["window"] * 3 and track.kind == "track"
    assert [row.num_frames for row in said] == [8, 8, 4] and track.num_frames == 20
    assert said[1].start_seconds == pytest.approx(0.32) and track.end_seconds == pytest.approx(0.8)
    model, processor = PrefAceForVideoClassification.from_pretrained(run).eval(), load_predictor(run).processor
    clips = [window.frames for window in windows(open_video(wide, "pyav"), 4, 2)]
    with torch.inference_mode():
        logits = model(**processor(clips, do_sample_frames=False, return_tensors="pt")).logits
    expected = {SINGLE: logits.softmax(-1), MULTI: logits.sigmoid(), "regression": logits}[problem].numpy()
    for row, values in zip(said, expected, strict=True):
        assert [row.scores[name] for name in NAMES.values()] == pytest.approx(values.tolist(), abs=1e-5)
    mean = (expected * [[8], [8], [4]]).sum(axis=0) / 20
    assert [track.scores[name] for name in NAMES.values()] == pytest.approx(mean.tolist(), abs=1e-5)
    best = NAMES[int(mean.argmax())]
    likely = [NAMES[place] for place in np.argsort(-mean) if mean[place] >= 0.5]
    assert track.label == {SINGLE: best, MULTI: likely, "regression": None}[problem]
    assert track.score == (None if problem == "regression" else pytest.approx(mean.max(), abs=1e-5))


def test_faces_are_found_and_listed_beside_what_is_left_out(tuned, wide, tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/face.mp4").write_bytes(wide.read_bytes())
    (tmp_path / "videos/gray.mp4").write_bytes(encode_video(np.full((8, 64, 64, 3), 90, np.uint8), 25))
    (tmp_path / "videos/text.mp4").write_text("no video")
    main_ok("predict", tuned, tmp_path / "videos", "--format", "json", "--out", tmp_path / "said.csv", "--top", 2)
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    assert [row["kind"] for row in rows] == ["window"] * 3 + ["track"] + ["left out"] * 2
    assert {row["source"]: bool(row["reason"]) for row in rows[-2:]} == {"gray.mp4": True, "text.mp4": True}
    assert len(rows[0]["scores"]) == 2 and rows[0]["scores"][rows[0]["label"]] == rows[0]["score"]
    assert "left out: gray.mp4: no face stays in sight" in printed.err
    with (tmp_path / "said.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["label"] for line in lines] == [row.get("label", "") for row in rows]
    assert float(lines[3][f"score {lines[3]['label']}"]) == pytest.approx(rows[3]["score"])


def main_ok(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert not stop.value.code


def test_a_prepared_set_and_the_table(tuned, prepared, capsys):
    main_ok("predict", tuned, prepared, "--windows")
    printed = capsys.readouterr().out
    assert printed.count(" %") == 24 * 3 and "landmarker" not in printed


def test_every_frame_has_its_points_in_pixels_of_the_video(tmp_path, wide):
    run = save(tmp_path / "run", PrefAceForLandmarkDetection)
    rows = predict(run, wide, landmarker="given")
    assert [np.shape(row.landmarks) for row in rows[:-1]] == [(8, 7, 2), (8, 7, 2), (4, 7, 2)]
    assert rows[-1].kind == "track" and rows[-1].landmarks is None
    model, processor = PrefAceForLandmarkDetection.from_pretrained(run).eval(), load_predictor(run).processor
    clip = open_video(wide, "pyav").frames([9, 11, 13, 15])
    with torch.inference_mode():
        points = model(**processor([clip], do_sample_frames=False, return_tensors="pt")).landmarks[0].numpy()
    # 120 x 200 pixels become 40 x 67, of which the middle 32 x 32 are looked at.
    expected = (points + [17, 4] + 0.5) * [200 / 67, 3] - 0.5
    np.testing.assert_allclose(np.array(rows[1].landmarks)[1::2], expected, atol=0.02)


def test_points_of_a_crop_lie_where_it_was_cut_out(tmp_path):
    predictor = load_predictor(save(tmp_path / "run", PrefAceForLandmarkDetection))
    (window,) = windows(np.zeros((8, 40, 40, 3), np.uint8), 8, 1)
    window.squares = np.arange(8)[:, None] + np.array([[10.0, 20, 90, 100]])
    found = predictor.in_source(np.full((8, 7, 2), 3.0, np.float32), window)
    expected = [from_square(np.full((7, 2), 7.0), square, 40) for square in window.squares]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_the_overlay_keeps_the_video_and_shows_the_face(tuned, wide, tmp_path, codec):
    source = tmp_path / "talk.mov"
    with_sound(wide, source, codec)
    rows = predict(tuned, source, overlay=tmp_path / "seen.mp4")
    before, after = open_video(source, "pyav"), open_video(tmp_path / "seen.mp4", "pyav")
    np.testing.assert_allclose(after.times, before.times, atol=1e-3)
    assert after.fps == pytest.approx(before.fps)
    old, new = (video.frames(range(20)).astype(int) for video in (before, after))
    assert new.shape == old.shape
    changed = np.abs(new - old).max(axis=-1) > 60  # (frames, height, width)
    assert changed[:, 12:108, 90:186].sum(axis=(1, 2)).min() > 100, "a box and a label in every frame"
    assert changed[:, 40:90, :60].mean() < 0.01, "the rest is as it was"
    black = (new.max(axis=-1) < 40).mean(axis=0) > 0.9
    white = (new.min(axis=-1) > 200).any(axis=0)
    assert black[:110].sum() > 200 and white[:110].sum() > 10 and rows[-1].label
    with av.open(str(tmp_path / "seen.mp4")) as container:
        (sound,) = container.streams.audio
        samples = sum(frame.samples for frame in container.decode(sound))
        assert sound.codec.name == "aac" and samples / sound.rate == pytest.approx(0.8, abs=0.1)


def with_sound(video, target, codec):
    """The video with a tone of 0.8 seconds."""
    tone = (0.3 * np.sin(np.arange(12800) / 5)).astype(np.float32)
    if codec == "aac":
        target.write_bytes(add_sound(video.read_bytes(), tone, 16000))
        return
    with av.open(str(video)) as source, av.open(str(target), "w") as container:
        pictures = container.add_stream_from_template(source.streams.video[0])
        sound = container.add_stream(codec, rate=16000, layout="mono")
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = pictures
                container.mux(packet)
        frame = av.AudioFrame.from_ndarray((tone[None] * 30000).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
        container.mux([*sound.encode(frame), *sound.encode()])


def test_the_overlay_of_uneven_frames_keeps_their_times(tuned, tmp_path):
    seconds = np.array([*np.arange(5) * 0.1, *(0.5 + np.arange(10) * 0.04)]) + 1
    write_timed(tmp_path / "a.mkv", draw_clip(1, "happiness", seed=2, num_frames=15, size=64).frames, seconds)
    predict(tuned, tmp_path / "a.mkv", overlay=tmp_path / "b.mp4", landmarker="given")
    np.testing.assert_allclose(open_video(tmp_path / "b.mp4", "pyav").times, seconds, atol=1e-3)


def test_of_a_damaged_video_there_is_what_comes_before(tuned, tmp_path):
    data = bytearray(encode_video(draw_clip(1, "happiness", seed=2, num_frames=60, size=128).frames, 25))
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    (tmp_path / "talk.mp4").write_bytes(data)
    rows = predict(tuned, tmp_path / "talk.mp4", overlay=tmp_path / "seen.mp4", landmarker="given")
    assert rows[0].kind == "window" and rows[-1].kind == "left out" and "damaged" in rows[-1].reason
    seen = open_video(tmp_path / "seen.mp4")
    assert sum(row.num_frames for row in rows if row.kind == "window") <= seen.num_frames < 60
    assert sorted(file.name for file in tmp_path.iterdir()) == ["seen.mp4", "talk.mp4"]


@pytest.mark.parametrize("shape", [(64, 64), (361, 641), (1080, 1920)])
def test_what_is_drawn_stands_out_from_black_and_white(shape):
    for ground in (0, 255):
        scene = Scene(0, 1, 0, ["happy 93 %"], np.array([[0.3, 0.4, 0.6, 0.8]]) * shape[0])
        picture = drawn(np.full((*shape, 3), ground, np.uint8), [(scene, 0)], "model")
        assert picture.shape == (shape[0] + shape[0] % 2, shape[1] + shape[1] % 2, 3)
        flat = picture.reshape(-1, 3)
        assert (flat >= 200).all(axis=1).any() and (flat == 0).all(axis=1).any()
        assert (flat == [240, 228, 66]).all(axis=1).any(), "the box is yellow"


def test_points_are_drawn(tmp_path):
    scene = Scene(5, 6, 1, [], None, np.array([[[30.0, 20.0]]]))
    picture = drawn(np.full((60, 80, 3), 255, np.uint8), [(scene, 0)], "m")
    assert picture[20, 30].tolist() == [86, 180, 233] and picture[40, 60].tolist() == [255] * 3


def test_what_cannot_be_predicted_is_named(tuned, wide, prepared, tmp_path):
    with pytest.raises(ValueError, match="PrefAceModel, which has no head that predicts: fine-tune it first"):
        predict(save(tmp_path / "encoder", PrefAceModel), wide)
    (tmp_path / "stopped").mkdir()
    (tmp_path / "stopped/finetune.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no model yet: .* give its command with --resume"):
        predict(tmp_path / "stopped", wide)
    headless = save(tmp_path / "headless")
    weights = load_file(headless / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("classifier")}
    save_file(kept, headless / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="no classifier.bias, a weight of the head: fine-tune it first"):
        predict(headless, wide)
    with pytest.raises(ValueError, match="cannot open .*nowhere"):
        predict(tmp_path / "nowhere", wide)
    (tmp_path / "taken.csv").write_text("mine")
    for out, message in [("taken.csv", "exists"), ("a.txt", "neither"), ("no/a.csv", "make it first")]:
        with pytest.raises(ValueError, match=message):
            predict(tmp_path / "nowhere", wide, tmp_path / out)
    with pytest.raises(ValueError, match="an overlay is of one video"):
        predict(tuned, prepared, overlay=tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"not an \.mp4"):
        predict(tuned, wide, overlay=tmp_path / "a.avi")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match="no prediction came out of .*text.mp4"):
        predict(tuned, tmp_path / "text.mp4", tmp_path / "said.json")
    assert not (tmp_path / "said.json").exists()
