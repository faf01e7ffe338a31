"""What a plain loop of PyAV, or of Pillow for pictures, decodes of a file: the readers are compared with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageSequence

from preface_hf.modeling.video_pictures_preface import is_picture
from preface_hf.modeling.video_streams_preface import open_container


ALL, FLIP = slice(None), slice(None, None, -1)


@dataclass
class Frame:
    """A decoded frame: its size, whether its colors are HDR, and its picture at each size asked for, both ways."""

    size: tuple[int, int]
    hdr: bool
    pictures: list[np.ndarray]


@dataclass
class Plain:
    """What a plain loop of PyAV (Pillow for pictures) decodes of one stream, and the error that ended it."""

    frames: list[Frame]
    error: str | None


def decode_plainly(file: Path, size: tuple[int, int] | None) -> list[Plain]:
    """Each video stream of a file, decoded to its end or to the first error after a frame; scaled to `size`."""
    if is_picture(file):
        return [_pillow_plainly(file)]
    try:
        with open_container(file) as container:
            count = len(container.streams.video)
        return [_stream_plainly(file, number, size) for number in range(count)]
    except Exception:  # what PyAV cannot open no reader can
        return []


def _stream_plainly(file: Path, number: int, size: tuple[int, int] | None) -> Plain:
    frames: list[Frame] = []
    with open_container(file) as container:
        stream = container.streams.video[number]
        if stream.codec_context is None:
            return Plain([], "no codec")
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        try:
            for packet in container.demux(stream):
                try:
                    # At once: what a decoder makes of a lost picture depends on the buffers that are free.
                    frames += [_scaled(frame, size) for frame in packet.decode()]
                except av.FFmpegError as error:
                    if frames:  # before the first frame a recording may begin inside a group
                        return Plain(frames, str(error))
        except av.FFmpegError as error:
            return Plain(frames, str(error))
    return Plain(frames, None)


def _scaled(frame: Any, size: tuple[int, int] | None) -> Frame:
    ways = {size, size[::-1]} if size else set()
    pictures = [frame.to_ndarray(format="rgb24", height=h, width=w, threads=1) for h, w in ways]
    return Frame((frame.height, frame.width), (frame.color_trc or 0) in (16, 18), pictures)


def _pillow_plainly(file: Path) -> Plain:
    frames: list[Frame] = []
    try:
        with Image.open(file) as picture:
            # The first picture of an APNG may be for those who show no animation.
            skipped = int(bool(picture.info.get("default_image")))
            for page in ImageSequence.Iterator(picture):
                colors = np.array(page.convert("RGB"))
                frames.append(Frame(colors.shape[:2], False, [colors]))
    except Exception as error:
        return Plain(frames, f"{type(error).__name__}: {error}")
    return Plain(frames[skipped:], None)


def is_shown_as(picture: np.ndarray, frame: Frame) -> bool:
    """Whether a picture is the decoded frame in any of its 8 orientations."""
    turned = [way[a, b] for way in (picture, picture.swapaxes(0, 1)) for a in (ALL, FLIP) for b in (ALL, FLIP)]
    # Tone-mapped colors are another test's.
    return frame.hdr or any(np.array_equal(way, plain) for way in turned for plain in frame.pictures)


def compare(frames: np.ndarray, plain: list[Plain]) -> str | None:
    """What is wrong with frames beside the streams decoded plainly, None where one of them agrees."""
    said = [f"{len(frames)} frames where PyAV decodes none"]
    for stream in plain:
        if len(stream.frames) != len(frames) or stream.error:
            said.append(f"{len(frames)} frames where PyAV decodes {len(stream.frames)} ({stream.error})")
        elif len({frame.size for frame in stream.frames}) > 1:
            return None  # fitted to the first one's size, which no plain loop does
        else:
            off = [i for i, frame in enumerate(stream.frames) if not is_shown_as(frames[i], frame)]
            if not off:
                return None
            said.append(f"frames {off[:5]} of {len(frames)} are others")
    return said[-1]
