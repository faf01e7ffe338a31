from __future__ import annotations

import numpy as np
import pytest

from preface_hf.faces.detection import Face, FrameFaces, given_faces
from preface_hf.faces.tracking import Glimpse, Segment, Track, segments
from preface_hf.video.clock import Clock
from tests.media import face_points


def face(x: float, y: float = 100, height: float = 60) -> Face:
    points = face_points((x, y), height)
    return Face(np.concatenate([points.min(axis=0), points.max(axis=0)]), points)


def track_all(frames: list[list[Face]], fps: float = 25, cuts: tuple[int, ...] = (), **options) -> list[Segment]:
    faces = (FrameFaces(found, index in cuts) for index, found in enumerate(frames))
    max_seconds = options.pop("max_frames", 1000) / fps
    return list(segments(faces, Clock.steady(len(frames), fps), max_seconds, **options))


def tracks(frames: list[list[Face]], **options) -> list[Track]:
    return [track for segment in track_all(frames, **options) for track in segment.tracks]


def spans(found: list[Track]) -> list[tuple[int, int]]:
    return [(track.start, track.stop) for track in found]


def test_a_face_in_every_frame_is_one_track():
    (track,) = tracks([[face(100 + index)] for index in range(20)])
    assert (track.start, track.stop, track.seen) == (0, 20, 20)
    assert track.landmarks.shape == (20, 68, 2) and track.boxes.shape == (20, 4) and track.scores.shape == (20,)
    assert track.landmarks[7] == pytest.approx(face(107).landmarks)


def test_short_gaps_are_bridged_by_interpolation():
    (track,) = tracks([[face(100 + 2 * index)] if index not in (5, 6, 7) else [] for index in range(20)])
    assert (track.start, track.stop, track.seen) == (0, 20, 17)
    assert track.landmarks[6] == pytest.approx(face(112).landmarks, abs=1e-3)
    assert track.boxes[6] == pytest.approx(face(112).box, abs=1e-3)


def test_a_long_gap_ends_a_track():
    assert spans(tracks([[face(100)] if index < 10 or index >= 30 else [] for index in range(60)])) == [
        (0, 10),
        (30, 60),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_two_people_who_pass_each_other_are_two_tracks(order):
    frames = [
        [face(100 + 3 * index, height=60), face(300 - 3 * index, y=220, height=50)][::order] for index in range(40)
    ]
    large, small = tracks(frames)
    assert spans([large, small]) == [(0, 40), (0, 40)]
    assert large.landmarks[-1] == pytest.approx(face(100 + 3 * 39).landmarks, abs=1e-3)
    assert small.landmarks[-1] == pytest.approx(face(300 - 3 * 39, y=220, height=50).landmarks, abs=1e-3)


def test_who_comes_later_has_a_later_track():
    frames = [[face(100)] + ([face(400, height=90)] if index >= 10 else []) for index in range(30)]
    assert spans(tracks(frames)) == [(0, 30), (10, 30)]


def test_a_jump_or_a_cut_ends_a_track():
    assert spans(tracks([[face(100)]] * 12 + [[face(400)]] * 20)) == [(0, 12), (12, 32)]
    assert spans(tracks([[face(100)]] * 12 + [[face(400)]] * 20, min_iou=0.0)) == [(0, 32)], "given: trusted"
    assert spans(tracks([[face(100)]] * 30, cuts=(17,))) == [(0, 17), (17, 30)], "in the same place, another shot"


def test_a_glimpse_is_no_track():
    (segment,) = track_all([[face(100)]] * 2 + [[]] * 50)
    assert (segment.tracks, segment.glimpses) == ([], [Glimpse(0, 2, pytest.approx(0.08))])
    assert spans(tracks([[face(100)]], fps=1.0)) == [(0, 1)], "a picture is a track"


def test_segments_bound_the_memory_and_lose_no_frame():
    frames = [[face(100)]] * 47
    found = track_all(frames, max_frames=15)
    assert [(segment.start, segment.stop) for segment in found] == [(0, 15), (15, 30), (30, 45), (45, 47)]
    assert spans(tracks(frames, max_frames=15)) == [(0, 15), (15, 30), (30, 45), (45, 47)]
    late = [[]] * 28 + [[face(100)]] * 19
    assert spans(tracks(late, max_frames=30)) == [(28, 30), (30, 47)], "two frames before the border are no glimpse"


def test_given_landmarks_with_unknown_frames():
    points = np.stack([face(100 + index).landmarks for index in range(10)])
    points[4], points[0] = np.nan, np.nan
    ((track,),) = (segment.tracks for segment in segments(given_faces(points), Clock.steady(10, 25), 100, min_iou=0.0))
    assert (track.start, track.stop) == (1, 10)
    assert track.landmarks[3] == pytest.approx(face(104).landmarks, abs=1e-3)


def timed(frames: list[list[Face]], seconds: list[float], max_seconds: float = 60) -> list[Segment]:
    """The segments of frames that are shown for these seconds each."""
    times = np.concatenate([[0], np.cumsum(seconds)[:-1]])
    faces = (FrameFaces(found) for found in frames)
    return list(segments(faces, Clock(times, len(seconds) / sum(seconds)), max_seconds))


def test_a_glimpse_is_short_in_seconds_not_in_frames():
    slow = timed([[face(100)]] * 2 + [[]] * 5, [0.15] * 2 + [0.04] * 5)
    assert spans(slow[0].tracks) == [(0, 2)], "two frames of 0.3 seconds"
    (fast,) = timed([[face(100)]] * 9 + [[]] * 5, [0.01] * 9 + [1.0] * 5)
    assert (fast.tracks, fast.glimpses) == ([], [Glimpse(0, 9, pytest.approx(0.09))]), "nine frames of 0.09 seconds"


def test_a_gap_is_long_in_seconds_not_in_frames():
    shown = [[face(100)]] * 6
    (short,) = timed([*shown, *[[]] * 40, *shown], [0.1] * 6 + [0.01] * 40 + [0.1] * 6)
    assert spans(short.tracks) == [(0, 52)]
    (long,) = timed([*shown, [], [], *shown], [0.1] * 6 + [0.3] * 2 + [0.1] * 6)
    assert spans(long.tracks) == [(0, 6), (8, 14)]


def test_half_a_second_in_rounded_stamps_is_half_a_second():
    frames = [FrameFaces([] if 12 <= index < 27 else [face(100)]) for index in range(46)]
    for shift in (0, 1e-3):
        stamps = np.round(np.arange(46) / 30, 3) + shift * (np.arange(46) >= 27)
        (segment,) = segments(frames, Clock(stamps, 30.0), 60)
        assert spans(segment.tracks) == [(0, 46)]


def test_bridging_follows_the_seconds():
    """The face moves 40 pixels a second; the frame that misses it is nearer to the one before than to the next."""
    seconds = [0.1, 0.1, 0.1, 0.3, 0.1, 0.1]
    places = 100 + 40 * np.concatenate([[0], np.cumsum(seconds)[:-1]])
    frames = [[] if index == 3 else [face(place)] for index, place in enumerate(places)]
    ((track,),) = (segment.tracks for segment in timed(frames, seconds))
    assert track.landmarks[3] == pytest.approx(face(places[3]).landmarks, abs=1e-3)


def test_segments_are_as_long_as_the_seconds_say():
    found = timed([[face(100)]] * 12, [0.5] * 4 + [0.25] * 8, max_seconds=1)
    assert [(segment.start, segment.stop) for segment in found] == [(0, 2), (2, 4), (4, 8), (8, 12)]


def test_a_clock_that_hardly_moves_does_not_fill_the_memory():
    found = timed([[face(100)]] * 1000, [1e-6] * 1000, max_seconds=1)
    assert max(segment.stop - segment.start for segment in found) == 240
