"""From paths, arrays and tensors to clips, without torchvision."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from preface_hf import PrefAceModel, PrefAceVideoProcessor
from preface_hf.modeling import video_frames_preface, video_inputs_preface
from preface_hf.modeling import video_processing_preface as processing
from preface_hf.training.arguments import PretrainArguments
from preface_hf.video.encoding import encode_video
from tests.media import pattern, remux, rotated, write_video


ROOT = Path(__file__).parents[2]


@pytest.fixture
def processor():
    return PrefAceVideoProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, num_frames=4, sampling_rate=2
    )


@pytest.fixture
def video(tmp_path):
    """20 frames of 64x48 whose gray level is 10 times their number."""
    frames = np.stack([np.full((48, 64, 3), 10 * i, dtype=np.uint8) for i in range(20)])
    (tmp_path / "ramp.mp4").write_bytes(encode_video(frames, 25))
    return tmp_path / "ramp.mp4", frames


def levels(clips):
    return (clips[0, :, 0, 16, 16] * 255 * 0.229 + 255 * 0.485).div(10).round().tolist()


def test_a_path_goes_in(processor, video):
    clip = processor(str(video[0]), return_tensors="pt")["pixel_values_videos"]
    assert clip.shape == (1, 4, 3, 32, 32)
    assert levels(clip) == [6, 8, 10, 12]  # every second frame from the middle


def test_decord_and_pyav_give_the_same_clip(processor, video, monkeypatch):
    by_decord = processor(str(video[0]), return_tensors="pt")["pixel_values_videos"]
    monkeypatch.setattr(video_frames_preface, "decord", None)
    by_pyav = processor(str(video[0]), return_tensors="pt")["pixel_values_videos"]
    torch.testing.assert_close(by_decord, by_pyav)


@pytest.mark.skipif(video_frames_preface.decord is None, reason="decord is not installed")
def test_what_decord_misreads_is_left_to_pyav(tmp_path):
    """A turned mkv, frames hidden by an edit list, and an MPEG program stream."""
    (tmp_path / "turned.mp4").write_bytes(rotated(encode_video(pattern(8), 25)))
    whole = write_video(tmp_path / "whole.mp4", pattern(40))
    files = [
        remux(tmp_path / "turned.mp4", tmp_path / "turned.mkv"),
        remux(whole, tmp_path / "cut.mp4", pts=lambda stamp: stamp - 5120),
        write_video(tmp_path / "a.mpg", pattern(30), codec="mpeg1video"),
    ]
    for file, shape in zip(files, [(8, 128, 96, 3), (30, 96, 128, 3), (30, 96, 128, 3)], strict=True):
        frames, metadata = video_inputs_preface.read_video(str(file), None)
        assert (frames.shape, metadata.video_backend) == (shape, "pyav")
    assert video_inputs_preface.read_video(str(tmp_path / "turned.mp4"), None)[1].video_backend == "decord"


def test_arrays_tensors_and_lists_are_the_same_clip(processor, video):
    frames = video[1]
    from_array = processor(frames, return_tensors="pt")["pixel_values_videos"]
    from_tensor = processor(torch.from_numpy(frames).permute(0, 3, 1, 2), return_tensors="pt")["pixel_values_videos"]
    from_list = processor([frames, frames], return_tensors="pt")["pixel_values_videos"]
    torch.testing.assert_close(from_array, from_tensor)
    assert from_list.shape == (2, 4, 3, 32, 32)
    torch.testing.assert_close(from_list[1:], from_array)


def test_sampling_can_be_asked_for(processor, video):
    clip = processor(str(video[0]), num_frames=6, sampling_rate=3, return_tensors="pt")["pixel_values_videos"]
    assert levels(clip) == [2, 5, 8, 11, 14, 17]
    whole = processor(video[1], do_sample_frames=False, return_tensors="pt")["pixel_values_videos"]
    assert whole.shape[1] == 20


@pytest.mark.parametrize(("length", "expected"), [(1, [0, 0, 0, 0]), (3, [0, 1, 1, 2]), (5, [0, 1, 3, 4])])
def test_short_videos(processor, video, length, expected):
    assert levels(processor(video[1][:length], return_tensors="pt")["pixel_values_videos"]) == expected


def test_normalization_is_exact(processor):
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    clip = processor(pixels, return_tensors="pt")["pixel_values_videos"][0]
    mean, std = (torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    torch.testing.assert_close(clip, (pixels.float() / 255 - mean) / std, atol=1e-5, rtol=1e-5)


def test_the_middle_is_cropped_and_the_shorter_edge_resized(processor):
    wide = torch.zeros(4, 3, 32, 96, dtype=torch.uint8)
    wide[..., 32:64] = 255
    assert (processor(wide, do_normalize=False, return_tensors="pt")["pixel_values_videos"] == 1).all()
    small = torch.full((4, 3, 20, 20), 255, dtype=torch.uint8)
    kept = processor(small, do_resize=False, do_normalize=False, return_tensors="pt")["pixel_values_videos"]
    assert kept.shape[-2:] == (32, 32) and kept.sum() == 4 * 3 * 20 * 20


def test_gray_and_alpha(processor):
    gray = torch.randint(0, 256, (4, 1, 32, 32), dtype=torch.uint8)
    clip = processor(gray, input_data_format="channels_first", do_normalize=False, return_tensors="pt")
    assert torch.equal(clip["pixel_values_videos"][0, :, 0], clip["pixel_values_videos"][0, :, 2])

    alpha = np.concatenate([np.full((4, 32, 32, 3), 100), np.zeros((4, 32, 32, 1))], axis=-1).astype(np.uint8)
    clip = processor(alpha, do_normalize=False, return_tensors="pt")["pixel_values_videos"]
    assert clip.shape == (1, 4, 3, 32, 32) and (clip * 255).round().unique().tolist() == [100]


def test_each_video_has_its_own_layout(processor, video):
    frames = video[1]
    both = processor([frames, torch.from_numpy(frames).permute(0, 3, 1, 2)], return_tensors="pt")[
        "pixel_values_videos"
    ]
    assert torch.equal(both[0], both[1])


@pytest.mark.parametrize("channels", [2, 5])
def test_other_channel_counts_are_named(processor, channels):
    with pytest.raises(ValueError, match=rf"video 0 has shape \(9, 40, 50, {channels}\).* 1, 3 or 4 channels"):
        processor(np.zeros((9, 40, 50, channels), np.uint8))


def test_nan_pixels_are_named(processor):
    bad = torch.rand(4, 3, 40, 50) * 255
    bad[2, 0, 5, 5] = torch.inf
    with pytest.raises(ValueError, match="video 1 holds NaN or infinity, first in frame 2"):
        processor([torch.rand(4, 3, 40, 50), bad])


def test_a_video_without_frames_is_refused(processor):
    with pytest.raises(ValueError, match="no frames"):
        processor(np.zeros((0, 40, 50, 3), np.uint8))


def test_a_short_video_is_filled_up_and_said_so_once():
    """In a process of its own: what was said once is not said again."""
    code = """
import numpy as np
from preface_hf import PrefAceVideoProcessor
processor = PrefAceVideoProcessor(num_frames=4)
for _ in range(3):
    processor(np.zeros((3, 32, 32, 3), np.uint8))
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert run.stderr.count("a video of 3 frames is shorter than a clip of 4: its frames are repeated") == 1


def test_floats_that_are_scaled_already_are_noticed(processor, monkeypatch):
    said = []
    monkeypatch.setattr(processing.logger, "warning_once", said.append)
    processor(torch.rand(4, 3, 32, 32))
    assert len(said) == 1 and "do_rescale=False" in said[0]
    processor(torch.rand(4, 3, 32, 32), do_rescale=False)
    processor(torch.rand(4, 3, 32, 32) * 255)
    assert len(said) == 1


def test_saved_and_loaded(processor, tmp_path, video):
    processor.save_pretrained(tmp_path / "saved")
    loaded = PrefAceVideoProcessor.from_pretrained(tmp_path / "saved")
    assert loaded.to_dict() == processor.to_dict()
    torch.testing.assert_close(
        loaded(str(video[0]), return_tensors="pt")["pixel_values_videos"],
        processor(str(video[0]), return_tensors="pt")["pixel_values_videos"],
    )


def test_an_unknown_option_is_refused(processor, video):
    with pytest.raises((TypeError, ValueError), match="frame_rate"):
        processor(video[1], frame_rate=3)


@pytest.mark.parametrize("content", [b"", b"this is no video" * 100])
def test_a_file_that_is_no_video(processor, tmp_path, content):
    (tmp_path / "bad.mp4").write_bytes(content)
    with pytest.raises(ValueError, match="cannot decode .*bad.mp4"):
        processor(str(tmp_path / "bad.mp4"))


def test_a_real_clip_by_path(shared):
    config = PretrainArguments(size="vit-t").parts().model
    model = PrefAceModel(config).eval()
    processor = PrefAceVideoProcessor(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, num_frames=config.num_frames
    )
    clip = processor(str(shared / "faces/marlin_clips/cropped01.mp4"), return_tensors="pt")
    output = model(**clip)
    assert output.last_hidden_state.shape == (1, 4 * 8 * 8, 128) and output.pooler_output.shape == (1, 128)
    assert torch.isfinite(output.last_hidden_state).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_mean", 1e300), ("image_mean", [0.4, 0.4]), ("image_mean", [0.4, float("nan"), 0.4]),
        ("image_std", [1.0, 0.0, 1.0]), ("size", {"shortest_edge": 0.5}), ("size", {"height": 0, "width": 32}),
        ("crop_size", {"height": -1, "width": 32}), ("crop_size", {"height": float("-inf"), "width": 32}),
        ("do_rescale", []), ("do_normalize", "no"), ("do_resize", {"a": 1}), ("rescale_factor", float("nan")),
        ("rescale_factor", -1), ("num_frames", 0), ("num_frames", "16"), ("sampling_rate", 0.5),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(processor, tmp_path, name, value):
    """Refused where they are given, where a checkpoint holds them, and in a call."""
    processor.save_pretrained(tmp_path)
    file = tmp_path / "video_preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), name: value}), encoding="utf-8")
    for make in (
        lambda: PrefAceVideoProcessor(**{name: value}),
        lambda: PrefAceVideoProcessor.from_pretrained(tmp_path),
    ):
        with pytest.raises(ValueError, match=f"^{name}=.*of the video processor is not .*video_preprocessor_config"):
            make()
    # Of a call transformers itself refuses values of another type.
    if value in ([1.0, 0.0, 1.0], {"height": 0, "width": 32}, {"height": -1, "width": 32}):
        with pytest.raises((ValueError, TypeError), match=name):
            processor(torch.zeros(4, 3, 40, 40), **{name: value})


@pytest.mark.parametrize(
    "settings",
    [{"size": 48}, {"size": {"height": 32, "width": 40}}, {"crop_size": None, "do_center_crop": False},
     {"image_mean": (0, 0, 0)}, {"do_normalize": 0}, {"rescale_factor": 1}],
)  # fmt: skip
def test_settings_that_are_sound(settings):
    clip = PrefAceVideoProcessor(**settings)(torch.zeros(40, 3, 60, 60), return_tensors="pt")["pixel_values_videos"]
    assert clip.isfinite().all() and clip.shape[:3] == (1, 16, 3)
