"""When frames are shown: `times` and `fps` follow the time stamps, not an index or what a header says."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from preface_hf.video.decoding import DecodingError, open_video
from tests.media import pattern, remux, write_video
from tests.video.test_decoding import BACKENDS


def ticks(file: Path) -> int:
    """Ticks of the first stream's clock in a frame of a 25th of a second."""
    with av.open(str(file)) as container:
        return int(1 / container.streams.video[0].time_base / 25)


@pytest.mark.parametrize("backend", [*BACKENDS, None])
@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mov", "mpeg4")])
def test_even_frames_keep_the_stated_rate(tmp_path: Path, backend, name, codec):
    video = open_video(write_video(tmp_path / name, pattern(12), codec=codec), backend)
    assert video.fps == 25 and video.times.dtype == np.float64
    assert video.times == pytest.approx(np.arange(12) / 25, abs=1e-3)
    assert video.notes == []


@pytest.mark.parametrize("name", ["a.ts", "a.mpg", "a.flv", "a.avi", "a.wmv"])
def test_a_clock_that_starts_anywhere_is_shown_from_zero(tmp_path: Path, name):
    codecs = {"a.ts": "libx264", "a.mpg": "mpeg2video", "a.flv": "flv", "a.avi": "mpeg4", "a.wmv": "wmv2"}
    video = open_video(write_video(tmp_path / name, pattern(12), codec=codecs[name]))
    assert video.fps == pytest.approx(25)
    assert video.times == pytest.approx(np.arange(12) / 25, abs=2e-3)


@pytest.mark.parametrize("backend", [*BACKENDS, None])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_an_uneven_rate_is_frames_by_duration(tmp_path: Path, name, backend):
    """Frames 4 to 11 of 16 come 8 frames later: 16 frames in 0.96 seconds."""
    even = write_video(tmp_path / "even.mp4", pattern(16), bf="0")
    frame = ticks(even)
    file = remux(even, tmp_path / name, pts=lambda stamp: stamp + 8 * frame * (stamp >= 4 * frame))
    video = open_video(file, backend)
    assert video.times == pytest.approx([*np.arange(4) / 25, *np.arange(12, 24) / 25], abs=1e-3)
    assert video.fps == pytest.approx(16 / 0.96, rel=1e-3)


@pytest.mark.parametrize("name", ["a.webm", "b.mkv"])
def test_a_header_that_lies_about_its_rate(tmp_path: Path, name):
    """As a browser records: stamps in milliseconds at 10 frames a second and no rate but the clock's."""
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream("libvpx", rate=1000)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, picture in enumerate(pattern(10)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = 100 * index + (7 if index % 2 else 0), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    video = open_video(tmp_path / name)
    assert video.fps == pytest.approx(10, rel=0.02)
    assert video.times[-1] == pytest.approx(0.907, abs=2e-3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_pictures_that_begin_after_the_sound(tmp_path: Path, name):
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        sound = container.add_stream("aac", rate=16000, layout="mono")
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 40000), np.float32), "fltp", "mono")
        quiet.sample_rate, quiet.pts = 16000, 0
        container.mux([*sound.encode(quiet), *sound.encode()])
        for index, picture in enumerate(pattern(10)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = 50 + index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    video = open_video(tmp_path / name)
    assert video.times == pytest.approx(2 + np.arange(10) / 25, abs=2e-3) and video.fps == 25


def test_a_still_is_shown_at_zero(tmp_path: Path):
    Image.fromarray(pattern(1)[0]).save(tmp_path / "a.png")
    video = open_video(tmp_path / "a.png")
    assert video.times.tolist() == [0.0] and video.notes == [] and video.fps == 1


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_times_increase_where_stamps_are_equal(tmp_path: Path, name):
    even = write_video(tmp_path / "even.mp4", pattern(9), bf="0")
    frame = ticks(even)
    file = remux(even, tmp_path / name, pts=lambda stamp: stamp // (3 * frame) * 3 * frame + stamp // frame % 3)
    video = open_video(file)
    assert video.num_frames == 9 and (np.diff(video.times) > 0).all()


@pytest.mark.parametrize(
    ("name", "codec", "field", "distance", "order"),
    [("a.mp4", "libx264", b"mdhd", 16, "big"), ("a.mov", "mpeg4", b"mdhd", 16, "big"),
     ("a.avi", "mpeg4", b"strh", 32, "little")],
)  # fmt: skip
def test_a_rate_that_cannot_be(tmp_path: Path, name, codec, field, distance, order):
    """The clock of the header is damaged: 24 frames pass in a thousandth of a second."""
    file = write_video(tmp_path / name, pattern(24), codec=codec)
    data = bytearray(file.read_bytes())
    place = data.index(field) + distance
    data[place : place + 4] = (2**30).to_bytes(4, order)
    file.write_bytes(data)
    for backend in (None, "pyav"):
        with pytest.raises(DecodingError, match="its time stamps make .* frames a second"):
            open_video(file, backend)
