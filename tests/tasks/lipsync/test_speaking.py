"""`preface-hf lipsync`: a face speaks another sound at the video's size and times, marked; what it refuses."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from preface_hf import PrefAceForLipSync, PrefAceLipSyncConfig
from preface_hf.audio.sound import read_sound
from preface_hf.cli import main
from preface_hf.synthetic import draw_clip
from preface_hf.tasks.lipsync import speaker, speaking
from preface_hf.tasks.lipsync.pasting import paste
from preface_hf.tasks.lipsync.speaking import lipsync
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import VideoEncoder, encode_video
from tests.media import pattern, write_timed
from tests.modeling.test_lipsync import SMALL
from tests.tasks.sync.test_speakers import Known
from tests.test_cli import refused


@pytest.fixture(scope="module")
def people():
    """Two drawn people of 40 frames with their voices."""
    return [draw_clip(person, "neutral", 40 + person, 40, 96, sound=True) for person in (1, 3)]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A generator that was never trained."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    PrefAceForLipSync(PrefAceLipSyncConfig(**{**SMALL, "num_frames": 16})).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def seen(people, monkeypatch):
    """Faces are found where they were drawn."""
    monkeypatch.setattr(speaking, "load_landmarker", lambda *_: Known(people[:1]))


@pytest.fixture
def video(people, tmp_path) -> Path:
    (tmp_path / "video.mp4").write_bytes(encode_video(people[0].frames, 25.0))
    return tmp_path / "video.mp4"


def write_wav(file: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return file


@pytest.fixture
def speech(people, tmp_path) -> Path:
    return write_wav(tmp_path / "speech.wav", people[1].audio)


def frames_of(file: Path) -> np.ndarray:
    return np.stack(list(open_video(file, "pyav"))).astype(int)


def test_a_face_speaks_and_all_else_stays(run, video, speech, people, tmp_path):
    done = lipsync(run, video, speech, tmp_path / "out.mp4", mark=False)
    assert (done.frames, done.spoken, done.notes) == (40, 40, [])
    before, after = frames_of(video), frames_of(tmp_path / "out.mp4")
    assert after.shape == before.shape == (40, 96, 96, 3)
    change = np.abs(after - before).mean(axis=3)
    points = people[0].landmarks
    for index in (0, 17, 39):
        x, y = points[index, 48:].mean(axis=0).round().astype(int)
        eyes = int(points[index, 36:48, 1].max())
        assert change[index, y - 2 : y + 3, x - 3 : x + 4].mean() > 15, "a mouth that was never learned is another"
        assert change[index, : eyes - 4].mean() < 5, "as it was, but for what encoding anew loses"
    sound = read_sound(tmp_path / "out.mp4", 0.0, 1.6) / 32768
    assert np.corrcoef(sound, people[1].audio[: len(sound)])[0, 1] > 0.95, "the sound begins with the first frame"


def test_it_is_marked_as_synthetic(run, video, speech, tmp_path):
    lipsync(run, video, speech, tmp_path / "out.mp4")
    lipsync(run, video, speech, tmp_path / "plain.mp4", mark=False)
    for name in ("out", "plain"):
        with av.open(str(tmp_path / f"{name}.mp4")) as container:
            assert container.metadata["comment"].startswith("synthetic: the mouth was generated")
            assert container.metadata["title"] == "synthetic"
    marked, plain = (frames_of(tmp_path / f"{name}.mp4") for name in ("out", "plain"))
    corner = np.s_[:, -12:, :40]
    assert np.abs(plain[:, :70] - marked[:, :70]).mean() < 2 < 30 < np.abs(plain[corner] - marked[corner]).mean()
    assert (marked[corner].max(axis=(1, 2, 3)) > 150).all() and (marked[corner].min(axis=(1, 2, 3)) < 30).all()


def test_the_same_call_gives_the_same_bytes(run, video, speech, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        lipsync(run, video, speech, tmp_path / name)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("kind", ["15", "30", "50", "varying", "late"])
def test_times_stay_at_any_rate(run, speech, people, tmp_path, kind):
    seconds = {
        "varying": np.concatenate([np.arange(20) / 50, 0.4 + np.arange(20) / 12.5]),
        "late": 0.5 + np.arange(40) / 25,
    }.get(kind)
    if seconds is None:
        seconds = np.arange(40) / float(kind)
    write_timed(tmp_path / "video.mkv", people[0].frames, seconds)
    done = lipsync(run, tmp_path / "video.mkv", speech, tmp_path / "out.mp4")
    before, after = open_video(tmp_path / "video.mkv", "pyav"), open_video(tmp_path / "out.mp4", "pyav")
    assert after.num_frames == before.num_frames == done.spoken == 40
    wrong = np.abs((after.times - after.times[0]) - (before.times - before.times[0])).max()
    assert wrong < 0.5 / 50


def test_a_frame_shows_the_window_of_its_time(run, video, speech, tmp_path, monkeypatch):
    """Sound and picture are cut alike: the window from step 16 on hears what is said from 16 / 25 s on."""
    calls, window = [], speaker.Speaker.window

    def seen(self, target, reference, mels, first):
        calls.append((first, target, reference, mels))
        return window(self, target, reference, mels, first)

    monkeypatch.setattr(speaker.Speaker, "window", seen)
    lipsync(run, video, speech, tmp_path / "out.mp4")
    assert [call[0] for call in calls] == [0, 16, 32]
    assert all(torch.equal(call[2], calls[0][1]) for call in calls), "the reference is the first window"
    assert torch.equal(calls[2][1][0, 8], calls[2][1][0, 7]), "the last window is filled up"
    from preface_hf.modeling.sync_preface import log_mels

    mels = log_mels(read_sound(speech))
    np.testing.assert_allclose(calls[0][3][4 * 2 : 4 * 2 + 100], mels[:100], atol=0.05)


@pytest.mark.parametrize(
    ("rate", "seconds", "note"),
    [(8000, 1.6, ""), (11_025, 0.8, "after it the face is silent"), (44_100, 3.0, "its end is cut off"),
     (12_345, 1.6, "")],
)  # fmt: skip
def test_sound_of_any_rate_and_length(run, video, tmp_path, rate, seconds, note, capsys):
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time) * (np.sin(2 * np.pi * 3 * time) > 0)
    speech, out = write_wav(tmp_path / "tone.wav", tone, rate), tmp_path / "out.mp4"
    with pytest.raises(SystemExit) as stop:
        main(["lipsync", str(run), str(video), str(speech), str(out)])
    assert not stop.value.code
    told = capsys.readouterr()
    assert note in told.err and (note or "the sound has" not in told.err)
    assert "40 of 40 frames speak; it is marked as synthetic" in told.out
    with av.open(str(out)) as container:
        heard = float(container.streams.audio[0].duration * container.streams.audio[0].time_base)
        assert heard == pytest.approx(min(seconds, 1.6), abs=0.15)
    sound = read_sound(out) / 32768
    power = np.abs(np.fft.rfft(sound))
    assert power.argmax() * 16_000 / len(sound) == pytest.approx(440, abs=4)


@pytest.fixture
def say(capsys):
    """What `lipsync` says of arguments that it refuses."""
    return lambda *arguments: refused(capsys, "lipsync", *arguments)


def test_what_cannot_be_is_one_sentence(run, video, speech, people, tmp_path, monkeypatch, say):
    out = tmp_path / "out.mp4"
    assert "is silent: give a sound" in say(run, video, write_wav(tmp_path / "0.wav", np.zeros(9000)), out)
    assert "has no sound" in say(run, video, video, out)
    assert "is not a file" in say(run, video, tmp_path / "missing.wav", out)
    assert "is no .mp4" in say(run, video, speech, tmp_path / "out.mkv")
    assert "would take the place" in say(run, video, speech, video)
    assert "there is no folder" in say(run, video, speech, tmp_path / "missing/out.mp4")
    assert "--track -1 is no face" in say(run, video, speech, out, "--track=-1")
    assert "there is no generator in" in say(tmp_path / "no", video, speech, out)
    assert "has no face 3: it has 0 to 0" in say(run, video, speech, out, "--track", "3")
    (tmp_path / "text.mp4").write_text("no video")
    assert "cannot be opened" in say(run, tmp_path / "text.mp4", speech, out)
    (tmp_path / "two.mp4").write_bytes(encode_video(np.concatenate([one.frames for one in people], axis=2), 25.0))
    monkeypatch.setattr(speaking, "load_landmarker", lambda *_: Known(people))
    assert "shows several faces at once (0 at " in say(run, tmp_path / "two.mp4", speech, out)
    monkeypatch.undo()
    (tmp_path / "none.mp4").write_bytes(encode_video(pattern(12), 25.0))
    assert "no face stays in sight" in say(run, tmp_path / "none.mp4", speech, out)
    assert not out.exists()


def test_of_several_faces_the_chosen_one_speaks(run, speech, people, tmp_path, monkeypatch):
    frames = np.concatenate([one.frames for one in people], axis=2)
    (tmp_path / "two.mp4").write_bytes(encode_video(frames, 25.0))
    changes = []
    for track in (0, 1):
        monkeypatch.setattr(speaking, "load_landmarker", lambda *_: Known(people))
        done = lipsync(run, tmp_path / "two.mp4", speech, tmp_path / "out.mp4", track=track, mark=False)
        assert done.spoken == 40
        change = np.abs(frames_of(tmp_path / "out.mp4") - frames_of(tmp_path / "two.mp4")).mean(axis=(0, 1, 3))
        changes.append(change[:96].mean() > change[96:].mean())
    assert sorted(changes) == [False, True]


def test_a_face_is_followed_over_the_end_of_a_segment(run, video, speech, tmp_path, monkeypatch, say):
    monkeypatch.setattr(speaker, "SEGMENT_SECONDS", 0.6)
    assert lipsync(run, video, speech, tmp_path / "out.mp4", track=0).spoken == 40
    assert "has no face 5" in say(run, video, speech, tmp_path / "out.mp4", "--track", "5")


def test_a_face_that_leaves_and_comes_back_speaks_when_it_is_there(run, speech, people, tmp_path, monkeypatch):
    frames = np.concatenate([people[0].frames[:15], pattern(25, 96, 96), people[0].frames[15:]])

    class Leaving(Known):
        def detect(self, frame):
            gone = 15 <= self.count < 40
            found = super().detect(frame)
            return found[:0] if gone else found

    (tmp_path / "video.mp4").write_bytes(encode_video(frames, 25.0))
    known = [type("Clip", (), {
        "frames": frames, "landmarks": np.concatenate([people[0].landmarks[:15], np.zeros((25, 68, 2)),
                                                       people[0].landmarks[15:]]),
    })]  # fmt: skip
    monkeypatch.setattr(speaking, "load_landmarker", lambda *_: Leaving(known))
    done = lipsync(run, tmp_path / "video.mp4", speech, tmp_path / "out.mp4", mark=False)
    assert (done.frames, done.spoken) == (65, 40)
    change = np.abs(frames_of(tmp_path / "out.mp4") - frames_of(tmp_path / "video.mp4")).mean(axis=(1, 2, 3))
    assert change[17:38].max() < change[:15].min()


@pytest.mark.parametrize("box", [(10.3, 5.7, 40.1, 35.5), (-8, -8, 20, 20), (50, 40, 90, 80), (100, 0, 120, 20)])
def test_a_square_goes_back_to_where_it_was_cut_out(box):
    from preface_hf.faces.squares import cut_square

    box, frame = np.array(box, np.float32), pattern(1, 60, 70)[0]
    square = cut_square(frame, box, 64).astype(np.float32)
    found = paste(frame, square, np.ones((64, 64), np.float32), box)
    assert found.shape == frame.shape and found.dtype == np.uint8
    inside = np.abs(found.astype(int) - frame)
    assert inside.mean() < 4, "the same picture at the same place"
    untouched = paste(frame, np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.float32), box)
    np.testing.assert_array_equal(untouched, frame)


def test_a_long_face_is_encoded_frame_by_frame(run, video, speech, tmp_path, monkeypatch):
    """No frame waits for those after it but in the readings: at most one is between reading and encoding."""
    order, add, put = [], VideoEncoder.add, speaker.paste

    def adding(self, frame):
        order.append("written")
        return add(self, frame)

    def pasting(*given):
        order.append("pasted")
        return put(*given)

    monkeypatch.setattr(VideoEncoder, "add", adding)
    monkeypatch.setattr(speaker, "paste", pasting)
    lipsync(run, video, speech, tmp_path / "out.mp4")
    assert order == ["pasted", "written"] * 40
