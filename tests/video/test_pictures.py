"""Pictures of any depth, and animations as the videos they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preface_hf.modeling.video_inputs_preface import read_video
from preface_hf.modeling.video_pictures_preface import to_8_bits
from preface_hf.recipes.base import kind_of
from preface_hf.video.decoding import IMAGE_SUFFIXES, VIDEO_SUFFIXES, DecodingError, frame_size, open_video
from tests.media import pattern, write_video


GRAY = pattern(1)[0].mean(axis=-1).astype(np.uint8)  # (96, 128)


def assert_gray(file: Path, tolerance: float = 1) -> None:
    for source in (file, file.read_bytes()):
        frame = next(iter(open_video(source)))
        assert frame.shape == (96, 128, 3) and np.abs(frame.astype(int) - GRAY[..., None]).max() <= tolerance
        assert (read_video(source, None)[0][0] == frame).all()


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_16_bits(tmp_path: Path, kind):
    Image.fromarray(GRAY.astype(np.uint16) * 257).save(tmp_path / f"a.{kind}")
    assert_gray(tmp_path / f"a.{kind}")


def test_16_bits_of_a_dark_picture_stay_dark(tmp_path: Path):
    Image.fromarray(GRAY.astype(np.uint16)).save(tmp_path / "a.png")
    assert next(iter(open_video(tmp_path / "a.png"))).max() == 1


def test_a_pgm_of_16_bits(tmp_path: Path):
    (tmp_path / "a.pgm").write_bytes(b"P5\n128 96\n65535\n" + (GRAY.astype(">u2") * 257).tobytes())
    assert_gray(tmp_path / "a.pgm")


@pytest.mark.parametrize("white", [255, 65535])
def test_whole_numbers(tmp_path: Path, white):
    Image.fromarray(GRAY.astype(np.int32) * (white // 255)).save(tmp_path / "a.tiff")
    assert_gray(tmp_path / "a.tiff")


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floats(tmp_path: Path, white):
    Image.fromarray(GRAY.astype(np.float32) * np.float32(white / 255)).save(tmp_path / "a.tiff")
    assert_gray(tmp_path / "a.tiff")


def test_other_ranges_are_stretched():
    assert to_8_bits(np.array([-10.0, 0.0, 10.0])).tolist() == [0, 128, 255]
    assert to_8_bits(np.array([np.nan, 0.5, 1.0])).tolist() == [0, 128, 255]
    assert to_8_bits(np.full(3, 1e9)).tolist() == [0, 0, 0]


def animation(file: Path, frames: np.ndarray, milliseconds: list[int]) -> Path:
    pictures = [Image.fromarray(frame) for frame in frames]
    lossless = {"lossless": True} if file.suffix == ".webp" else {}
    options = {"save_all": True, "append_images": pictures[1:], "duration": milliseconds, "loop": 0, **lossless}
    pictures[0].save(file, **options, format="PNG" if file.suffix == ".apng" else None)
    return file


@pytest.mark.parametrize("name", ["a.gif", "a.apng", "a.png", "a.webp", "A.GIF"])
def test_an_animation_has_its_own_times(tmp_path: Path, name):
    shown = pattern(12)
    file = animation(tmp_path / name, shown, [40, 120] * 6)
    for source in (file, file.read_bytes()):
        video = open_video(source)
        assert video.num_frames == 12 and video.fps == pytest.approx(12.5)
        assert video.times == pytest.approx(np.cumsum([0, 0.04] + [0.12, 0.04] * 5))
        frames = np.stack(list(video))
        assert np.abs(frames.astype(int) - shown).mean() < 12
        assert (video.frames([9, 2, 2]) == frames[[9, 2, 2]]).all()
        assert (read_video(source, None)[0] == frames).all()
    assert frame_size(file) == (96, 128)


def test_an_animation_without_durations_is_shown_as_browsers_do(tmp_path: Path):
    file = animation(tmp_path / "a.gif", pattern(3), [0, 0, 0])
    assert open_video(file).times == pytest.approx([0, 0.1, 0.2])


def test_the_picture_for_those_who_show_no_animation_is_left_out(tmp_path: Path):
    pictures = [Image.fromarray(frame) for frame in (*pattern(1) // 4, *pattern(3))]
    pictures[0].save(
        tmp_path / "a.png", save_all=True, append_images=pictures[1:], default_image=True, duration=[50, 60, 70]
    )
    video = open_video(tmp_path / "a.png")
    assert video.num_frames == 3 and (np.stack(list(video)) == pattern(3)).all()


def test_an_animation_cut_off_is_damaged(tmp_path: Path):
    file = animation(tmp_path / "a.webp", pattern(12), [40] * 12)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DecodingError, match=r"a\.webp"):
        list(open_video(file))


def test_pages_are_no_animation(tmp_path: Path):
    pages = [Image.fromarray(frame) for frame in pattern(3)]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    video = open_video(tmp_path / "a.tiff")
    assert video.num_frames == 1 and video.notes == ["it has 3 pages: the first is read"]


@pytest.mark.parametrize("name", ["a.jfif", "a.tif", "a.ppm", "a.pgm", "a.tga", "a.JPG", "a.bmp"])
def test_endings_of_pictures(tmp_path: Path, name):
    Image.fromarray(GRAY).save(tmp_path / name, format="JPEG" if name == "a.jfif" else None)
    assert kind_of(name) == "image"
    video = open_video(tmp_path / name)
    assert video.num_frames == 1 and np.abs(next(iter(video))[..., 0].astype(int) - GRAY).mean() < 6


def test_a_turned_picture_states_its_size_upright(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pattern(1)[0]).save(tmp_path / "a.jpg", exif=exif)
    assert frame_size(tmp_path / "a.jpg") == next(iter(open_video(tmp_path / "a.jpg"))).shape[:2] == (128, 96)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mts", "libx264"),
        ("a.m2ts", "libx264"),
        ("a.ogv", "libvpx"),
        ("a.vob", "mpeg2video"),
        ("a.asf", "msmpeg4"),
        ("a.3g2", "mpeg4"),
        ("a.mxf", "mpeg2video"),
        ("a.QT", "mpeg4"),
        ("a.f4v", "libx264"),
        ("a.m2v", "mpeg2video"),
        ("a.nut", "mpeg4"),
        ("a.y4m", "rawvideo"),
        ("a.mjpeg", "mjpeg"),
        ("A.MP4", "libx264"),
    ],
)
def test_endings_of_videos(tmp_path: Path, name, codec):
    written = {"a.QT": "a.mov", "a.ogv": "a.webm"}.get(name, name.lower())
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    codec = "wrapped_avframe" if name == "a.y4m" else codec
    write_video(tmp_path / written, pattern(6), codec=codec, pixels=pixels).rename(tmp_path / name)
    assert kind_of(name) == "video"
    video = open_video(tmp_path / name)
    assert video.num_frames == len(list(video)) == 6 and video.fps == pytest.approx(25)
    assert (read_video(tmp_path / name, None)[0] == np.stack(list(video))).all()


def test_endings_are_of_one_kind():
    assert not IMAGE_SUFFIXES & VIDEO_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES | VIDEO_SUFFIXES)
