"""How a video file is to be shown: which stream, which frames, when, how large and which way up.

It is read once, here, for every reader of videos: PyAV opens the file, and the other readers follow.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .video_pixels_preface import ToneMap, read_tone_map
from .video_streams_preface import (
    Orientation,
    av,
    choose_stream,
    decode_all,
    open_container,
    read_orientation,
    square_size,
)
from .video_timeline_preface import Stamp, Timeline, read_timeline


@dataclass
class Presentation:
    """What a player would show of a file.

    `streams` is the number of its video streams, covers included; `codec` and `pixels` are FFmpeg's names of how
    frames are packed and of their format; `coded` and `square` are height and width as stored and with square
    pixels, before `orientation`; `hidden` is the number of frames that an edit list hides; `overstated` is set where
    the header counts more frames than the file holds, or its duration needs more than the file has bytes.
    """

    format: str
    streams: int
    codec: str
    pixels: str
    coded: tuple[int, int]
    square: tuple[int, int]
    orientation: Orientation
    tone_map: ToneMap | None
    timeline: Timeline
    hidden: int
    overstated: bool
    starts_inside: bool
    notes: list[str]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as shown."""
        return self.square[::-1] if self.orientation.transposed else self.square


def read_presentation(source: str | Path | bytes, container: Any) -> Presentation:
    """What a player would show of a file that is open as `container`, which is read to its end.

    Raises `ValueError`, or PyAV's errors, where it cannot be shown.
    """
    stream = choose_stream(container)
    packets = read_packets(source, container, stream)
    first = packets.first
    notes: list[str] = []
    if stream.frames > packets.stored and container.format.name == "avi":
        notes.append(f"its header counts {stream.frames} frames, it holds {packets.stored}")
    # The first frame tells more truly than the header, which stands in where it cannot be decoded.
    coded = (first.height, first.width) if first is not None else (stream.height, stream.width)
    return Presentation(
        format=container.format.name,
        streams=len(container.streams.video),
        codec=stream.codec_context.name,
        pixels=first.format.name if first is not None else "",
        coded=coded,
        square=square_size(*coded, stream.sample_aspect_ratio),
        orientation=read_orientation(first) if first is not None else Orientation(),
        tone_map=read_tone_map(stream, first, notes),
        timeline=read_timeline(container, stream, packets.stamps),
        hidden=packets.hidden,
        overstated=stream.frames > packets.stored or implied_frames(container, stream) > container.size,
        starts_inside=packets.starts_inside,
        notes=notes,
    )


def implied_frames(container: Any, stream: Any) -> float:
    """How many frames the stated duration of an open file takes at the fastest of its stated rates."""
    seconds = max((stream.duration or 0) * float(stream.time_base or 0), (container.duration or 0) / 1_000_000)
    return seconds * max(float(rate or 0) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate))


@dataclass
class Packets:
    """What the packets of a stream tell.

    `stored` is the number of frames in the file, `hidden` of those that an edit list hides; `stamps` are those of the
    frames shown; `first` is the first frame decoded, None where that fails; `starts_inside` is set where the file
    begins between key frames, as a cut recording does.
    """

    stored: int
    hidden: int
    stamps: list[Stamp]
    first: Any
    starts_inside: bool


@dataclass
class _Packet:
    stamp: Stamp
    hidden: bool
    key: bool
    cut: bool


def read_packets(source: str | Path | bytes, container: Any, stream: Any) -> Packets:
    """Read the stream of an open file to its end. Raises `ValueError` where it holds nothing or is cut off."""
    packets, first = _demux(container, stream)
    _refuse_cut(container, stream, packets)
    shown = [packet for packet in packets if not packet.hidden]
    if not shown:
        raise ValueError("it holds no frame")
    starts_inside = not packets[0].key and any(packet.key for packet in packets)
    stamps = [packet.stamp for packet in shown]
    # Decoding takes far longer than reading packets: it is done only where they leave the frames open.
    if starts_inside or _is_uncertain(container, packets, shown):
        stamps = _decoded_stamps(source) or stamps
    return Packets(len(packets), len(packets) - len(shown), stamps, first, starts_inside)


def _demux(container: Any, stream: Any) -> tuple[list[_Packet], Any]:
    """All packets that hold a picture, and the first frame, or None where the first ones cannot be decoded."""
    packets, first = [], None
    vp8 = stream.codec_context.name == "vp8"
    for packet in container.demux(stream):
        # VP8 keeps reference pictures that are never shown in packets of their own, told by a bit of their first byte.
        if packet.size and not (vp8 and not bytes(packet)[0] & 0x10):
            stamp = Stamp(packet.pts, packet.dts, packet.duration or 0)
            packets.append(_Packet(stamp, packet.is_discard, packet.is_keyframe, packet.is_corrupt))
        if first is None:
            try:
                first = next(iter(packet.decode()), None)
            except av.FFmpegError:  # whether the file is damaged is found when its frames are read
                continue
    return packets, first


def _refuse_cut(container: Any, stream: Any, packets: list[_Packet]) -> None:
    """`ValueError` where the file ends before frames that its index names."""
    if not packets or not stream.frames or not (packets[-1].cut or len(packets) < stream.frames):
        return
    # Fewer than the header counts are no fault as such: an edit list may hide some, chunks may be empty.
    end = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
    if packets[-1].cut or end > container.size:
        raise ValueError(f"the file ends after {len(packets) - packets[-1].cut} of {stream.frames} frames")


def _is_uncertain(container: Any, packets: list[_Packet], shown: list[_Packet]) -> bool:
    """Whether only decoding tells the number of frames: some would be shown before the first key frame, or packets
    without a time of their own may be halves of frames."""
    if container.format.name == "avi":
        return False
    times = [packet.stamp.shown for packet in shown]
    known = [time for time in times if time is not None]
    # Frames shown before the first key frame may refer to what was cut away: decoders drop them.
    start = packets[0].stamp.shown
    leading = start is not None and any(time < start for time in known)
    return leading or len(known) < len(times) or len(set(known)) < len(known)


def _decoded_stamps(source: str | Path | bytes) -> list[Stamp]:
    """The stamps of the frames that come out of the decoder; none where the file is damaged."""
    try:
        with open_container(source) as container:
            stream = choose_stream(container)
            return [Stamp(frame.pts, frame.pts, frame.duration or 0) for frame in decode_all(container, stream)]
    except av.FFmpegError:
        return []
