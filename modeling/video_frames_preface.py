"""The frames of a video file as a player shows them: upright, with square pixels, those it hides left out."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .video_reading_preface import Presentation, read_presentation
from .video_streams_preface import DecodingError, av, choose_stream, decode_all, open_container


try:
    import decord
except (ImportError, OSError):  # no wheel for this platform, or one whose libraries do not load
    decord = None  # type: ignore[assignment]


# Damaged frames of these are refused by decord where PyAV refuses them; of others its older FFmpeg makes some up.
DECORD_CODECS = ("h264", "hevc")


class VideoFile:
    """A video file read by PyAV: `num_frames` frames, shown at `times`, at `fps` a second; `notes` are remarks.

    Iterating decodes in order in constant memory, `frames(indices)` gathers some; each frame is uint8
    `(height, width, 3)`, RGB. Both raise `DecodingError` where the file is damaged.
    """

    def __init__(self, source: str | Path | bytes):
        self.source, self.name = source, source_name(source)
        container = open_container(source)
        self.presentation: Presentation = read_presentation(source, container)
        timeline = self.presentation.timeline
        self.times, self.fps, self._ticks = timeline.times, timeline.fps, timeline.seekable
        self.num_frames, self.notes = len(self.times), self.presentation.notes
        # Opening is a third of reading one frame: where there is an index, the first frames come from this opening.
        self._opened: Any = container if self._ticks and "mp4" in self.presentation.format else None

    def __iter__(self) -> Iterator[np.ndarray]:
        for _, frame in self._decode(0):
            yield frame

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """Frames by index in any order: uint8 `(len(indices), height, width, 3)`."""
        # Where seeking goes astray, the file is read from its start.
        found = self._gather(set(indices), seek=True) or self._gather(set(indices), seek=False)
        return np.stack([found[index] for index in indices])

    def close(self) -> None:
        """Let go of the opened file, which is held for the first call of `frames`; reading opens it anew."""
        self._opened = None

    def _gather(self, needed: set[int], seek: bool) -> dict[int, np.ndarray]:
        """The frames `needed` by index; none where seeking went astray (containers without an exact index)."""
        found: dict[int, np.ndarray] = {}
        opened, self._opened = self._opened if seek else None, None
        for index, frame in self._decode(min(needed) if seek else 0, opened, needed):
            found[index] = frame
            if len(found) == len(needed):
                return found
        return {}

    def _decode(self, first: int, opened: Any = None, needed: set[int] | None = None) -> Iterator[tuple[int, Any]]:
        """Frames with their indices, from the key frame before `first` on, only those `needed`. `opened` stands
        somewhere in the file."""
        decoded = 0
        # After seeking a frame is known by its tick, else by counting from the start.
        seek = bool(self._ticks) and (first > 0 or opened is not None)
        index_of = {tick: index for index, tick in enumerate(self._ticks or [])} if seek else {}
        try:
            with opened or open_container(self.source) as container:
                stream = choose_stream(container)
                if seek and self._ticks:
                    container.seek(self._ticks[first], stream=stream)
                for frame in decode_all(container, stream, self.presentation.starts_inside):
                    index = index_of.get(frame.pts, -1) if seek else decoded
                    decoded += 1
                    if index >= self.num_frames:  # a count by packets that the decoder exceeds
                        break
                    if needed is None or index in needed:
                        yield index, self._shown(frame)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise damaged(self.name, error) from error
        # After seeking the caller sees what is missing.
        if not seek and decoded < self.num_frames:
            raise damaged(self.name, ValueError(f"only {decoded} of {self.num_frames} frames could be decoded"))

    def _shown(self, frame: Any) -> np.ndarray:
        """A decoded frame as it is shown: uint8 `(height, width, 3)`."""
        if (frame.height, frame.width) == self.presentation.coded:
            picture = self._picture(frame, *self.presentation.square)
        else:
            picture = self._fitted(frame)
        return self.presentation.orientation.apply(picture)

    def _picture(self, frame: Any, height: int, width: int) -> np.ndarray:
        if self.presentation.tone_map is not None:
            return self.presentation.tone_map(frame, height, width)
        return frame.to_ndarray(format="rgb24", height=height, width=width, threads=1)

    def _fitted(self, frame: Any) -> np.ndarray:
        """A frame of another size than the first, scaled into the first one's size with black beside it."""
        note = "its frames change their size: they are scaled to the size of the first"
        if note not in self.notes:
            self.notes.append(note)
        (height, width), (coded_height, coded_width) = self.presentation.square, self.presentation.coded
        # The pixel aspect of the first frames is taken for those of the later ones.
        high, wide = frame.height * height / coded_height, frame.width * width / coded_width
        scale = min(height / high, width / wide)
        high, wide = max(1, round(high * scale)), max(1, round(wide * scale))
        top, left = (height - high) // 2, (width - wide) // 2
        picture = np.zeros((height, width, 3), np.uint8)
        picture[top : top + high, left : left + wide] = self._picture(frame, high, wide)
        return picture


def open_decord(file: VideoFile, asked: bool = False) -> Any:
    """decord's reader of a file, for frames at random; `ValueError` where it would give others than PyAV.

    Unless it is `asked` for, it is also left where damaged frames would come out otherwise than by PyAV.
    """
    if decord is None:
        raise ValueError("decord is not installed")
    refuse_by_others(file.presentation, "decord")
    kind = file.presentation.format
    if not any(name in kind for name in ("mp4", "avi", "matroska")):
        raise ValueError("decord misses frames where the container has no index of them: use PyAV")
    if not asked and ("avi" in kind or file.presentation.codec not in DECORD_CODECS):
        raise ValueError(f"decord may show damaged {file.presentation.codec} without a word: use PyAV")
    # It makes room for all frames that a header counts before it reads one: too many end the whole process.
    if file.presentation.overstated:
        raise ValueError("the header counts more frames than there are, which decord believes: use PyAV")
    timeline = file.presentation.timeline
    if "avi" not in kind and len(timeline.times) > 1 and timeline.seekable is None:
        raise ValueError("decord takes one frame for another where their times are equal: use PyAV")
    if "matroska" in kind and file.presentation.orientation.transposed | file.presentation.orientation.upside_down:
        raise ValueError("decord does not turn mkv upright: use PyAV")
    source = io.BytesIO(file.source) if isinstance(file.source, bytes) else str(file.source)
    reader = decord.VideoReader(source, num_threads=1)
    if len(reader) != file.num_frames:
        raise ValueError(f"decord counts {len(reader)} frames where {file.num_frames} are shown: use PyAV")
    # It misreads frames of up to 72 pixels' width; asking for one decodes many, so that wider ones are not tried.
    if min(file.presentation.size) < 128 and reader[0].shape != (*file.presentation.size, 3):
        raise ValueError("decord misreads small frames: use PyAV")
    file.close()
    return reader


def refuse_by_others(shown: Presentation, library: str) -> None:
    """`ValueError` for what only PyAV shows as a player does."""
    if shown.streams > 1:
        raise ValueError(f"{library} may take another of its {shown.streams} video streams: use PyAV")
    if shown.square != shown.coded or not shown.orientation.is_turn:
        raise ValueError(f"{library} does not make pixels square nor mirror: use PyAV")
    if shown.hidden or shown.starts_inside:
        raise ValueError(f"{library} would count frames that are not shown: use PyAV")
    odd = any(side % 2 for side in shown.coded)  # their last colors are read otherwise
    if odd or shown.pixels not in ("yuv420p", "yuvj420p") or shown.tone_map:
        raise ValueError(f"{library} may show {'an odd size' if odd else shown.pixels} in other colors: use PyAV")


def source_name(source: str | Path | bytes) -> str:
    """How a source is called in a message: its path, or its length in bytes."""
    return f"<{len(source)} bytes>" if isinstance(source, bytes) else str(source)


def first_line(error: Exception) -> str:
    """The first line of an error, at most 160 characters."""
    text = str(getattr(error, "strerror", None) or error)
    return (text.strip().splitlines() or [type(error).__name__])[0][:160]


def damaged(name: str, error: Exception) -> DecodingError:
    """The error for a file that opens but cannot be decoded."""
    return DecodingError(f"{name} is damaged ({first_line(error)}): copy it again or re-encode it")
