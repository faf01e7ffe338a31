"""What the page shows of a video: its faces, where the model looks, what it says over time, and similar clips."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from preface_hf.data.shards import read_rows
from preface_hf.faces.landmarkers import Landmarker, load_landmarker
from preface_hf.faces.landmarks import PARTS, part_boxes
from preface_hf.faces.squares import cut_square, one_opencv_thread, to_square
from preface_hf.features.encoders import Encoder, load_encoder
from preface_hf.features.sources import open_corpus, row_windows, video_windows
from preface_hf.pictures.maps import attention_maps
from preface_hf.pictures.sheets import TILE, draw_face
from preface_hf.tasks.predicting.predictor import Predictor, Untrained, load_predictor
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video
from preface_hf.video.windows import Window, window_mean


MAX_SECONDS, MAX_PIXELS, MAX_FRAMES = 60, 1920 * 1080, 3600
FACES, FRAMES, SIMILAR, INDEX_ROWS, BATCH = 3, 4, 5, 200, 16


@dataclass
class Seen:
    """A face of a video: `spans` `(windows, 2)` in seconds, `features` and `scores` of the windows, `tiles` with
    landmarks and parts, a `crop` and the `attention` `(heads, height, width)` on it."""

    track: int
    windows: list[Window]
    spans: np.ndarray
    features: np.ndarray
    scores: np.ndarray | None
    tiles: list[Image.Image] = field(default_factory=list)
    crop: np.ndarray | None = None
    attention: np.ndarray | None = None


@dataclass
class Index:
    """Clips to compare with: `features` `(clips, width)`, their middle frames and names."""

    features: np.ndarray
    pictures: list[Image.Image]
    names: list[str]


class Viewer:
    """A checkpoint, with its head where it has one, and the clips that others are compared with.

    Attributes:
        model: folder or name of the checkpoint.
        encoder: what gives features.
        predictor: what gives scores, if the checkpoint has such a head.
        pointer: what finds points, likewise.
    """

    def __init__(self, model: str | Path, index: str | Path | None = None):
        self.model = str(model)
        self.predictor: Predictor | None = None
        self.pointer: Predictor | None = None
        try:
            head = load_predictor(model)
            self.encoder = Encoder(head.model.preface, head.processor, head.name)
            self.predictor, self.pointer = (None, head) if head.finds_landmarks else (head, None)
        except Untrained:
            self.encoder = load_encoder(model)
        finder = load_landmarker("builtin")
        assert finder is not None
        self.finder: Landmarker = finder
        self.index = read_index(self.encoder, Path(index)) if index else None

    def look(self, file: Path) -> tuple[float, list[Seen]]:
        """The length of a video in seconds and its faces; `ValueError` where it is too long, too large or has none."""
        seconds = check_video(file)
        held: dict[int, list[tuple[dict[str, Any], Window]]] = {}
        with one_opencv_thread():
            # For points a window holds all its frames, of which the encoder sees some.
            for row, window in video_windows(file.parent, file.name, self.pointer or self.encoder, self.finder):
                held.setdefault(row["track"], []).append((row, window))
            # The faces that are longest in sight, in the order in which they appear.
            longest = sorted(held, key=lambda track: -sum(len(window.frames) for _, window in held[track]))[:FACES]
            faces = [self.face(track, held[track]) for track in sorted(longest)]
            for seen in faces:
                self.draw(file, seen)
        return seconds, faces

    def face(self, track: int, found: list[tuple[dict[str, Any], Window]]) -> Seen:
        """Features and scores of the windows of a face."""
        windows = [window for _, window in found]
        spans = np.array([[row["start_seconds"], row["end_seconds"]] for row, _ in found])
        scores = None if self.predictor is None else batched(self.predictor, windows)
        return Seen(track, windows, spans, batched(self.encoder, [self.thinned(window) for window in windows]), scores)

    def thinned(self, window: Window) -> Window:
        """A window with the frames that the encoder sees of it."""
        rate = self.encoder.clip[1] if self.pointer else 1
        return replace(window, frames=window.frames[::rate])

    def draw(self, file: Path, seen: Seen) -> None:
        """Tiles of some frames at the size of the video, and the attention on the middle one."""
        shown = [seen.windows[n] for n in sorted({*np.linspace(0, len(seen.windows) - 1, FRAMES).round().astype(int)})]
        middle = [(window.stop - window.start) // 2 for window in shown]
        indices = [window.first + place for window, place in zip(shown, middle, strict=True)]
        for window, place, frame in zip(shown, middle, open_video(file, "pyav").frames(indices), strict=True):
            assert window.squares is not None and window.faces is not None
            square = window.squares[place]
            found = self.finder.landmarks([frame], [window.faces[place]])[0]
            found = to_square(found, square, TILE).astype(np.float32)
            boxes = {part: part_boxes(found[None], part)[0] for part in PARTS}
            points = found if self.pointer is None else to_square(self.points(window)[place], square, TILE)
            seen.tiles.append(draw_face(cut_square(frame, square, TILE), points, boxes))
            seen.crop = cut_square(frame, square, TILE)
        # The last tile and the last window that is drawn: the attention lies on what is seen.
        frames = self.thinned(shown[-1]).frames
        clip = self.encoder.processor([frames], do_sample_frames=False, return_tensors="pt")
        maps = attention_maps(self.encoder.model, clip["pixel_values_videos"].to(self.encoder.device))[0]  # type: ignore[arg-type]
        seen.attention = maps.mean(axis=1)  # (heads, height, width)

    def points(self, window: Window) -> np.ndarray:
        """What a model of points finds in each frame of a window, `(frames, points, 2)` in pixels of the video."""
        assert self.pointer is not None
        return self.pointer.in_source(self.pointer([window.frames])[0], window)

    def alike(self, seen: Seen) -> np.ndarray:
        """How alike each window is to the first of its face, as cosines of features less the mean of the index."""
        unit = unit_vectors(seen.features - self.center)
        return unit @ unit[0]

    def similar(self, seen: Seen) -> list[tuple[str, Image.Image, float]]:
        """The clips of the index that are most alike, the nearest first."""
        if self.index is None:
            return []
        mean = window_mean(seen.features, [window.stop - window.start for window in seen.windows])
        cosines = unit_vectors(self.index.features - self.center) @ unit_vectors(mean - self.center)
        best = np.argsort(-cosines, kind="stable")[:SIMILAR]
        return [(self.index.names[n], self.index.pictures[n], float(cosines[n])) for n in best]

    @property
    def center(self) -> np.ndarray | float:
        """The mean of the index: without taking it away all faces look alike."""
        return 0.0 if self.index is None else self.index.features.mean(axis=0)


def check_video(file: Path) -> float:
    """The length of a video in seconds; `ValueError` where it is none or is too much for a page."""
    try:
        video = open_video(file, "pyav")
        seconds, frames = float(Clock.of(video).ends[-1]), video.num_frames
        height, width = video.frames([0]).shape[1:3]
    except (ValueError, OSError) as error:
        raise ValueError("This file cannot be read as a video: choose an mp4, mov, webm or mkv.") from error
    if seconds > MAX_SECONDS or frames > MAX_FRAMES:
        raise ValueError(f"This video is longer than {MAX_SECONDS} seconds: cut it, or use `preface-hf predict`.")
    if height * width > MAX_PIXELS:
        raise ValueError(f"The frames of {width} x {height} pixels are too large: choose a video of 1080p at most.")
    return seconds


def read_index(encoder: Encoder, prepared: Path) -> Index:
    """Features of up to `INDEX_ROWS` rows of a prepared set."""
    corpus = open_corpus(prepared)
    if not corpus.prepared:
        raise ValueError(f"{str(prepared)!r} is no prepared set: give the folder that `preface-hf prepare` wrote.")
    features, pictures, names = [], [], []
    rows = (row for file in corpus.files for row in read_rows(corpus.root / file))
    for row in islice(rows, INDEX_ROWS):
        found = [window for _, window in row_windows(row, encoder)]
        features.append(window_mean(batched(encoder, found), [window.stop - window.start for window in found]))
        middle = found[len(found) // 2].frames
        pictures.append(Image.fromarray(middle[len(middle) // 2]))
        names.append(str(row["source"]))
    return Index(np.stack(features), pictures, names)


def batched(encoder: Encoder, windows: list[Window]) -> np.ndarray:
    """What an encoder gives for windows, a few at a time."""
    clips = [window.frames for window in windows]
    return np.concatenate([encoder(clips[n : n + BATCH]) for n in range(0, len(clips), BATCH)])


def unit_vectors(features: np.ndarray) -> np.ndarray:
    """Vectors of length 1."""
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)
