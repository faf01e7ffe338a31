"""Small real videos for the tests of decoding, tracking and preparing: drawn here, encoded by PyAV."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


SHARED = Path(__file__).parents[1].parent / "shared"


def pattern(frames: int = 20, height: int = 96, width: int = 128) -> np.ndarray:
    """A smooth pattern that moves, with the frame number written as a bar: uint8 `(frames, height, width, 3)`."""
    y, x = np.mgrid[:height, :width]
    video = np.empty((frames, height, width, 3), np.uint8)
    for index in range(frames):
        waves = [np.sin((x + 3 * index) / 17 + channel) + np.cos(y / (13 + channel)) for channel in range(3)]
        video[index] = 90 + 30 * np.stack(waves, axis=-1)
        video[index, :8, : (index + 1) * width // frames] = 255
    return video


def write_video(
    file: Path,
    frames: np.ndarray,
    fps: int = 25,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    aspect: str = "1:1",
    **options: str,
) -> Path:
    """A file in any container and codec, with B-frames where the codec has them; `aspect` is that of its pixels."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        stream.codec_context.sample_aspect_ratio = Fraction(*map(int, aspect.split(":")))
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file


def write_timed(file: Path, frames: np.ndarray, seconds: Sequence[float] | np.ndarray, codec: str = "libx264") -> Path:
    """A file whose frames are shown at these seconds, rounded to a thousandth; its header may state 1000 a second."""
    options = {"bf": "0"} if codec == "libx264" else {}
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=1000, options=options)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for frame, second in zip(frames, seconds, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = round(1000 * second), Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return file


def rotated(data: bytes, degrees: int = 90) -> bytes:
    """An mp4 whose track header says that the picture is to be turned by 90, 180 or 270 degrees, clockwise."""
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    return displayed(data, (cos, sin, -sin, cos))


def displayed(data: bytes, turn: tuple[int, int, int, int]) -> bytes:
    """An mp4 whose track header shows the pixel at (x, y) at (a x + c y, b x + d y), of `turn` (a, b, c, d)."""
    header = data.index(b"tkhd") + 4
    matrix = header + 4 + 8 + 4 + 4 + 4 + 8 + 8
    a, b, c, d = turn
    values = np.array([a, b, 0, c, d, 0, 0, 0, 0x4000], ">i4") * 0x10000
    return data[:matrix] + values.astype(">i4").tobytes() + data[matrix + 36 :]


def edited(data: bytes, start: int, milliseconds: int) -> bytes:
    """An mp4 whose edit list shows so many milliseconds from the tick `start` of its track on."""
    entry = data.index(b"elst") + 4 + 4 + 4
    return data[:entry] + np.array([milliseconds, start], ">i4").tobytes() + data[entry + 8 :]


def remux(
    source: Path, target: Path, pts: Callable[[int], int] = int, options: dict[str, str] | None = None, first: int = 0
) -> Path:
    """The packets of a video from the `first` on in another container; `pts` maps a packet's stamp to its new one."""
    with av.open(str(source)) as read, av.open(str(target), "w", options=options or {}) as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for place, packet in enumerate(read.demux(video=0)):
            if packet.size and place >= first:
                packet.pts, packet.dts, packet.stream = pts(packet.pts), pts(packet.dts), stream
                written.mux(packet)
    return target


def face_points(center: tuple[float, float], height: float) -> np.ndarray:
    """68 points laid out like a face whose brow line is `height` pixels above the chin: float32 `(68, 2)`."""
    angles = np.linspace(np.pi, 0, 17)
    jaw = np.stack([0.5 * np.cos(angles), 0.6 * np.sin(angles) - 0.1], axis=1)
    right_brow = np.stack([np.linspace(-0.4, -0.1, 5), np.full(5, -0.5)], axis=1)
    left_brow = right_brow * [-1, 1]
    nose = [[0, y] for y in np.linspace(-0.35, 0, 4)] + [[x, 0.05] for x in np.linspace(-0.1, 0.1, 5)]
    turn = np.linspace(np.pi, -np.pi, 6, endpoint=False)
    eye = np.stack([0.08 * np.cos(turn), -0.04 * np.sin(turn)], axis=1)
    around = np.linspace(np.pi, -np.pi, 12, endpoint=False)
    lips = np.stack([0.2 * np.cos(around), 0.25 - 0.08 * np.sin(around)], axis=1)
    inner = np.stack([0.14 * np.cos(turn.repeat(2)[:8]), 0.25 - 0.04 * np.sin(turn.repeat(2)[:8])], axis=1)
    parts = [jaw, right_brow, left_brow[::-1], nose, eye + [-0.25, -0.35], eye + [0.25, -0.35], lips, inner]
    return (np.concatenate(parts) * height + center).astype(np.float32)


def given_clip(folder: Path, name: str, frames: int = 12, fps: float = 25, seed: int = 0) -> np.ndarray:
    """A clip with landmarks beside it: a bright dot at the chin, the mouth's and the eyes' corners of a moving face.

    Returns the landmarks, float32 `(frames, 68, 2)`.
    """
    from preface_hf.video.encoding import encode_video

    times = np.arange(frames)
    points = np.stack([face_points((100 + seed + 0.7 * t, 90 + 0.3 * t), 70) for t in times])
    y, x = np.mgrid[:180, :240]
    video = np.full((frames, 180, 240, 3), 40, np.uint8)
    for t in times:
        for px, py in points[t, [8, 36, 45, 48, 54]]:
            spot = 215 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 2.0**2))
            video[t] = np.maximum(video[t], 40 + spot[..., None]).astype(np.uint8)
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode_video(video, fps))
    np.save(file.with_suffix(".npy"), points)
    return points


def as_bytes(picture: np.ndarray, kind: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format=kind)
    return buffer.getvalue()
