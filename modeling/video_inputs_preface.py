"""What the video processor is given: files of any kind to frames with their times."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers.video_utils import VideoMetadata

from .video_frames_preface import VideoFile, first_line, open_decord, source_name
from .video_pictures_preface import PictureFile, is_picture


Source = str | Path | bytes


@dataclass
class TimedMetadata(VideoMetadata):
    """transformers' metadata of a video, and the second at which each of its frames is shown."""

    times: np.ndarray | None = None

    @property
    def timestamps(self) -> list[float]:
        """The seconds at which the sampled frames are shown."""
        if self.times is None or self.frames_indices is None:
            return super().timestamps
        return [float(self.times[index]) for index in self.frames_indices]


def find_sources(videos: Any) -> list[Source | list[Source]] | None:
    """The files of a batch, a list of pictures for a video that is given by its frames; None for arrays and tensors.

    Raises `ValueError` for what is neither, and for files beside arrays.
    """
    if _is_file(videos):
        return [_source(videos)]
    if not isinstance(videos, list | tuple) or not videos:
        return None
    if all(_is_file(video) for video in videos):
        files = [_source(video) for video in videos]
        # Pictures in a list are the frames of one video; videos in a list are a batch.
        pictures = [is_picture(file) for file in files]
        if any(pictures) and not all(pictures):
            raise ValueError("a list holds pictures and videos: give the frames of one video, or videos only.")
        return [files] if all(pictures) and len(files) > 1 else list(files)
    # A list in the list is a video that is given by its frames.
    inner = [find_sources(video) if _is_file(video) or isinstance(video, list | tuple) else None for video in videos]
    if all(found is None for found in inner):
        return None
    if any(found is None for found in inner):
        raise ValueError("a list holds files and arrays: give one kind at a time.")
    return [source for found in inner for source in found or []]


def _is_file(video: Any) -> bool:
    # A dictionary is the `video` value of a prepared row.
    return isinstance(video, str | Path | bytes | bytearray | memoryview | dict)


def _source(video: Any) -> Source:
    """A file as a path or bytes; `ValueError` for a dictionary that holds neither."""
    if isinstance(video, dict):
        inside = video.get("bytes") or video.get("path")
        if not inside:
            raise ValueError(
                f'a dictionary with {sorted(video)} is not a video: give {{"bytes": ...}} or {{"path": ...}}.'
            )
        return _source(inside)
    return bytes(video) if isinstance(video, bytearray | memoryview) else video


def read_video(source: Source | list[Source], choose: Callable | None) -> tuple[np.ndarray, TimedMetadata]:
    """Decode the frames that `choose(metadata=...)` asks for (all of them if `None`): uint8 `(n, height, width, 3)`.

    Raises `ValueError` where the file cannot be read.
    """
    if isinstance(source, list):
        return _read_pictures(source, choose)
    name = source_name(source)
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise ValueError(f"cannot decode {name!r}: it is not a file, check the path.")
    try:
        file: Any = PictureFile(source) if is_picture(source) else VideoFile(source)
    except Exception as error:  # those of Pillow and PyAV derive from many
        raise _undecodable(name, error) from error
    frames, backend = _reader(file)
    metadata = _choose(choose, file.num_frames, file.fps, file.times, backend)
    try:
        return frames(metadata.frames_indices or []), metadata
    except Exception as error:  # decord's derive from Exception itself
        raise _undecodable(name, error) from error


def _undecodable(name: str, error: Exception) -> ValueError:
    return ValueError(f"cannot decode {name!r} as a video ({first_line(error)}): give a video file that plays.")


def _reader(file: Any) -> tuple[Callable[[Sequence[int]], np.ndarray], str]:
    """What gathers frames by index, and its library: decord where it gives the same as PyAV."""
    if isinstance(file, PictureFile):
        return file.frames, "pillow"
    try:
        reader = open_decord(file)
    except Exception:  # it is not installed, would show other frames, or cannot open the file
        return file.frames, "pyav"
    return lambda indices: reader.get_batch(list(indices)).asnumpy(), "decord"


def _read_pictures(sources: list[Source], choose: Callable | None) -> tuple[np.ndarray, TimedMetadata]:
    metadata = _choose(choose, len(sources), None, None, "pillow")
    frames = [read_video(sources[index], None)[0][0] for index in metadata.frames_indices or []]
    if sizes := sorted(
        {f"{frame.shape[1]}x{frame.shape[0]}" for frame in frames[1:] if frame.shape != frames[0].shape}
    ):
        height, width = frames[0].shape[:2]
        raise ValueError(f"the frames of a video are {width}x{height} and {sizes[0]}: give pictures of one size.")
    return np.stack(frames), metadata


def _choose(choose: Callable | None, total: int, fps: float | None, times: Any, backend: str) -> TimedMetadata:
    # Which frames to take is decided by metadata, before any is decoded.
    duration = total / fps if fps else None
    metadata = TimedMetadata(total, fps=fps, duration=duration, video_backend=backend, times=times)
    chosen = range(total) if choose is None else choose(metadata=metadata)
    metadata.frames_indices = [int(index) for index in chosen]
    return metadata


def clip_indices(total: int, count: int, rate: int) -> np.ndarray:
    """Indices `(count,)` of the frames of a clip out of `total` frames, from the first: every `rate`-th of them.

    Fewer than `(count - 1) * rate + 1` frames are too short for that and are taken from the first to the last, evenly
    (some repeat where there are fewer than `count`). The one rule for training, probes, features and the processor; no
    paper states one, chosen. Where a longer video is begun is up to the caller.
    """
    if total > (count - 1) * rate:
        return np.arange(count) * rate
    return np.linspace(0, total - 1, count).round().astype(int)


def frames_at_rate(metadata: VideoMetadata, count: int, fps: float) -> np.ndarray | None:
    """Indices of the frames on screen at `count` moments, `fps` a second, from the middle of a video; None where it is
    shorter. Raises `ValueError` where its times are not known."""
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps={fps} is not a rate: give frames a second above 0, or leave it out.")
    times = getattr(metadata, "times", None)
    if times is None:
        if not metadata.fps:
            raise ValueError("fps= needs the rate of the frames given: pass video_metadata=[{'fps': ...}] too.")
        times = np.arange(metadata.total_num_frames) / metadata.fps
    # Seconds that the clip leaves free; half of them come before it.
    spare = times[-1] - times[0] - (count - 1) / fps
    if spare < -1e-6:
        return None
    moments = times[0] + max(spare, 0) / 2 + np.arange(count) / fps
    # A thousandth of a second: containers round to that.
    return np.searchsorted(times, moments + 1e-3, side="right") - 1
