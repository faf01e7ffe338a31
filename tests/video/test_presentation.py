"""A video is shown as a player shows it: square pixels, the right stream, upright, in ordinary colors, one size."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from preface_hf.modeling.video_inputs_preface import read_video
from preface_hf.modeling.video_pixels_preface import TO_BT709, WHITE
from preface_hf.video.decoding import DecodingError, frame_size, open_video
from tests.media import displayed, pattern, remux, write_video
from tests.video.test_decoding import BACKENDS


TURNS = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)]


def every_reading(file: Path) -> dict[str, np.ndarray]:
    """The frames of a file by each reader that takes it, in order and at random, and by the processor's reading."""
    found = {"processor": read_video(file, None)[0], "processor, bytes": read_video(file.read_bytes(), None)[0]}
    for backend in (*BACKENDS, None):
        try:
            video = open_video(file, backend)
        except DecodingError as refusal:
            assert backend not in ("pyav", None) and "use PyAV" in str(refusal)
            continue
        found[f"{backend} in order"] = np.stack(list(video))
        found[f"{backend} at random"] = video.frames(range(video.num_frames))
    return found


def assert_shown(file: Path, expected: np.ndarray, tolerance: float = 0) -> None:
    """Every reading of the file gives the frames expected, and its header the same size."""
    for reader, frames in every_reading(file).items():
        assert frames.shape == expected.shape, reader
        assert np.abs(frames.astype(int) - expected).mean() <= tolerance, reader
    assert frame_size(file) == expected.shape[1:3]


def stretched(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    pictures = [av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames]
    return np.stack([picture.to_ndarray(format="rgb24", height=height, width=width) for picture in pictures])


@pytest.mark.parametrize(("aspect", "size"), [("2:1", (96, 256)), ("1:2", (192, 128)), ("10:11", (106, 128))])
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mov", "mpeg4"), ("a.avi", "mpeg4"), ("a.ts", "libx264")],
)
def test_pixels_are_square(tmp_path: Path, name, codec, aspect, size):
    file = write_video(tmp_path / name, pattern(4), codec=codec, aspect=aspect)
    assert_shown(file, stretched(pattern(4), *size), tolerance=6)


def test_the_aspect_of_mpeg_2_is_that_of_the_picture(tmp_path: Path):
    """It states 16:9 for the whole picture: 96x120 whose pixels are near 2:1 is 96x214."""
    file = write_video(tmp_path / "a.mpg", pattern(4, width=120), codec="mpeg2video", aspect="2:1")
    height, width = next(iter(open_video(file))).shape[:2]
    assert height == 96 and 200 < width < 220 and frame_size(file) == (height, width)


@pytest.mark.parametrize("aspect", ["500:1", "1:500", "1001:1000"])
def test_an_aspect_that_cannot_be_is_not_believed(tmp_path: Path, aspect):
    file = write_video(tmp_path / "a.mp4", pattern(2), aspect=aspect)
    assert frame_size(file) == next(iter(open_video(file))).shape[:2] == (96, 128)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_all_8_orientations(tmp_path: Path, turn, name):
    plain = write_video(tmp_path / "plain.mp4", pattern(3, height=64, width=98))
    (tmp_path / "turned.mp4").write_bytes(displayed(plain.read_bytes(), turn))
    file = remux(tmp_path / "turned.mp4", tmp_path / name)
    stored = np.stack(list(open_video(plain, "pyav")))
    a, b, c, d = turn
    y, x = np.mgrid[:64, :98]
    to_x, to_y = a * x + c * y, b * x + d * y
    shown = np.zeros((3, 64, 98, 3) if a else (3, 98, 64, 3), np.uint8)
    shown[:, to_y - to_y.min(), to_x - to_x.min()] = stored
    assert_shown(file, shown)


def test_turned_and_stretched(tmp_path: Path):
    plain = write_video(tmp_path / "plain.mp4", pattern(3), aspect="2:1")
    stored = np.stack(list(open_video(plain, "pyav")))
    (tmp_path / "turned.mp4").write_bytes(displayed(plain.read_bytes(), (0, 1, -1, 0)))
    assert_shown(tmp_path / "turned.mp4", np.rot90(stored, -1, axes=(1, 2)))


def two_streams(file: Path, sizes: list[tuple[int, int]], default: int | None, lengths: tuple[int, int]) -> Path:
    """Two videos in a file; the one at place `default` is marked so."""
    with av.open(str(file), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in sizes]
        for place, (stream, (height, width)) in enumerate(zip(streams, sizes, strict=True)):
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            if default is not None:
                stream.disposition = av.stream.Disposition.default if place == default else 0
        for stream, (height, width), count in zip(streams, sizes, lengths, strict=True):
            for frame in pattern(count, height, width):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    return file


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
@pytest.mark.parametrize("default", [0, 1])
def test_the_default_stream_is_shown(tmp_path: Path, name, default):
    sizes = [(48, 64), (96, 128)]
    file = two_streams(tmp_path / name, sizes, default, (5, 12))
    height, width = sizes[default]
    assert_shown(file, pattern((5, 12)[default], height, width), tolerance=6)


def test_without_a_default_the_largest_stream_is_shown(tmp_path: Path):
    file = two_streams(tmp_path / "a.ts", [(48, 64), (96, 128)], None, (5, 12))
    assert_shown(file, pattern(12), tolerance=6)


def with_cover(file: Path, cover_first: bool) -> Path:
    """An mp4 with an attached picture, larger than the video, before or behind it in the order of streams."""
    with av.open(str(file), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.height = cover.width = 256
        cover.pix_fmt, cover.disposition = "yuvj420p", av.stream.Disposition.attached_pic
        video = container.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = 96, 128, "yuv420p"
        container.mux([*cover.encode(av.VideoFrame.from_ndarray(pattern(1, 256, 256)[0])), *cover.encode()])
        for frame in pattern(6):
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(video.encode())
    if cover_first:  # FFmpeg orders streams by their boxes: `udta` holds the cover, `trak` the video
        data = file.read_bytes()
        track, cover_box = data.index(b"trak") - 4, data.index(b"udta") - 4
        end = cover_box + int.from_bytes(data[cover_box : cover_box + 4], "big")
        file.write_bytes(data[:track] + data[cover_box:end] + data[track:cover_box] + data[end:])
    return file


@pytest.mark.parametrize("cover_first", [True, False])
def test_a_cover_is_not_the_video(tmp_path: Path, cover_first):
    file = with_cover(tmp_path / "a.mp4", cover_first)
    with av.open(str(file)) as container:
        assert container.streams.video[0].width == (256 if cover_first else 128)
    assert_shown(file, pattern(6), tolerance=6)


def test_a_song_with_a_cover_holds_no_video(tmp_path: Path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.height = cover.width = 64
        cover.pix_fmt, cover.disposition = "yuvj420p", av.stream.Disposition.attached_pic
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        quiet.sample_rate = 16000
        container.mux([*cover.encode(av.VideoFrame.from_ndarray(pattern(1, 64, 64)[0])), *cover.encode()])
        container.mux([*sound.encode(quiet), *sound.encode()])
    with pytest.raises(DecodingError, match="it holds no pictures but a cover"):
        open_video(tmp_path / "a.mp4")


def test_a_codec_that_nobody_knows(tmp_path: Path):
    data = write_video(tmp_path / "known.mp4", pattern(3)).read_bytes()
    (tmp_path / "a.mp4").write_bytes(data.replace(b"avc1", b"zzz1"))
    with pytest.raises(DecodingError, match="no codec for its pictures is known"):
        open_video(tmp_path / "a.mp4")
    assert frame_size(tmp_path / "a.mp4") == (0, 0)


def hdr(file: Path, frames: np.ndarray, pixels: str = "yuv420p10le") -> Path:
    """Ordinary frames as an HDR film (PQ) of the same looks: white paper at 203 candela per square meter."""
    light = np.maximum((frames / 255) ** 2.4 @ np.linalg.inv(TO_BT709).T * WHITE, 0)
    power = (light / 10_000) ** 0.1593017578125
    codes = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, 16, 9
        for colors in codes:
            frame = av.VideoFrame.from_ndarray((colors * 65535).round().astype(np.uint16), format="rgb48le")
            container.mux(stream.encode(frame.reformat(format=pixels, dst_colorspace=9)))
        container.mux(stream.encode())
    return file


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_hdr_is_brought_to_ordinary_colors(tmp_path: Path, name):
    shown = pattern(4) // 2 + 20  # below the brightness from which it is compressed
    file = hdr(tmp_path / name, shown)
    assert_shown(file, shown, tolerance=5)
    assert open_video(file).notes == ["its colors are HDR (PQ): tone-mapped to ordinary ones"]


def test_a_header_that_says_hdr_of_ordinary_colors_is_not_believed(tmp_path: Path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        stream.codec_context.color_trc = 16
        for frame in pattern(3) // 3 + 170:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    assert_shown(tmp_path / "a.mp4", pattern(3) // 3 + 170, tolerance=6)
    (note,) = open_video(tmp_path / "a.mp4").notes
    assert "says HDR (PQ), but" in note


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuvj420p", "yuv444p", "yuv422p"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_other_formats_of_pixels(tmp_path: Path, pixels, name):
    file = write_video(tmp_path / name, pattern(3), pixels=pixels)
    assert_shown(file, np.stack(list(open_video(file, "pyav"))))
    assert np.abs(next(iter(open_video(file))).astype(int) - pattern(3)[0]).mean() < 6


@pytest.mark.parametrize("size", [(95, 127), (97, 131), (63, 200)])
@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libvpx"), ("a.avi", "mpeg4"), ("a.mkv", "mpeg4")])
def test_odd_sizes(tmp_path: Path, name, codec, size):
    file = write_video(tmp_path / name, pattern(3, *size), codec=codec)
    assert_shown(file, np.stack(list(open_video(file, "pyav"))))


@pytest.mark.parametrize("size", [(48, 64), (192, 256), (128, 96)])
def test_a_size_that_changes_on_the_way(tmp_path: Path, size):
    """The later frames are scaled into the first size, with black beside them where their aspect differs."""
    parts = [
        write_video(tmp_path / "0.ts", pattern(6)),
        write_video(tmp_path / "1.ts", np.full((6, *size, 3), 200, np.uint8)),
    ]
    file = tmp_path / "a.ts"
    file.write_bytes(b"".join(part.read_bytes() for part in parts))
    video = open_video(file)
    frames = np.stack(list(video))
    assert frames.shape == (12, 96, 128, 3) and (video.frames([11, 0]) == frames[[11, 0]]).all()
    assert video.notes == ["its frames change their size: they are scaled to the size of the first"]
    assert video.times == pytest.approx(np.arange(12) / 25) and video.fps == 25
    assert abs(int(frames[11, 48, 64, 0]) - 200) < 4
    assert (frames[11, 48, 10, 0] < 4) == (size == (128, 96)), "black beside a portrait"
    assert (read_video(file, None)[0] == frames).all()
