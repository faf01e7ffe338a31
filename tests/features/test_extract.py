"""Features of videos: every frame is covered, times are right, bad files are listed."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from preface_hf import PrefAceForPreTraining, PrefAceVideoProcessor
from preface_hf.curation.curate import curate
from preface_hf.data.opening import open_prepared
from preface_hf.features.encoders import load_encoder
from preface_hf.features.extract import extract
from preface_hf.features.labeled import labeled_rows
from preface_hf.modeling.video_inputs_preface import clip_indices
from preface_hf.prepare.run import prepare
from preface_hf.synthetic import draw_clip
from preface_hf.training.arguments import PretrainArguments
from preface_hf.video.encoding import encode_video
from preface_hf.video.windows import windows
from tests.media import write_timed


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(2)  # what its features tell apart must not hang on the tests before
    model = {"image_size": 32, "num_frames": 4, "hidden_size": 32, "num_hidden_layers": 1, "num_prototypes": 8}
    PrefAceForPreTraining(PretrainArguments(size="vit-t", model=model).parts().model).save_pretrained(folder)
    PrefAceVideoProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, num_frames=4, sampling_rate=2
    ).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("length", [1, 3, 8, 9, 23, 24])
def test_windows_cover_every_frame_once(length):
    frames = [np.full((2, 2, 3), i, dtype=np.uint8) for i in range(length)]
    cut = list(windows(frames, num_frames=4, sampling_rate=2))
    assert [window.start for window in cut] == list(range(0, length, 8))
    assert [window.stop for window in cut][-1] == length
    assert sum(window.stop - window.start for window in cut) == length
    assert all(window.frames.shape == (4, 2, 2, 3) for window in cut)
    last = cut[-1]
    expected = clip_indices(last.stop - last.start, 4, 2) + last.start
    assert last.frames[:, 0, 0, 0].tolist() == expected.tolist()


def test_a_prepared_set(checkpoint, prepared, tmp_path):
    counts = extract(checkpoint, prepared, tmp_path / "features.parquet")
    table = pd.read_parquet(tmp_path / "features.parquet")
    assert counts == {"rows": 24 * 3, "sources": 24, "left_out": 0} and len(table) == 72
    assert set(table["split"]) == {"train", "test"} and {"instance_id", "identity", "expression"} <= set(table)
    one = table[table["instance_id"] == 0]
    assert one["num_frames"].tolist() == [8, 8, 4]
    assert one["start_seconds"].tolist() == pytest.approx([0, 8 / 25, 16 / 25])
    assert one["end_seconds"].tolist() == pytest.approx([8 / 25, 16 / 25, 20 / 25])
    assert np.stack(table["feature"]).shape == (72, 32) and np.isfinite(np.stack(table["feature"])).all()


def test_seconds_are_those_of_the_time_stamps(checkpoint, tmp_path):
    """Of a video and of its row in a prepared set alike; the windows are of 8 frames."""
    seconds = 1.0 + np.array([*np.arange(5) * 0.1, *(0.5 + np.arange(15) * 0.04)])
    clip = draw_clip(1, "happiness", seed=2, num_frames=20, size=64)
    (tmp_path / "videos").mkdir()
    write_timed(tmp_path / "videos/a.mkv", clip.frames, seconds)
    np.save(tmp_path / "videos/a.npy", clip.landmarks)
    prepare(tmp_path / "videos", tmp_path / "set", landmarker="given", crop_size=32)
    for source in ("videos", "set"):
        extract(checkpoint, tmp_path / source, tmp_path / f"{source}.parquet", landmarker="given")
        table = pd.read_parquet(tmp_path / f"{source}.parquet")
        assert "frame_seconds" not in table and table["num_frames"].tolist() == [8, 8, 4]
        assert table["start_seconds"].tolist() == pytest.approx([1, 1.62, 1.94], abs=2e-3)
        assert table["end_seconds"].tolist() == pytest.approx([1.62, 1.94, 2.1], abs=2e-3)


def test_a_set_prepared_before_frames_had_seconds(checkpoint, prepared, tmp_path):
    """Without the column `frame_seconds` every frame is taken as evenly spaced, as it was."""
    (tmp_path / "old/data").mkdir(parents=True)
    for file in (prepared / "data").glob("*.parquet"):
        pq.write_table(pq.read_table(file).drop_columns("frame_seconds"), tmp_path / "old/data" / file.name)
    tables = []
    for place in (prepared, tmp_path / "old"):
        extract(checkpoint, place, tmp_path / f"{place.name}.parquet")
        tables.append(pd.read_parquet(tmp_path / f"{place.name}.parquet"))
    pd.testing.assert_frame_equal(*tables)
    assert open_prepared(tmp_path / "old").num_rows == 12
    assert len(list(labeled_rows(tmp_path / "old", "expression", split="train").clips((4, 2)))) == 12
    curate(str(tmp_path / "old"), tmp_path / "curated", features=tmp_path / "old.parquet", min_coverage=0.0)
    assert "frame_seconds" not in open_prepared(tmp_path / "curated").rows.column_names


def test_labels_that_come_late_are_kept(checkpoint, tmp_path):
    for name in ("0.mp4", "smiles/1.mp4"):
        clip = draw_clip(1, "happiness", seed=2, num_frames=8, size=64)
        file = tmp_path / "videos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode_video(clip.frames, 25))
        np.save(file.with_suffix(".npy"), clip.landmarks)
    prepare(tmp_path / "videos", tmp_path / "set", landmarker="given", crop_size=32)
    extract(checkpoint, tmp_path / "set", tmp_path / "f.parquet", batch_size=1)
    labels = pd.read_parquet(tmp_path / "f.parquet")["label"]
    assert labels.isna().tolist() == [True, False] and labels[1] == "smiles"


@pytest.mark.parametrize(
    "settings",
    [
        {"workers": 2},
        pytest.param({"executor": "ray", "workers": 2}, marks=pytest.mark.slow),
        pytest.param({"executor": "slurm"}, marks=pytest.mark.slow),
    ],
)
def test_tasks_make_the_same_rows(checkpoint, drawn_videos, tmp_path, request, settings):
    extract(checkpoint, drawn_videos, tmp_path / "one.parquet", landmarker="given")
    if settings.get("executor") == "ray":
        request.getfixturevalue("two_ray_workers")
    if settings.get("executor") == "slurm":
        request.getfixturevalue("slurm_queue")
        settings = {**settings, "cluster": {"partition": "cpu", "time": "01:00:00"}}
    extract(checkpoint, drawn_videos, tmp_path / "many.parquet", landmarker="given", tasks=3, **settings)
    one, many = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("one", "many"))
    pd.testing.assert_frame_equal(one.drop(columns="feature"), many.drop(columns="feature"))
    np.testing.assert_allclose(np.stack(one["feature"]), np.stack(many["feature"]), atol=1e-5)
    if settings.get("executor") != "slurm":
        assert not list(tmp_path.glob(".*")), "nothing but the result is left"


def test_features_do_not_depend_on_the_batch_and_are_the_models(checkpoint, tmp_path):
    clip = draw_clip(1, "happiness", seed=2, num_frames=20, size=64)
    (tmp_path / "one.mp4").write_bytes(encode_video(clip.frames, 25))
    for size in (1, 8):
        extract(checkpoint, tmp_path / "one.mp4", tmp_path / f"{size}.parquet", landmarker="given", batch_size=size)
    small, large = (np.stack(pd.read_parquet(tmp_path / f"{size}.parquet")["feature"]) for size in (1, 8))
    np.testing.assert_allclose(small, large, atol=1e-5)
    from preface_hf.video.decoding import open_video

    first = open_video(tmp_path / "one.mp4").frames([0, 2, 4, 6])
    np.testing.assert_allclose(load_encoder(checkpoint)([first])[0], small[0], atol=1e-5)


def test_a_folder_with_bad_files(checkpoint, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    clip = draw_clip(1, "neutral", seed=0, num_frames=10, size=64)
    (folder / "good.mp4").write_bytes(encode_video(clip.frames, 25))
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("no video")
    counts = extract(checkpoint, folder, tmp_path / "f.parquet", landmarker="given")
    assert counts == {"rows": 2, "sources": 1, "left_out": 2}
    report = [json.loads(line) for line in (tmp_path / "f.parquet.report.jsonl").read_text().splitlines()]
    assert {row["source"] for row in report} == {"empty.mp4", "text.mp4"} and all(row["reason"] for row in report)


def test_what_cannot_be_extracted_is_named(checkpoint, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match="no feature came out of .*text.mp4"):
        extract(checkpoint, tmp_path / "text.mp4", tmp_path / "f.parquet")
    assert not (tmp_path / "f.parquet").exists()
    (tmp_path / "taken.parquet").write_text("mine")
    with pytest.raises(ValueError, match="taken.parquet' exists"):
        extract(checkpoint, tmp_path / "text.mp4", tmp_path / "taken.parquet")
    with pytest.raises(ValueError, match="cannot open .*nowhere"):
        extract(tmp_path / "nowhere", tmp_path / "text.mp4", tmp_path / "f.parquet")


def test_a_real_video_is_tracked_and_cropped(checkpoint, shared, tmp_path):
    source = shared / "faces/voxceleb2_pcavs/Pose_Source/00067.mp4"
    counts = extract(checkpoint, source, tmp_path / "f.parquet", weights=shared / "weights")
    table = pd.read_parquet(tmp_path / "f.parquet")
    assert counts["sources"] == 1 and table["num_frames"].sum() == 114
    assert table["start_seconds"].to_numpy()[1:] == pytest.approx(table["end_seconds"].to_numpy()[:-1])


def test_faces_are_found_without_weights(checkpoint, tmp_path):
    clip = draw_clip(1, "happiness", seed=2, num_frames=8, size=96)
    wide = np.full((8, 120, 200, 3), 90, np.uint8)
    wide[:, 12:108, 90:186] = clip.frames
    (tmp_path / "talk.mp4").write_bytes(encode_video(wide, 25))
    assert extract(checkpoint, tmp_path / "talk.mp4", tmp_path / "face.parquet")["rows"] == 1
    extract(checkpoint, tmp_path / "talk.mp4", tmp_path / "frame.parquet", landmarker="given")
    face, frame = (pd.read_parquet(tmp_path / f"{name}.parquet")["feature"][0] for name in ("face", "frame"))
    assert np.abs(face - frame).max() > 1e-3, "the frame as it is gives another feature"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no YuNet detector .* below .*empty"):
        extract(checkpoint, tmp_path / "talk.mp4", tmp_path / "f.parquet", weights=tmp_path / "empty")
    assert not list(tmp_path.glob(".f.parquet*")), "a mistake shows before any work is done"
