"""Good videos to begin with: in every container at hand, a moving pattern or a drawn face of 24 frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from preface_hf.modeling import PrefAceConfig, PrefAceModel, PrefAceVideoProcessor
from preface_hf.synthetic import draw_clip
from tests.media import SHARED, edited, face_points, pattern, rotated, write_timed, write_video


FRAMES = 24
KINDS: dict[str, dict[str, str]] = {
    "h264.mp4": {}, "open.mp4": {"bf": "2", "g": "8"}, "mpeg4.mp4": {"codec": "mpeg4"},
    "hevc.mp4": {"codec": "libx265"},
    "h264.mov": {"bf": "2"}, "h264.mkv": {}, "ffv1.mkv": {"codec": "ffv1"}, "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"}, "mpeg4.avi": {"codec": "mpeg4"},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "h264.ts": {"g": "12"}, "mpeg2.mpg": {"codec": "mpeg2video", "g": "12", "bf": "2"}, "flv.flv": {"codec": "flv"},
    "wmv2.wmv": {"codec": "wmv2"}, "mpeg4.3gp": {"codec": "mpeg4"}, "mpeg4.nut": {"codec": "mpeg4"},
}  # fmt: skip


def write_sources(folder: Path) -> None:
    """Small good files in every container at hand: a moving pattern or a drawn face of 24 frames."""
    folder.mkdir(parents=True)
    face = draw_clip(3, "happiness", 5, FRAMES, 128, 25.0).frames
    for number, (name, how) in enumerate(KINDS.items()):
        write_video(folder / name, face if number % 2 else pattern(FRAMES), **how)  # type: ignore[arg-type]
    whole = (folder / "h264.mp4").read_bytes()
    (folder / "rotated.mp4").write_bytes(rotated(whole, 90))
    (folder / "edited.mp4").write_bytes(edited((folder / "open.mp4").read_bytes(), 1024 + 5 * 512, 400))
    write_timed(folder / "uneven.mkv", pattern(FRAMES), np.cumsum(np.random.default_rng(0).uniform(0.02, 0.2, FRAMES)))
    pictures = [Image.fromarray(frame) for frame in pattern(FRAMES)]
    for name in ("moving.gif", "moving.webp", "moving.png"):
        pictures[0].save(folder / name, save_all=True, append_images=pictures[1:], duration=40)
    for file in sorted((SHARED / "cases").glob("*.*")):
        if file.suffix != ".md":
            (folder / f"case-{file.name}").write_bytes(file.read_bytes())


def make_base(folder: Path) -> None:
    """The sources, a good clip, a tiny model, and what the commands make of the good clip alone."""
    write_sources(folder / "sources")
    write_video(folder / "good.mp4", draw_clip(1, "happiness", 1, FRAMES, 128, 25.0).frames)
    np.save(folder / "good.npy", landmarks())
    tiny = PrefAceConfig(
        image_size=32, num_frames=4, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    PrefAceModel(tiny).save_pretrained(folder / "model")
    PrefAceVideoProcessor().save_pretrained(folder / "model")


def landmarks() -> np.ndarray:
    """Points of a face in the middle, float32 `(24, 68, 2)`."""
    return np.stack([face_points((64 + t / 4, 48), 40) for t in range(FRAMES)]).astype(np.float32)
