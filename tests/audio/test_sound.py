"""Sound lies where its frames are: whatever container, rate, start, and length."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from preface_hf.audio.sound import SAMPLE_RATE, Sound, encode_flac, has_sound, read_sound
from preface_hf.modeling.video_streams_preface import DecodingError
from preface_hf.video.decoding import open_video
from tests.media import pattern, write_video


FPS = 25


def write_sounding(
    file: Path, samples: np.ndarray, rate: int, codec: str, layout: str = "mono", late: float = 0.0, frames: int = 50
) -> Path:
    """A file of `frames` frames with sound that begins `late` seconds after them; samples are int16."""
    video = "mpeg1video" if file.suffix == ".mpg" else "libx264"
    with av.open(str(file), "w") as container:
        stream = container.add_stream(video, rate=FPS)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        sound = container.add_stream(codec, rate=rate, layout=layout)
        if layout == "stereo":
            samples = np.repeat(samples, 2)
        heard = av.AudioFrame.from_ndarray(samples[None], format="s16", layout=layout)
        heard.sample_rate, heard.pts, heard.time_base = rate, round(late * rate), Fraction(1, rate)
        fifo = av.AudioResampler(sound.codec_context.format.name, layout, rate, sound.codec_context.frame_size or 1024)
        pieces = [*fifo.resample(heard), *fifo.resample(None)]
        for picture in pattern(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            while pieces and pieces[0].time < stream.codec_context.time_base * frames:
                container.mux(sound.encode(pieces.pop(0)))
        container.mux([*stream.encode(), *[p for piece in pieces for p in sound.encode(piece)], *sound.encode()])
    return file


def clicks(rate: int, seconds: float) -> np.ndarray:
    """A tone of 440 Hz from second 0.5 to 0.7 and from 1.2 to 1.3, int16."""
    times = np.arange(round(seconds * rate)) / rate
    on = ((times >= 0.5) & (times < 0.7)) | ((times >= 1.2) & (times < 1.3))
    return (12_000 * on * np.sin(2 * np.pi * 440 * times)).astype(np.int16)


def onsets(samples: np.ndarray) -> list[float]:
    """The seconds at which it grows loud."""
    loud = np.abs(samples.astype(int)) > 3000
    places = np.flatnonzero(loud)
    first = places[np.diff(places, prepend=-SAMPLE_RATE) > SAMPLE_RATE // 20]
    return (first / SAMPLE_RATE).tolist()


@pytest.mark.parametrize(
    ("name", "rate", "codec", "layout"),
    [("a.mp4", 16_000, "aac", "mono"), ("a.mp4", 44_100, "aac", "stereo"), ("a.mkv", 48_000, "libopus", "stereo"),
     ("a.mov", 11_025, "pcm_s16le", "mono"), ("a.avi", 8_000, "pcm_mulaw", "mono"),
     ("a.avi", 22_050, "libmp3lame", "mono"), ("a.ts", 44_100, "aac", "mono"), ("a.mpg", 44_100, "mp2", "stereo")],
)  # fmt: skip
def test_sound_begins_when_its_frames_are_shown(tmp_path, name, rate, codec, layout):
    file = write_sounding(tmp_path / name, clicks(rate, 2), rate, codec, layout)
    start = open_video(file).times[0]
    samples = read_sound(file, start)
    assert samples.dtype == np.int16 and abs(len(samples) / SAMPLE_RATE - 2) < 0.1
    # What a file does not tell of its encoder's delay comes late in every player: 1105 samples of mp3.
    within = {"a.avi": 0.055 if codec == "libmp3lame" else 0.004, "a.mpg": 0.03, "a.ts": 0.03}.get(name, 0.004)
    assert onsets(samples) == pytest.approx([0.5, 1.2], abs=within)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_sound_that_begins_late_is_silent_until_then(tmp_path, name):
    file = write_sounding(tmp_path / name, clicks(16_000, 1), 16_000, "aac", late=0.4)
    samples = read_sound(file, 0.0, 2.0)
    assert len(samples) == 2 * SAMPLE_RATE and not samples[:4800].any()
    assert onsets(samples) == pytest.approx([0.9], abs=0.004)
    assert not samples[-SAMPLE_RATE // 4 :].any(), "and after its end"


def test_two_streams_one_behind_the_other(tmp_path):
    """As of two parts of a broadcast in one file: the clock of the second begins anew."""
    part = write_sounding(tmp_path / "a.ts", clicks(44_100, 2), 44_100, "aac").read_bytes()
    (tmp_path / "two.ts").write_bytes(part + part)
    video = open_video(tmp_path / "two.ts")
    assert video.num_frames == 100 and video.times[-1] == pytest.approx(3.96, abs=0.05)
    heard = onsets(read_sound(tmp_path / "two.ts", 0.0, 4.2))
    assert heard == pytest.approx([0.5, 1.2, 2.5, 3.2], abs=0.12)


def test_pieces_of_a_file_are_those_of_the_whole(tmp_path):
    file = write_sounding(tmp_path / "a.mp4", clicks(44_100, 2), 44_100, "aac")
    whole, sound = read_sound(file), Sound(file)
    for start, stop in ((0.0, 0.5), (0.3, 1.1), (0.3, 0.4), (1.5, 1.9)):
        np.testing.assert_array_equal(sound.cut(start, stop), whole[round(start * 16000) : round(stop * 16000)])
    assert sum(len(samples) for _, samples in sound.held) < len(whole) / 2, "not all is held"
    with pytest.raises(ValueError, match=r"from second 0\.2 was let go"):
        sound.cut(0.2, 0.4)


def test_what_has_no_sound_or_a_damaged_one_is_named(tmp_path):
    silent = write_video(tmp_path / "silent.mp4", pattern(8))
    assert not has_sound(silent) and not has_sound(tmp_path / "missing.mp4")
    with pytest.raises(ValueError, match=r"silent\.mp4 has no sound"):
        read_sound(silent)
    with pytest.raises(DecodingError, match="damaged"):
        read_sound(b"no file of sound" * 99)


def test_flac_keeps_every_sample():
    samples = np.random.default_rng(0).integers(-32768, 32767, 20_001, np.int16)
    data = encode_flac(samples)
    np.testing.assert_array_equal(read_sound(data), samples)
    assert data == encode_flac(samples)
    np.testing.assert_array_equal(read_sound(encode_flac(samples[:1])), samples[:1])


def test_grid_has_sound_as_long_as_its_frames(shared):
    files = sorted((shared / "faces/grid_s1/video").glob("*.mpg"))[:3]
    lengths = [len(read_sound(file)) / SAMPLE_RATE for file in files]
    assert lengths == pytest.approx([3.0] * 3, abs=0.1)
