"""The readers behind `open_video`: one class per library, all of them a `Video`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from preface_hf.modeling.video_reading_preface import read_timeline
from preface_hf.video.base import Video, damaged, source_name


try:
    import decord
except (ImportError, OSError):  # no wheel for this platform, or one whose libraries do not load
    decord = None


class DecordVideo(Video):
    """A video read at random by decord, which takes rotation into account, and in order by PyAV.

    decord decodes ahead of whoever reads it, without a limit: 1.3 GB on ten seconds of 1080p.
    """

    def __init__(self, source: str | Path | bytes):
        self._source, self._name = source, source_name(source)
        kind = _container(source)
        if kind == "other":
            raise ValueError("decord misses frames where the container has no index of them: use PyAV")
        if kind == "matroska" and _rotation(source):
            raise ValueError("decord does not turn mkv upright: use PyAV")
        self._reader = decord.VideoReader(
            io.BytesIO(source) if isinstance(source, bytes) else str(source), num_threads=1
        )
        self.num_frames = len(self._reader)
        if self.num_frames and self._reader.get_frame_timestamp(0)[0] < 0:
            raise ValueError("an edit list hides its first frames, which decord would count: use PyAV")
        if self.num_frames and self._reader[0].shape[-1] != 3:
            raise ValueError("decord misreads frames of this width (16, 24, 48 and 72 do so): use PyAV")
        same = PyAVVideo(source)
        if same.num_frames != self.num_frames:
            raise ValueError(f"decord counts {self.num_frames} frames where {same.num_frames} are shown: use PyAV")
        self.fps, self.times, self.notes = same.fps, same.times, same.notes

    def __iter__(self) -> Iterator[np.ndarray]:
        yield from PyAVVideo(self._source)

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames by index in any order, uint8 `(len(indices), height, width, 3)`; `DecodingError` if damaged."""
        wanted = self.checked(indices)
        try:
            return self._reader.get_batch(wanted).asnumpy()
        except Exception as error:  # decord's own errors derive from plain Exception
            raise damaged(self._name, error) from error


class PyAVVideo(Video):
    """A video read by PyAV, which opens everything; frames are counted and turned upright here."""

    def __init__(self, source: str | Path | bytes):
        self._source, self._name = source, source_name(source)
        container = _open(source)
        if not container.streams.video:
            raise ValueError("it holds no pictures")
        stream = container.streams.video[0]
        packets = [
            (packet.pts, packet.is_discard, packet.duration) for packet in container.demux(stream) if packet.size
        ]
        promised = stream.frames
        if len(packets) < promised:
            raise ValueError(f"the file ends after {len(packets)} of {promised} frames")
        shown = [stamp for stamp, discard, _ in packets if not discard]
        self.num_frames = len(shown)
        if not shown:
            raise ValueError("it holds no frame")
        durations = {stamp: duration for stamp, discard, duration in packets if stamp is not None and not discard}
        timeline = read_timeline(container, stream, shown, durations[max(durations)] if durations else None)
        self.times, self.fps, self.notes = timeline.times, timeline.fps, timeline.notes
        stamps = {stamp for stamp in shown if stamp is not None}
        # Time stamps in order of display; None where the container has none or repeats them (AVI, MPEG-PS).
        self._stamps: list[int] | None = sorted(stamps) if len(stamps) == len(shown) else None
        # Opening is a third of reading one frame: where there is an index, the first frames come from this opening.
        self._opened: Any = container if self._stamps and "mp4" in container.format.name else None

    def __iter__(self) -> Iterator[np.ndarray]:
        for _, frame in self._decode(0):
            yield frame

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames by index in any order, uint8 `(len(indices), height, width, 3)`; `DecodingError` if damaged."""
        wanted = self.checked(indices)
        found = self._gather(set(wanted), seek=True) or self._gather(set(wanted), seek=False)
        return np.stack([found[index] for index in wanted])

    def _gather(self, needed: set[int], seek: bool) -> dict[int, np.ndarray]:
        """The frames `needed` by index; none where seeking went astray (containers without an exact index)."""
        found = {}
        opened, self._opened = self._opened if seek else None, None
        for index, frame in self._decode(min(needed) if seek else 0, opened):
            if index in needed:
                found[index] = frame
            if len(found) == len(needed):
                return found
        return {}

    def _decode(self, first: int, opened: Any = None) -> Iterator[tuple[int, np.ndarray]]:
        """Frames with their indices from the key frame before `first` on; index -1 for an unknown time stamp. `opened`
        stands somewhere in the file."""
        decoded = 0
        seek = bool(self._stamps) and (first > 0 or opened is not None)
        index_of = {stamp: index for index, stamp in enumerate(self._stamps or [])} if seek else {}
        try:
            with opened or _open(self._source) as container:
                stream = container.streams.video[0]
                stream.thread_type, stream.codec_context.thread_count = "NONE", 1
                if seek and self._stamps:
                    container.seek(self._stamps[first], stream=stream)
                for frame in container.decode(stream):
                    picture = np.rot90(frame.to_ndarray(format="rgb24", threads=1), round(frame.rotation / 90))
                    yield index_of.get(frame.pts, -1) if seek else decoded, np.ascontiguousarray(picture)
                    decoded += 1
        except (av.FFmpegError, OSError, ValueError) as error:
            raise damaged(self._name, error) from error
        if not seek and decoded < self.num_frames:
            raise damaged(self._name, ValueError(f"only {decoded} of {self.num_frames} frames could be decoded"))


class TorchcodecVideo(Video):
    """A video read by torchcodec, where that is installed and works; it takes rotation into account."""

    def __init__(self, source: str | Path | bytes):
        self._name = source_name(source)
        decoder = find_torchcodec()
        if decoder is None:
            raise ValueError("torchcodec is not installed or does not work")
        self._decoder = decoder(source if isinstance(source, bytes) else str(source), dimension_order="NHWC")
        self.num_frames = len(self._decoder)
        same = PyAVVideo(source)
        if same.num_frames != self.num_frames:
            raise ValueError(f"torchcodec counts {self.num_frames} frames where {same.num_frames} are shown: use PyAV")
        self.fps, self.times, self.notes = same.fps, same.times, same.notes

    def __iter__(self) -> Iterator[np.ndarray]:
        for index in range(self.num_frames):
            yield self.frames([index])[0]

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames by index in any order, uint8 `(len(indices), height, width, 3)`; `DecodingError` if damaged."""
        wanted = self.checked(indices)
        try:
            return self._decoder.get_frames_at(wanted).data.numpy()
        except Exception as error:
            raise damaged(self._name, error) from error


@cache
def find_torchcodec() -> Any:
    """torchcodec's decoder of videos, or None: it needs its own torch and FFmpeg, and fails in many ways without."""
    try:
        from torchcodec.decoders import VideoDecoder
    except Exception:
        return None
    return VideoDecoder


def _open(source: str | Path | bytes) -> Any:
    return av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source), metadata_errors="ignore")


def _rotation(source: str | Path | bytes) -> int:
    """By how many degrees the first frame is to be turned."""
    with _open(source) as container:
        return next(container.decode(video=0)).rotation


def _container(source: str | Path | bytes) -> str:
    """`indexed` (mp4, mov, avi), `matroska` (mkv, webm) or `other`, by the first bytes."""
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        head = file.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") or head[:4] == b"RIFF":
        return "indexed"
    return "matroska" if head[:4] == b"\x1aE\xdf\xa3" else "other"
