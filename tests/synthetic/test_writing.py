"""Clips as files: a videofolder whose videos, landmarks, maps and labels are those of the clips."""

import csv
import io

import av
import numpy as np
import pytest

from preface_hf.prepare.run import prepare
from preface_hf.synthetic import ClipSpec, draw_clip, draw_fake, energy_envelope, read_parsing, write_synthetic
from preface_hf.synthetic.writing import add_sound
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import encode_video


def test_written_clips_read_back(tmp_path):
    specs = [ClipSpec(0, "anger", 1, "train", 6, 64), (7, "surprise", 2, "test", 6, 64, 30.0)]
    write_synthetic(tmp_path, specs, workers=2)
    with (tmp_path / "metadata.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train", "test"]
    assert rows[1]["identity"] == "id_0007" and rows[1]["expression"] == "surprise"
    clip = draw_clip(7, "surprise", 2, 6, 64, 30.0)
    video = tmp_path / rows[1]["file_name"]
    np.testing.assert_array_equal(np.load(video.with_suffix(".npy")), clip.landmarks)
    assert float(rows[1]["mean_mouth_opening"]) == pytest.approx(clip.mouth_opening.mean(), abs=1e-4)
    measured = [float(rows[1][f"mean_{angle}"]) for angle in ("yaw", "pitch", "roll")]
    np.testing.assert_allclose(measured, clip.pose.mean(axis=0), atol=1e-3)
    assert np.abs(decoded(video).astype(int) - clip.frames).mean() < 8


def decoded(video):
    with av.open(str(video)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_two_clips_of_one_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match="own seed"):
        write_synthetic(tmp_path, [(0, "anger", 1), (0, "anger", 1, "test")])


def rows_of(folder):
    with (folder / "metadata.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def heard(video):
    """The decoded sound `(samples,)` of an mp4, and the second at which it begins."""
    with av.open(io.BytesIO(video)) as container:
        frames = list(container.decode(audio=0))
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]), frames[0].time


def test_a_silent_clip_is_written_as_before_and_sound_does_not_touch_the_picture(tmp_path):
    write_synthetic(tmp_path / "silent", [ClipSpec(4, "anger", 1, num_frames=8, size=64)])
    write_synthetic(tmp_path / "loud", [ClipSpec(4, "anger", 1, num_frames=8, size=64, sound=True)])
    silent, loud = (tmp_path / kind / "id_0004_anger_000001.mp4" for kind in ("silent", "loud"))
    assert silent.read_bytes() == encode_video(draw_clip(4, "anger", 1, 8, 64).frames, 25.0)
    assert loud.read_bytes() != silent.read_bytes()
    for backend in (None, "pyav"):
        videos = [open_video(file, backend) for file in (silent, loud)]
        np.testing.assert_array_equal(*(video.frames(range(8)) for video in videos))
    assert list(rows_of(tmp_path / "silent")[0]) == list(rows_of(tmp_path / "loud")[0])
    assert "fake" not in rows_of(tmp_path / "silent")[0]


@pytest.mark.parametrize("fps", [25.0, 30000 / 1001])
def test_the_sound_in_the_file_begins_with_the_picture_and_follows_the_mouth(fps):
    clip = draw_clip(5, "happiness", 11, 48, 32, fps, sound=True)
    video = add_sound(encode_video(clip.frames, fps), clip.audio, clip.sample_rate)
    assert video == add_sound(encode_video(clip.frames, fps), clip.audio, clip.sample_rate)
    sound, start = heard(video)
    lags = range(-400, 401, 40)
    middle = slice(2000, len(clip.audio) - 3000)
    agreement = [
        np.corrcoef(sound[2000 + lag : len(clip.audio) - 3000 + lag], clip.audio[middle])[0, 1] for lag in lags
    ]
    assert start == 0 and lags[int(np.argmax(agreement))] == 0 and max(agreement) > 0.95
    assert abs(len(sound) - len(clip.audio)) < 1024
    assert np.corrcoef(energy_envelope(sound, 48, fps), clip.mouth_opening)[0, 1] > 0.8


def test_sound_of_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="audio has shape"):
        add_sound(b"", np.zeros((2, 5), np.float32), 16000)


def test_fakes_are_labeled_and_maps_lie_beside_their_clips(tmp_path):
    real = ClipSpec(1, "fear", 3, "test", 4, 64, parsing=True)
    write_synthetic(tmp_path, [real, real._replace(donor=9), real._replace(donor=12)], workers=2)
    rows = rows_of(tmp_path)
    assert [(row["fake"], row["donor"]) for row in rows] == [("0", ""), ("1", "id_0009"), ("1", "id_0012")]
    assert rows[1]["file_name"] == "id_0001_fear_000003_fake_0009.mp4" and rows[1]["identity"] == "id_0001"
    fake = draw_fake(1, 9, "fear", 3, 4, 64, parsing=True)
    np.testing.assert_array_equal(read_parsing(tmp_path / "id_0001_fear_000003_fake_0009.parsing.npz"), fake.parsing)
    assert (tmp_path / rows[1]["file_name"]).read_bytes() == encode_video(fake.frames, 25.0)


def test_a_set_with_sound_fakes_and_maps_can_be_prepared(tmp_path):
    real = ClipSpec(1, "fear", 3, "train", 6, 64, sound=True, parsing=True)
    write_synthetic(tmp_path / "videos", [real, real._replace(donor=9)])
    summary = prepare(tmp_path / "videos", tmp_path / "set", landmarker="given", crop_size=64)
    assert sum(summary.splits.values()) == 2
