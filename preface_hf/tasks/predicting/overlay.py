"""A video with what a model said of its faces drawn into it: at its own size, times and sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw

from preface_hf.files import replacing
from preface_hf.modeling.video_streams_preface import DecodingError, open_container
from preface_hf.modeling.video_timeline_preface import FREE_CLOCKS
from preface_hf.pictures.words import font
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import VideoEncoder


# Okabe and Ito's colors, which people who see fewer colors tell apart; the brighter ones, for a black rim about them.
COLORS = ((240, 228, 66), (86, 180, 233), (230, 159, 0), (0, 200, 140), (225, 140, 190))
TEXT_SHARE, LEAST_TEXT = 1 / 22, 10  # of the shorter side of the picture, in pixels
MOST_LINES = 4
NOTED_FROM = 120  # pixels of the shorter side: smaller pictures have no room for a line at their foot
EXACT_SECONDS = 1e-3  # frames this near to an even rate are written at that rate
# What an mp4 takes as it is; sound of another codec is encoded anew.
SOUND_OF_MP4 = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")

Box = tuple[float, float, float, float]


@dataclass
class Scene:
    """What is drawn into frames `start` … `stop - 1`: `lines` of text at the `faces` `(frames, 4)`, which are None
    where the whole picture is one, and `points` `(frames, points, 2)`; boxes and points in pixels of the video."""

    start: int
    stop: int
    track: int
    lines: list[str]
    faces: np.ndarray | None = None
    points: np.ndarray | None = None


def write_overlay(src: Path, target: Path, scenes: Sequence[Scene], model: str) -> None:
    """Write the video `src` with the scenes drawn into it to the mp4 `target`; `model` is named in it.

    A side of an odd number of pixels gets one more, for players want even ones. Of a damaged video there is what comes
    before the damage. Frames are read, drawn and written one by one.
    """
    video = open_video(src, "pyav")
    clock = Clock.of(video)
    uneven = np.abs(clock.times - np.arange(len(clock.times)) / clock.fps).max() > EXACT_SECONDS
    span = max(scene.stop - scene.start for scene in scenes)
    # One that ends with the video may be shorter, and so may the only one.
    every = f"{clock.seconds(0, min(span, len(clock.times))):.2g} s"
    said = f"a new answer every {every}" if scenes[0].points is None else "points in each frame"
    with replacing(target) as whole:
        with whole.open("wb") as file:
            encoder = VideoEncoder(clock.fps, clock.times.tolist() if uneven else None, file)
            try:
                for frame, live in zip(video, live_scenes(scenes), strict=False):
                    encoder.add(drawn(frame, live, f"model {model}, {said}"))
            except DecodingError:  # it is listed among what was left out
                pass
            encoder.finish()
        try:
            with replacing(whole) as mixed:
                add_sound_of(src, whole, mixed)
        except (av.FFmpegError, ValueError):
            pass  # without a sound, or with one that is damaged


def live_scenes(scenes: Sequence[Scene]) -> Iterator[list[tuple[Scene, int]]]:
    """For each frame the scenes that are in it, by track, with the number of the frame in each."""
    waiting = sorted(scenes, key=lambda scene: scene.start, reverse=True)
    live: list[Scene] = []
    index = 0
    while True:
        live = [scene for scene in live if scene.stop > index]
        while waiting and waiting[-1].start <= index:
            live.append(waiting.pop())
        yield [(scene, index - scene.start) for scene in sorted(live, key=lambda scene: scene.track)]
        index += 1


def drawn(frame: np.ndarray, live: Sequence[tuple[Scene, int]], note: str) -> np.ndarray:
    """A frame with its scenes, and `note` at its foot: uint8 `(even height, even width, 3)`."""
    height, width = frame.shape[:2]
    frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    picture = Image.fromarray(frame)
    draw = ImageDraw.Draw(picture)
    text = max(LEAST_TEXT, round(min(height, width) * TEXT_SHARE))
    line = max(1, round(text / 12))
    # The texts come last: no box is drawn over one.
    for scene, place in live:
        color = COLORS[scene.track % len(COLORS)]
        if scene.faces is not None:
            outline(draw, scene.faces[place], color, line)
        if scene.points is not None:
            for x, y in scene.points[place] + 0.5:
                dot(draw, x, y, line, color)
    small = max(LEAST_TEXT, round(0.6 * text))
    # No text hides a face.
    taken = [tuple(scene.faces[place].tolist()) for scene, place in live if scene.faces is not None]
    if min(height, width) >= NOTED_FROM:
        taken.append(label(draw, [note], small, (0, height, 0, height), picture.size, taken, None))
    for scene, place in live:
        lines = scene.lines[:MOST_LINES]
        lines += [f"and {len(scene.lines) - MOST_LINES} more"] if len(scene.lines) > MOST_LINES else []
        lines = [f"face {scene.track}", *lines] if len(live) > 1 else lines
        if lines:
            box = np.zeros(4) if scene.faces is None else scene.faces[place]
            x0, y0, x1, y1 = (float(value) for value in box + 2 * line * np.array([-1, -1, 1, 1]))
            color = COLORS[scene.track % len(COLORS)]
            taken.append(label(draw, lines, text, (x0, y0, x1, y1), picture.size, taken, color))
    return np.asarray(picture)


def outline(draw: Any, box: np.ndarray, color: tuple[int, int, int], line: int) -> None:
    """A box with a black rim on either side, so that it stands out from any picture."""
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    draw.rectangle((x0 - 2 * line, y0 - 2 * line, x1 + 2 * line, y1 + 2 * line), outline="black", width=3 * line)
    draw.rectangle((x0 - line, y0 - line, x1 + line, y1 + line), outline=color, width=line)


def dot(draw: Any, x: float, y: float, radius: int, color: tuple[int, int, int]) -> None:
    """A dot with a black rim."""
    for reach, fill in ((radius + 1, "black"), (radius, color)):
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=fill)


def label(
    draw: Any,
    lines: Sequence[str],
    size: int,
    box: Box,
    picture: tuple[int, int],
    taken: Sequence[Box],
    color: tuple[int, int, int] | None,
) -> Box:
    """White text on black with a stripe of `color` at a `box`, within a `picture` of (width, height) pixels and clear
    of what is `taken`; returns its place."""
    text = "\n".join(lines)
    # Text that is wider than the picture is made smaller.
    wide = draw.multiline_textbbox((0, 0), text, font=font(size))[2] + size
    size = max(6, min(size, int(size * picture[0] / wide)))
    pad, stripe = max(2, size // 4), max(2, size // 4) if color else 0
    used = draw.multiline_textbbox((0, 0), text, font=font(size), spacing=pad)
    width, height = used[2] + 2 * pad + stripe, used[3] + 2 * pad
    left, top, right, bottom = free_place(box, width, height, picture, taken)
    draw.rectangle((left, top, right, bottom), fill="black")
    if color:
        draw.rectangle((left, top, left + stripe, bottom), fill=color)
    draw.multiline_text((left + stripe + pad, top + pad), text, font=font(size), fill="white", spacing=pad)
    return left, top, right, bottom


def free_place(box: Box, width: float, height: float, picture: tuple[int, int], taken: Sequence[Box]) -> Box:
    """Where a text of `width` x `height` pixels goes: above its box, beside it or below it, the first that is within
    the picture and free; else over the top of the box."""
    x0, y0, x1, y1 = box
    inside = min(max(x0, 0), max(picture[0] - width, 0)), max(y0, 0)
    places = [(inside[0], y0 - height), (x1, inside[1]), (x0 - width, inside[1]), (inside[0], y1), inside]
    for left, top in places:
        fits = left >= 0 <= top and left + width <= picture[0] and top + height <= picture[1]
        if fits and not any(left < b[2] and b[0] < left + width and top < b[3] and b[1] < top + height for b in taken):
            return left, top, left + width, top + height
    left, top = inside[0], min(inside[1], max(picture[1] - height, 0))
    return left, top, left + width, top + height


def add_sound_of(src: Path, silent: Path, target: Path) -> None:
    """The packets of the mp4 `silent` and the sound of `src`, copied where an mp4 takes it, in the mp4 `target`.

    Raises `ValueError` where there is no sound, and PyAV's errors where it is damaged."""
    with open_container(src) as source, av.open(str(silent)) as pictures:
        sound: Any = source.streams.best("audio")
        if sound is None:
            raise ValueError(f"{src} has no sound")
        with av.open(str(target), "w", format="mp4") as container:
            outgoing = container.add_stream_from_template(pictures.streams.video[0])
            heard: Iterator[Any]
            if sound.codec.name.removesuffix("float") in SOUND_OF_MP4:
                audio: Any = container.add_stream_from_template(sound)
                heard = source.demux(sound)
            else:
                audio = container.add_stream("aac", rate=sound.rate)
                heard = encoded(source.decode(sound), audio)
            # The clock that the pictures are counted by.
            free = not FREE_CLOCKS.isdisjoint(source.format.name.split(","))
            start = (source.start_time or 0) / av.time_base if free else 0.0
            streams = (
                timed(pictures.demux(video=0), outgoing, 0.0),
                timed(heard, audio, start),
            )
            # In the order of their times: else one of them would wait in memory for the other.
            for _, _, packet in merge(*streams, key=lambda item: item[:2]):
                container.mux(packet)


def timed(packets: Iterator[Any], stream: Any, start: float) -> Iterator[tuple[float, int, Any]]:
    """Packets for `stream` with their seconds; its clock begins at `start`."""
    for packet in packets:
        # The last packet is empty: it only says that the stream has ended.
        if not packet.size or packet.dts is None:
            continue
        shift = round(start / float(packet.time_base))
        packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
        yield float(packet.dts * packet.time_base), stream.index, packet


def encoded(frames: Iterator[Any], stream: Any) -> Iterator[Any]:
    """Sound in the codec of `stream`."""
    for frame in frames:
        yield from stream.encode(frame)
    yield from stream.encode()
