"""What the processor is given: files in any form and a rate; taken, or refused in one sentence."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.video_utils import VideoMetadata

from preface_hf import PrefAceVideoProcessor
from preface_hf.modeling.video_inputs_preface import frames_at_rate, read_video
from preface_hf.video.encoding import encode_video
from tests.media import as_bytes, remux, write_video


@pytest.fixture
def processor():
    return PrefAceVideoProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, num_frames=4, sampling_rate=2
    )


@pytest.fixture
def ramp(tmp_path) -> Path:
    """24 frames of 64x48 at 24 a second, whose gray level is 10 times their number."""
    frames = np.stack([np.full((48, 64, 3), 10 * i, dtype=np.uint8) for i in range(24)])
    (tmp_path / "ramp.mp4").write_bytes(encode_video(frames, 24))
    return tmp_path / "ramp.mp4"


def levels(clip) -> list[int]:
    return (clip[:, 0, 16, 16] * 255 * 0.229 + 255 * 0.485).div(10).round().int().tolist()


def clips(processor, *args, **kwargs):
    return processor(*args, return_tensors="pt", **kwargs)["pixel_values_videos"]


def test_a_file_in_any_form_is_the_same_clip(processor, ramp):
    data, expected = ramp.read_bytes(), clips(processor, str(ramp))
    row = {"bytes": data, "path": "ramp.mp4"}
    forms = [ramp, data, bytearray(data), memoryview(data), row, {"bytes": None, "path": str(ramp)}, {"path": ramp}]
    for video in forms:
        assert torch.equal(clips(processor, video), expected), type(video)
        assert torch.equal(clips(processor, [video]), expected), type(video)
    assert torch.equal(clips(processor, forms), expected.expand(len(forms), -1, -1, -1, -1)), "a list is a batch"
    assert torch.equal(clips(processor, [[ramp], [str(ramp)]]), expected.expand(2, -1, -1, -1, -1))


def test_files_of_frames_are_one_video(processor, tmp_path):
    pictures = [np.full((48, 64, 3), 10 * i, dtype=np.uint8) for i in range(8)]
    files = [tmp_path / f"{i}.png" for i in range(8)]
    for file, picture in zip(files, pictures, strict=True):
        file.write_bytes(as_bytes(picture, "png"))
    expected = clips(processor, np.stack(pictures))
    assert levels(expected[0]) == [0, 2, 4, 6]
    for frames in (files, [str(file) for file in files], tuple(files), [file.read_bytes() for file in files]):
        assert torch.equal(clips(processor, frames), expected)
    both = clips(processor, [files, files[::-1]])
    assert torch.equal(both[0], expected[0]) and levels(both[1]) == [7, 5, 3, 1]
    Image.fromarray(pictures[0][:40]).save(files[4])
    with pytest.raises(ValueError, match="64x48 and 64x40: give pictures of one size"):
        processor(files)


def test_a_rate_is_sampled_at(processor, ramp):
    """24 frames a second: 12 a second is every second frame, 24 each, 48 each twice, and 1 a second is too long."""
    assert levels(clips(processor, ramp, fps=12)[0]) == [8, 10, 12, 14]
    assert torch.equal(clips(processor, ramp, fps=12), clips(processor, ramp, sampling_rate=2))
    assert levels(clips(processor, ramp, fps=24)[0]) == [10, 11, 12, 13]
    assert levels(clips(processor, ramp, fps=48, num_frames=6)[0]) == [10, 10, 11, 11, 12, 12]
    assert levels(clips(processor, ramp, fps=5)[0]) == [4, 9, 13, 18]
    assert levels(clips(processor, ramp, fps=1)[0]) == [0, 8, 15, 23], "too short: evenly"


def test_a_rate_follows_the_times_of_the_frames(tmp_path):
    """Frames 4 to 11 come 8 frames later; at 12.5 a second the fourth stays on screen."""
    shown = np.stack([np.full((48, 64, 3), 10 * i, dtype=np.uint8) for i in range(12)])
    even = write_video(tmp_path / "even.mkv", shown, bf="0")
    file = remux(even, tmp_path / "a.mkv", pts=lambda stamp: stamp + 320 * (stamp >= 160))
    _, metadata = read_video(file, lambda metadata: frames_at_rate(metadata, 9, 12.5))
    assert metadata.frames_indices == [1, 3, 3, 3, 3, 3, 5, 7, 9]
    assert metadata.timestamps[:2] == pytest.approx([0.04, 0.12])


def test_frames_given_as_numbers_need_their_rate(processor):
    frames = np.stack([np.full((48, 64, 3), 10 * i, dtype=np.uint8) for i in range(24)])
    with pytest.raises(ValueError, match=r"fps= needs the rate of the frames given: pass video_metadata"):
        processor(frames, fps=12)
    given = clips(processor, frames, fps=12, video_metadata=[{"fps": 24, "total_num_frames": 24}])
    assert levels(given[0]) == [10 - 2, 10, 12, 14]


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none(processor, ramp, fps):
    with pytest.raises(ValueError, match="is not a rate: give frames a second above 0"):
        processor(ramp, fps=fps)


def test_a_rate_beyond_the_end():
    metadata = VideoMetadata(5, fps=25)
    assert frames_at_rate(metadata, 5, 25).tolist() == [0, 1, 2, 3, 4]
    assert frames_at_rate(metadata, 6, 25) is None


def test_what_is_no_video_is_named(processor, ramp, tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(as_bytes(np.zeros((48, 64, 3), np.uint8), "png"))
    refused = {
        "it is not a file": tmp_path / "missing.mp4",
        "is not a file, check": "https://example.com/a.mp4",
        "cannot decode '<10 bytes>' as a video": b"no video !",
        r"a dictionary with \['array'\] is not a video": {"array": 3},
        "a list holds pictures and videos": [picture, ramp],
        "a list holds files and arrays": [ramp, np.zeros((8, 48, 64, 3), np.uint8)],
    }
    for sentence, videos in refused.items():
        with pytest.raises(ValueError, match=sentence):
            processor(videos)


def test_the_code_that_travels_reads_files_without_the_package(processor, ramp, tmp_path):
    """A saved processor, opened where this package is not installed, gives the same clip."""
    processor.save_pretrained(tmp_path / "saved")
    expected = clips(processor, ramp)
    torch.save(expected, tmp_path / "expected.pt")
    code = f"""
import sys, torch
sys.modules["preface_hf"] = None
from transformers.models.auto.video_processing_auto import AutoVideoProcessor
processor = AutoVideoProcessor.from_pretrained(r"{tmp_path / "saved"}", trust_remote_code=True)
found = processor(r"{ramp}", return_tensors="pt")["pixel_values_videos"]
assert torch.equal(found, torch.load(r"{tmp_path / "expected.pt"}"))
"""
    environment = {"HF_MODULES_CACHE": str(tmp_path / "modules"), "PATH": "", "HF_HUB_OFFLINE": "1"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert run.returncode == 0, run.stderr
