"""Pairs of mouths and sounds: what is in sync is, what is shifted is, whatever the frame rate."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from preface_hf.audio.sound import SAMPLE_RATE, encode_flac, read_sound
from preface_hf.faces.crops import mouth_boxes
from preface_hf.synthetic import SyntheticClip, draw_clip
from preface_hf.tasks.sync.clips import SyncClips, shifted
from preface_hf.tasks.sync.offsets import correlated
from preface_hf.tasks.sync.talks import is_silent, steady_places, talk_of_row
from preface_hf.video.clock import Clock
from preface_hf.video.encoding import VideoEncoder
from tests.media import face_points


@pytest.fixture(scope="module")
def train(spoken) -> SyncClips:
    return SyncClips(spoken, "train", size=32, windows=3)


def test_rows_without_sound_are_counted(train):
    assert len(train) == 4 * 3 and train.left_out == 1


def test_an_item_is_a_window_with_its_own_sound_and_one_from_elsewhere(train):
    item = train[4]
    assert item["pixel_values_videos"].shape == (16, 1, 32, 32) and item["input_features"].shape == (2, 64, 80)
    assert item["pixel_values_videos"].min() >= 0 and item["pixel_values_videos"].max() <= 1
    talk = train.talk(train.rows[4])
    windows = np.stack([talk.heard(place, 16) for place in range(len(talk) - 15)])
    first, other = (int(np.abs(windows - mels.numpy()).sum(axis=(1, 2)).argmin()) for mels in item["input_features"])
    np.testing.assert_array_equal(item["pixel_values_videos"][:, 0].numpy() * 255, talk.mouths[first : first + 16])
    assert 3 <= abs(other - first) <= 15 and item["labels"].tolist() == [1, 0]
    assert torch.equal(train[4]["input_features"], item["input_features"]), "the same each time"


def test_training_draws_from_torch(spoken):
    clips = SyncClips(spoken, "train", size=32, augment=True)
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(clips[2])
    assert torch.equal(draws[0]["input_features"], draws[1]["input_features"])
    assert torch.equal(draws[0]["pixel_values_videos"], draws[1]["pixel_values_videos"])
    assert not torch.equal(draws[0]["pixel_values_videos"], draws[2]["pixel_values_videos"])
    assert len(clips) == 4


@pytest.mark.parametrize(("first", "room"), [(0, 40), (20, 40), (40, 40), (2, 5), (1, 3), (1, 2)])
def test_shifts_are_seen_and_within_reach(first, room):
    places = shifted(first, room)
    assert places and all(0 <= place <= room and abs(place - first) <= 15 for place in places)
    assert room < 4 or min(abs(place - first) for place in places) >= 3


def test_a_set_without_sound_is_refused(prepared):
    with pytest.raises(ValueError, match="has no sound: prepare its videos again, with `preface-hf prepare --audio`"):
        SyncClips(prepared, "train")


def test_rows_that_are_too_short_are_refused(spoken):
    with pytest.raises(ValueError, match=r"no row of 'test'.* lasts 2\.12 seconds"):
        SyncClips(spoken, "test", num_frames=50)


@pytest.mark.parametrize("fps", [12.5, 15, 25, 24000 / 1001, 30000 / 1001, 30, 50, 60])
def test_frames_at_any_rate_are_brought_to_25(fps):
    clock = Clock.steady(round(2 * fps), fps, start=0.7)
    places = steady_places(clock)
    assert len(places) == pytest.approx(50, abs=1)
    late = 0.7 + np.arange(len(places)) / 25 - clock.times[places]
    assert np.abs(late).max() <= max(0.021, 0.5 / fps + 0.021)
    assert fps != 25 or places.tolist() == list(range(50))


@cache
def finely_drawn() -> SyntheticClip:
    """100 frames a second, of which others are taken."""
    return draw_clip(3, "neutral", 5, 200, 32, 100.0, sound=True)


def row_of(times: np.ndarray, fps: float, offsets: list[float] | None) -> dict:
    """A drawn person shown at these times, and heard, as a row of a prepared set."""
    clip = finely_drawn()
    taken = (times * 100).round().astype(int)
    encoder = VideoEncoder(fps, offsets)
    for frame in clip.frames[taken]:
        encoder.add(frame)
    samples = (clip.audio * 32767).astype(np.int16)
    return {
        "video": {"bytes": encoder.finish()}, "landmarks": clip.landmarks[taken], "fps": fps, "start_seconds": 0.0,
        "frame_seconds": offsets, "audio": {"bytes": encode_flac(samples)}, "source": "a.mp4",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["15", "30", "varying"])
def test_mouth_and_voice_agree_at_any_rate(kind):
    times = np.arange(0, 1.9, 0.04 if kind == "varying" else 1 / float(kind))
    if kind == "varying":  # 50 a second, then 12.5
        times = np.concatenate([np.arange(0, 0.9, 0.02), np.arange(0.9, 1.9, 0.08)])
    fps, offsets = len(times) / 1.9, times.tolist() if kind == "varying" else None
    talk = talk_of_row(row_of(times, fps if offsets else float(kind), offsets), 32)
    assert abs(correlated(talk).offset) <= 1 and correlated(talk).confidence > 0.3


def test_a_row_without_sound_or_landmarks_is_named():
    row = row_of(np.arange(20) / 25, 25.0, None)
    with pytest.raises(ValueError, match=r"a\.mp4 has no sound"):
        talk_of_row({**row, "audio": None}, 32)
    with pytest.raises(ValueError, match=r"a\.mp4 was prepared without landmarks"):
        talk_of_row({**row, "landmarks": []}, 32)


def test_silence_is_known(train):
    talk = train.talk(train.rows[0])
    assert not is_silent(talk)
    talk = talk_of_row(
        {**row_of(np.arange(20) / 25, 25.0, None), "audio": {"bytes": encode_flac(np.zeros(9000, np.int16))}}, 32
    )
    assert is_silent(talk)


def test_a_box_about_the_mouth_stays_while_the_mouth_opens():
    closed = np.stack([face_points((50, 50), 40)] * 30)
    opening = closed.copy()
    lower = [55, 56, 57, 58, 59, 65, 66, 67]
    opening[::2, lower, 1] += 8
    boxes = mouth_boxes(opening, np.arange(30) / 25)
    np.testing.assert_allclose(boxes, mouth_boxes(closed, np.arange(30) / 25), atol=1e-3)
    assert (boxes[0, :2] < closed[0, 48:].min(axis=0)).all() and (boxes[0, 2:] > closed[0, 48:].max(axis=0)).all()
    still = mouth_boxes(closed + np.arange(30)[:, None, None].astype(np.float32), np.arange(30) / 25)
    np.testing.assert_allclose(np.diff(still[5:-5], axis=0), 1, atol=1e-3)


def test_the_sound_of_a_row_is_as_long_as_its_frames(train):
    row = train.table[0]
    assert len(read_sound(row["audio"]["bytes"])) == row["num_frames"] * SAMPLE_RATE // 25
