from __future__ import annotations

from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from preface_hf.modeling import video_frames_preface
from preface_hf.modeling.video_streams_preface import open_container
from preface_hf.video import decoding
from preface_hf.video.decoding import DecodingError, open_video
from preface_hf.video.encoding import encode_video
from preface_hf.video.readers import find_torchcodec
from tests.media import pattern, remux, rotated, write_video


OTHERS = {"decord": decoding.decord, "torchcodec": find_torchcodec()}
BACKENDS = ["pyav", *(name for name, library in OTHERS.items() if library is not None)]
CONTAINERS = [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx"), ("a.mov", "mpeg4")]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
def test_every_frame_in_order_and_at_random(tmp_path: Path, backend, name, codec):
    shown = pattern(30)
    file = write_video(tmp_path / name, shown, codec=codec)
    video = open_video(file, backend)
    frames = np.stack(list(video))
    assert video.num_frames == len(frames) == 30
    assert video.fps == pytest.approx(25)
    assert frames.dtype == np.uint8
    bars = (frames[:, 2, :, 0] > 200).mean(axis=1) * 30
    assert np.abs(bars - np.arange(1, 31)).max() < 1, "the bar tells the frame"
    order = [29, 3, 3, 17, 0]
    assert (video.frames(order) == frames[order]).all()
    assert (np.stack(list(video)) == frames).all(), "a video can be read again"


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
def test_backends_agree_frame_by_frame(tmp_path: Path, name, codec, backend):
    if backend not in BACKENDS:
        pytest.skip(f"{backend} does not work here")
    file = write_video(tmp_path / name, pattern(30), codec=codec)
    first, second = open_video(file, backend), open_video(file, "pyav")
    assert first.num_frames == second.num_frames
    assert first.fps == pytest.approx(second.fps, rel=1e-3)
    assert (first.frames(range(30)) == np.stack(list(second))).all()
    assert (first.frames([20, 5]) == second.frames([20, 5])).all()


@pytest.mark.parametrize("name", ["a.mpg", "a.ts"])
def test_mpeg_streams_keep_their_first_frames(tmp_path: Path, name):
    file = write_video(tmp_path / name, pattern(30), codec="mpeg1video" if name == "a.mpg" else "libx264")
    video = open_video(file)
    frames = np.stack(list(video))
    bars = (frames[:, 2, :, 0] > 200).mean(axis=1) * 30
    assert np.abs(bars - np.arange(1, 31)).max() < 1.2
    assert (video.frames([12, 2]) == frames[[12, 2]]).all()
    if decoding.decord is not None:
        with pytest.raises(DecodingError, match="use PyAV"):
            open_video(file, "decord")


def test_frames_hidden_by_an_edit_list_do_not_count(tmp_path: Path):
    whole = write_video(tmp_path / "whole.mp4", pattern(40))
    ticks = round(1 / float(av.open(str(whole)).streams.video[0].time_base)) // 25
    cut = remux(whole, tmp_path / "cut.mp4", pts=lambda stamp: int(stamp - 10 * ticks))
    video = open_video(cut)
    assert video.num_frames == 30
    assert (np.stack(list(video)) == np.stack(list(open_video(whole)))[10:]).all()
    assert (video.frames([25, 4]) == open_video(whole).frames([35, 14])).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_honored(backend, degrees):
    shown = pattern(4, height=64, width=96)
    frames = open_video(rotated(encode_video(shown, 25), degrees), backend).frames([0])
    upright = np.rot90(shown[0], -degrees // 90)
    assert frames.shape == (1, *upright.shape)
    assert np.abs(frames[0].astype(int) - upright).mean() < 6


def test_a_turned_mkv_is_left_to_pyav(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(rotated(encode_video(pattern(4, height=64, width=96), 25)))
    file = remux(tmp_path / "a.mp4", tmp_path / "a.mkv")
    for video in (open_video(file), open_video(file.read_bytes())):
        assert next(iter(video)).shape == (96, 64, 3) and video.frames([3]).shape == (1, 96, 64, 3)
    if decoding.decord is not None:
        with pytest.raises(DecodingError, match="use PyAV"):
            open_video(file, "decord")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_variable_frame_rate_keeps_every_frame(tmp_path: Path, name, backend):
    whole = write_video(tmp_path / "whole.mp4", pattern(30), bf="0")
    file = remux(whole, tmp_path / name, pts=lambda stamp: stamp + stamp**2 // 8000)
    video = open_video(file, backend)
    assert video.num_frames == 30
    frames = np.stack(list(video))
    assert (frames == np.stack(list(open_video(whole)))).all()
    assert (video.frames([29, 3, 3, 17]) == frames[[29, 3, 3, 17]]).all()


@pytest.mark.parametrize("count", [1, 2, 25])
def test_encoding_gives_back_the_frames(count):
    shown = pattern(count, height=50, width=66)
    data = encode_video(shown, 29.97)
    for _ in range(5):
        assert data == encode_video(iter(shown), 29.97), "the same frames give the same bytes"
    for backend in BACKENDS:
        video = open_video(data, backend)
        assert (video.num_frames, round(video.fps, 2)) == (count, 29.97)
        assert np.abs(np.stack(list(video)).astype(int) - shown).mean() < 6


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (2, 7, 8, 3), (2, 8, 8, 4)])
def test_encoding_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="pass"):
        encode_video(np.zeros(shape, np.uint8), 25)


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "png"), ("P", "png"), ("RGBA", "webp"), ("CMYK", "jpeg"), ("1", "bmp")]
)
def test_images_of_any_mode_are_videos_of_one_frame(tmp_path: Path, mode, kind):
    file = tmp_path / f"a.{kind}"
    Image.fromarray(pattern(1)[0]).convert(mode).save(file)
    for source in (file, file.read_bytes()):
        video = open_video(source)
        assert (video.num_frames, video.fps) == (1, 1.0)
        assert next(iter(video)).shape == (96, 128, 3)
        assert video.frames([0, 0]).shape == (2, 96, 128, 3)


def test_exif_orientation_is_applied(tmp_path: Path):
    picture = Image.fromarray(pattern(1)[0])
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert next(iter(open_video(tmp_path / "a.jpg"))).shape == (128, 96, 3)


def test_av1_falls_back_to_pyav(tmp_path: Path):
    codec = next((name for name in ("libsvtav1", "libaom-av1") if name in av.codecs_available), None)
    if codec is None:
        pytest.skip("this PyAV cannot encode AV1")
    file = write_video(tmp_path / "a.mp4", pattern(6), codec=codec)
    assert len(list(open_video(file))) == 6


def _broken(folder: Path) -> dict[str, Path]:
    data = encode_video(pattern(60), 25)
    audio = folder / "audio.mp4"
    with av.open(str(audio), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        sound.sample_rate = 16000
        container.mux([*stream.encode(sound), *stream.encode()])
    contents = {
        "empty.mp4": b"",
        "text.mp4": b"this is no video\n" * 50,
        "cut.mp4": data[: len(data) // 2],
        "text.jpg": b"no picture",
        "cut.png": b"\x89PNG\r\n\x1a\n" + bytes(100),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {"missing": folder / "missing.mp4", "folder": folder, "audio": audio} | {n: folder / n for n in contents}


@pytest.mark.parametrize("backend", [*BACKENDS, None])
def test_broken_files_say_which_and_what_to_do(tmp_path: Path, backend):
    for name, file in _broken(tmp_path).items():
        with pytest.raises(DecodingError) as failure:
            list(open_video(file, backend))
        assert str(file) in str(failure.value) and "\n" not in str(failure.value), name


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_cut_after_its_header_is_damaged(tmp_path: Path, backend):
    file = tmp_path / "cut.mp4"
    with av.open(str(file), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for frame in pattern(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    with pytest.raises(DecodingError, match=r"cut\.mp4"):
        list(open_video(file, backend))


def test_without_decord_pyav_does_all(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(decoding, "decord", None)
    file = write_video(tmp_path / "a.mp4", pattern(5))
    assert len(list(open_video(file))) == 5
    with pytest.raises(ValueError, match="pip install decord"):
        open_video(file, "decord")


def test_wrong_indices_and_backends():
    data = encode_video(pattern(3), 25)
    for backend in BACKENDS:
        with pytest.raises(IndexError, match=r"0\.\.2"):
            open_video(data, backend).frames([0, 3])
    with pytest.raises(ValueError, match="choose decord"):
        open_video(data, "opencv")  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [16, 24, 48, 72, 96])
def test_small_sizes_that_decord_misreads(side: int):
    frames = np.random.default_rng(side).integers(0, 255, (20, side, side, 3), dtype=np.uint8)
    encoded = encode_video(frames, 25)
    one, other = open_video(encoded), open_video(encoded, "pyav")
    assert np.array_equal(one.frames([13, 2, 2, 19]), other.frames([13, 2, 2, 19]))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
def test_backends_agree_on_real_videos(shared: Path):
    """The first 100 frames of every real video, at random by each backend that takes it, beside PyAV in order."""
    files = [file for file in sorted((shared / "faces").rglob("*")) if file.suffix in decoding.VIDEO_SUFFIXES]
    for file in files:
        count = min(100, open_video(file, "pyav").num_frames)
        frames = np.stack(list(islice(open_video(file, "pyav"), count)))
        for backend in (*BACKENDS, None):
            try:
                video = open_video(file, backend)
            except DecodingError as refusal:
                assert backend == "decord" and "use PyAV" in str(refusal)
                continue
            assert (video.frames(range(count)) == frames).all(), (file, backend)


@pytest.mark.parametrize("frames", [1, 5])
def test_a_first_reading_opens_the_file_once(tmp_path: Path, monkeypatch, frames):
    """A still in a prepared set is one frame: opening it again takes a third of the time of reading it."""
    opened = []
    monkeypatch.setattr(
        video_frames_preface, "open_container", lambda source: opened.append(source) or open_container(source)
    )
    data = write_video(tmp_path / "a.mp4", pattern(frames)).read_bytes()
    shown = open_video(data, "pyav").frames([frames - 1])
    assert len(opened) == 1
    assert (shown[0] == list(open_video(data, "pyav"))[-1]).all()
