"""How many frames a file holds is told by what can be shown, not by its header."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from preface_hf.modeling.video_inputs_preface import read_video
from preface_hf.video.decoding import DecodingError, open_video
from tests.media import edited, pattern, remux, write_video
from tests.video.test_presentation import every_reading


def assert_frames(file: Path, expected: list[int], total: int = 24) -> None:
    """Every reading shows the frames expected of `pattern(total)`, which their bars tell."""
    for reader, frames in every_reading(file).items():
        bars = (frames[:, 2, :, 0] > 200).mean(axis=1) * total - 1
        assert len(frames) == len(expected) and np.abs(bars - expected).max() < 0.6, reader
    video = open_video(file)
    assert video.num_frames == len(video.times) == len(expected) and (np.diff(video.times) > 0).all()
    assert (video.frames([len(expected) - 1, 0])[1] == next(iter(video))).all()


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("bframes", ["0", "2"])
@pytest.mark.parametrize(("start", "stop"), [(10, 24), (0, 15), (10, 18), (7, 8)])
def test_what_an_edit_list_hides_is_hidden(tmp_path: Path, suffix, bframes, start, stop):
    whole = write_video(tmp_path / f"whole{suffix}", pattern(24), bf=bframes, g="8")
    data = whole.read_bytes()
    at = data.index(b"elst") + 16  # the tick at which the first frame is shown
    first = int.from_bytes(data[at : at + 4], "big")
    file = tmp_path / f"a{suffix}"
    file.write_bytes(edited(data, first + start * 512, (stop - start) * 40))
    assert_frames(file, list(range(start, stop)))
    assert open_video(file).times[0] == 0


def test_an_avi_with_empty_chunks(tmp_path: Path):
    """Frames 4 to 11 come 8 frames later: the container fills the gap with chunks that hold nothing."""
    even = write_video(tmp_path / "even.avi", pattern(24), codec="mpeg4")
    file = remux(even, tmp_path / "a.avi", pts=lambda stamp: stamp + 8 * (stamp >= 4))
    assert_frames(file, list(range(24)))
    video = open_video(file)
    assert video.times[[3, 4, -1]] == pytest.approx([3 / 25, 12 / 25, 31 / 25])
    assert video.fps == pytest.approx(24 / (32 / 25)) and video.notes == ["its header counts 32 frames, it holds 24"]


@pytest.mark.parametrize("counted", [23, 25, 60])
def test_an_avi_whose_header_counts_others(tmp_path: Path, counted):
    file = write_video(tmp_path / "a.avi", pattern(24), codec="mpeg4")
    data = bytearray(file.read_bytes())
    for place in (data.index(b"avih") + 8 + 16, data.index(b"strh") + 8 + 32):
        data[place : place + 4] = counted.to_bytes(4, "little")
    file.write_bytes(data)
    assert_frames(file, list(range(24)))


@pytest.mark.parametrize("bframes", ["0", "2"])
def test_an_avi_with_b_frames(tmp_path: Path, bframes):
    file = write_video(tmp_path / "a.avi", pattern(24), bf=bframes)
    assert_frames(file, list(range(24)))
    assert open_video(file).times == pytest.approx(np.arange(24) / 25)


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "libx264"), ("a.mpg", "mpeg2video"), ("a.mkv", "libx264")])
def test_a_recording_that_begins_inside_a_group(tmp_path: Path, name, codec):
    """Frames before the first key frame cannot be shown; the rest can, at their own times."""
    whole = write_video(tmp_path / f"whole{name}", pattern(24), codec=codec, g="12", bf="0")
    file = remux(whole, tmp_path / name, first=5)
    assert_frames(file, list(range(12, 24)))
    assert np.diff(open_video(file).times) == pytest.approx(1 / 25, abs=1e-3)


def test_pictures_that_lean_on_what_is_cut_off(tmp_path: Path):
    """Of an open group that stands first, those shown before its key frame are lost."""
    whole = write_video(tmp_path / "whole.mpg", pattern(24), codec="mpeg2video", g="12", bf="2")
    with av.open(str(whole)) as container:
        keys = [place for place, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]
    file = remux(whole, tmp_path / "a.mpg", first=keys[1])
    with av.open(str(file)) as container:
        count = len(list(container.decode(video=0)))
    assert 0 < count < 24 - keys[1]
    assert_frames(file, list(range(24 - count, 24)))


def test_streams_put_one_behind_the_other(tmp_path: Path):
    part = write_video(tmp_path / "part.ts", pattern(12)).read_bytes()
    (tmp_path / "a.ts").write_bytes(part + part)
    video = open_video(tmp_path / "a.ts")
    frames = np.stack(list(video))
    assert video.times == pytest.approx(np.arange(24) / 25) and video.fps == 25
    assert (frames[:12] == frames[12:]).all() and (video.frames([20, 3]) == frames[[8, 3]]).all()


def test_pictures_of_vp8_that_are_never_shown(tmp_path: Path):
    """One packet's flag `show_frame` is taken away, as of the reference pictures that encoders add."""
    whole = write_video(tmp_path / "whole.webm", pattern(24), codec="libvpx")
    with av.open(str(whole)) as read, av.open(str(tmp_path / "a.webm"), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for place, packet in enumerate(read.demux(video=0)):
            if packet.size:
                data = bytearray(bytes(packet))
                data[0] &= 0xEF if place == 10 else 0xFF
                changed = av.Packet(bytes(data))
                changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
                changed.is_keyframe, changed.stream = packet.is_keyframe, stream
                written.mux(changed)
    assert_frames(tmp_path / "a.webm", [*range(10), *range(11, 24)])


def test_a_file_that_ends_early_is_damaged(tmp_path: Path):
    whole = write_video(tmp_path / "whole.mp4", np.random.default_rng(0).integers(0, 255, (24, 96, 128, 3), np.uint8))
    front = remux(whole, tmp_path / "front.mp4", options={"movflags": "faststart"})
    front.write_bytes(front.read_bytes()[:-5000])
    with pytest.raises(DecodingError, match="the file ends after .* of 24 frames"):
        open_video(front)
    with pytest.raises(ValueError, match="the file ends after"):
        read_video(front, None)
