"""A clock measures frames in seconds, and says whether they are evenly spaced."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import VideoEncoder
from tests.media import pattern


UNEVEN = [*np.arange(4) / 25, *np.arange(12, 24) / 25]  # 16 frames in 0.96 seconds, one of them shown for 0.36


def test_even_frames():
    clock = Clock.steady(10, 25.0, start=2.0)
    assert clock.is_even and clock.offsets is None
    assert clock.times == pytest.approx(2 + np.arange(10) / 25) and clock.ends == pytest.approx(clock.times + 0.04)
    assert clock.seconds(3, 8) == pytest.approx(0.2)
    rounded = Clock(np.round(np.arange(300) / 30, 3), 30.0)  # as mkv stores them
    assert rounded.is_even and rounded.part(100, 200).offsets is None and rounded.part(100, 200).fps == 30


def test_uneven_frames():
    clock = Clock(np.array(UNEVEN) + 1, 16 / 0.96)
    assert not clock.is_even and clock.offsets == pytest.approx(UNEVEN)
    assert clock.ends[3] == pytest.approx(1.48) and clock.ends[-1] == pytest.approx(1.96)
    assert clock.seconds(0, 16) == pytest.approx(0.96) and clock.seconds(3, 4) == pytest.approx(0.36)


def test_a_part_has_the_rate_of_its_own_frames():
    clock = Clock(np.array(UNEVEN), 16 / 0.96)
    late = clock.part(6, 16)
    assert late.is_even and late.fps == pytest.approx(25) and late.times[0] == pytest.approx(14 / 25)
    both = clock.part(2, 8)
    assert both.fps == pytest.approx(6 / 0.56) and both.offsets == pytest.approx([0, 0.04, 0.4, 0.44, 0.48, 0.52])


def test_one_frame_alone():
    assert Clock(np.array([3.0]), 2.0).ends.tolist() == [3.5]
    assert Clock(np.array(UNEVEN), 16 / 0.96).part(3, 4).is_even


def test_a_rate_that_drifts_from_the_stated_one_ends_in_time():
    """At 29.97 stated and 30 shown, an hour's last frame is not shown for 3.6 seconds."""
    clock = Clock(np.arange(108_000) / 30, 30_000 / 1001)
    assert clock.ends[-1] == pytest.approx(3600, abs=1e-3) and not clock.is_even


def test_a_crop_plays_at_the_speed_of_its_source():
    frames = pattern(16, height=64, width=64)
    files = []
    for _ in range(2):
        encoder = VideoEncoder(16 / 0.96, UNEVEN)
        for frame in frames:
            encoder.add(frame)
        files.append(encoder.finish())
    assert files[0] == files[1], "the same frames give the same bytes"
    video = open_video(files[0])
    assert video.num_frames == 16 and video.times == pytest.approx(UNEVEN, abs=1e-4)
    with av.open(io.BytesIO(files[0])) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert [index for index, key in enumerate(keys) if key] == [0, 12]
