"""What a header counts is not believed: no file ends the process, and all readers see the frames that PyAV finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from preface_hf.modeling.video_frames_preface import decord
from preface_hf.modeling.video_inputs_preface import read_video
from preface_hf.video.decoding import DecodingError, open_video
from tests.media import pattern, remux, write_video
from tests.video.test_presentation import every_reading


HUGE = (0x7FFFFFFF, 0xFFFFFFFF, 0x10000000)
# A reader that takes a count for granted ends its process: each file is read in a child, which says what it found.
CHILD = """
import sys
import numpy as np
from preface_hf.modeling.video_inputs_preface import read_video
from preface_hf.video.decoding import open_video

def found(read):
    try:
        return len(read())
    except ValueError:
        return "refused"

for file in sys.argv[1:]:
    print(file, flush=True)
    video = lambda backend: open_video(file, backend).frames(range(open_video(file, "pyav").num_frames))
    ways = [lambda: list(open_video(file)), lambda: video(None), lambda: video("pyav")]
    ways.append(lambda: read_video(file, None)[0])
    print(*map(found, ways), flush=True)
    if sys.platform == "linux" and found(lambda: video("decord")) not in (found(ways[0]), "refused"):
        print("decord differs", flush=True)
"""


def read_in_a_child(files: list[Path]) -> dict[str, set[str]]:
    """What each way of reading found of each file: a number of frames, or `refused`."""
    run = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, files)], capture_output=True, text=True, timeout=300,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    lines = run.stdout.splitlines()
    assert run.returncode == 0, f"exit code {run.returncode} at {lines[-1]}"
    assert len(lines) == 2 * len(files), lines
    return {Path(name).name: set(line.split()) for name, line in zip(lines[::2], lines[1::2], strict=True)}


def patched(data: bytes, box: str, offset: int, value: int, order: str = "big") -> bytes:
    """The file with 4 bytes behind the last `box` set to `value`."""
    at = data.rindex(box.encode()) + 4 + offset
    return data[:at] + value.to_bytes(4, order) + data[at + 4 :]  # type: ignore[arg-type]


def damaged_mp4s(folder: Path) -> list[Path]:
    """Files whose counts and offsets are huge, one after the other."""
    whole = write_video(folder / "whole.mp4", pattern(16), bf="2", g="8")
    frag = remux(whole, folder / "frag.mp4", options={"movflags": "frag_keyframe+empty_moov"}).read_bytes()
    files, data = [], whole.read_bytes()
    places = {"stts": (4, 8), "ctts": (4, 8), "stsz": (4, 8), "stco": (4,), "stsc": (4, 12), "mdhd": (16,)}
    for box, offsets in places.items():
        for offset in offsets:
            for value in HUGE:
                files.append(folder / f"{box}{offset}-{value:x}.mp4")
                files[-1].write_bytes(patched(data, box, offset, value))
    # The time at which a fragment begins, in two words.
    for value in HUGE:
        files.append(folder / f"tfdt-{value:x}.mp4")
        files[-1].write_bytes(patched(frag, "tfdt", 4, value))
    return files


def damaged_avis(folder: Path, codec: str) -> list[Path]:
    """Files whose counts and indexes are huge, one after the other."""
    data = write_video(folder / "whole.avi", pattern(16), codec=codec).read_bytes()
    files, index = [], data.rindex(b"idx1")
    for value in HUGE:
        length = patched(data, "strh", 4 + 32, value, "little")
        contents = {
            "dwLength": length, "both": patched(length, "avih", 4 + 16, value, "little"),
            "dwTotalFrames": patched(data, "avih", 4 + 16, value, "little"),
            "offset": patched(data, "idx1", 4 + 8, value, "little"),
            "size": patched(data, "idx1", 4 + 12, value, "little"),
            "idx1": patched(data, "idx1", 0, value, "little"),
            "cut": data[: index + 8 + 5 * 16], "none": data[:index],
        }  # fmt: skip
        for name, content in contents.items():
            files.append(folder / f"{codec}-{name}-{value:x}.avi")
            files[-1].write_bytes(content)
    return files


def test_counts_and_indexes_are_not_believed(tmp_path: Path):
    """All in one child, for starting one takes longer than reading."""
    codecs = ("mpeg4", "libx264")
    found = read_in_a_child([*damaged_mp4s(tmp_path), *(file for c in codecs for file in damaged_avis(tmp_path, c))])
    assert [name for name, outcomes in found.items() if len(outcomes) > 1] == []
    for value in HUGE:
        assert found[f"stts8-{value:x}.mp4"] == {"16"}
        for codec in codecs:
            assert found[f"{codec}-dwLength-{value:x}.avi"] == found[f"{codec}-both-{value:x}.avi"] == {"16"}


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mkv", "libx264"), ("a.webm", "libvpx"), ("b.webm", "libvpx-vp9"), ("a.ts", "libx264"),
        ("a.mpg", "mpeg2video"), ("a.avi", "mpeg4"), ("a.mp4", "libx264"), ("a.flv", "flv"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("share", [1, 2 / 3])
def test_files_put_one_behind_the_other(tmp_path: Path, name, codec, share):
    """Every reading gives the frames that PyAV decodes, also where the second one is cut off."""
    part = write_video(tmp_path / name, pattern(16, 144, 192), codec=codec).read_bytes()
    file = tmp_path / f"two{name}"
    file.write_bytes(part + part[: int(len(part) * share)])
    try:
        expected = np.stack(list(open_video(file, "pyav")))
    except DecodingError:
        for read in (lambda: list(open_video(file)), lambda: read_video(file, None)):
            with pytest.raises(ValueError, match="twoa"):
                read()
        return
    assert len(expected) >= 16
    for reader, frames in every_reading(file).items():
        assert frames.shape == expected.shape and np.abs(frames.astype(int) - expected).max() <= 1, reader


@pytest.mark.skipif(decord is None, reason="decord is not installed")
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.avi", "mjpeg"), ("a.webm", "libvpx")],
)
def test_what_one_reading_refuses_of_a_damaged_file_none_takes(tmp_path: Path, name, codec):
    """Bytes in the middle are noise: frames at random and the processor say so where reading in order does."""
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    data = write_video(tmp_path / name, pattern(24, 144, 192), codec=codec, pixels=pixels, g="8").read_bytes()
    refused = 0
    for seed in range(12):
        generator = np.random.default_rng(seed)
        at, broken = int(generator.integers(len(data) // 4, len(data) * 3 // 4)), bytearray(data)
        broken[at : at + 40] = generator.bytes(40)
        try:
            expected = np.stack(list(open_video(bytes(broken), "pyav")))
        except DecodingError:
            refused += 1
            with pytest.raises(DecodingError, match="bytes>"):
                video = open_video(bytes(broken))
                video.frames(range(video.num_frames))
            with pytest.raises(ValueError, match="bytes>"):
                read_video(bytes(broken), None)
            continue
        for frames in (open_video(bytes(broken)).frames(range(len(expected))), read_video(bytes(broken), None)[0]):
            assert np.array_equal(frames, expected), seed
    assert refused or name != "a.mp4"
