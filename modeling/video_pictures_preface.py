"""Still pictures and animations as videos, read by Pillow."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .video_frames_preface import damaged, source_name


try:
    from PIL import Image, ImageOps
except ImportError:
    Image = None  # type: ignore[assignment]

ANIMATIONS = frozenset({"GIF", "PNG", "WEBP"})  # Pillow's formats whose further frames follow in time
PICTURE_SUFFIXES = frozenset({
    ".apng", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga",
    ".tif", ".tiff", ".webp",
})  # fmt: skip
# JPEG, PNG, BMP, GIF, and TIFF in both orders of bytes.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"BM", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
# PBM, PGM and PPM, as text and as bytes: P1 to P6, then a space.
_NETPBM = tuple(b"P%d" % number for number in range(1, 7))


def is_picture(source: str | Path | bytes) -> bool:
    """Whether Pillow is to read it: by a path's ending, or the first bytes."""
    if not isinstance(source, bytes):
        return Path(source).suffix.lower() in PICTURE_SUFFIXES
    netpbm = source.startswith(_NETPBM) and source[2:3].isspace()
    return source.startswith(_SIGNATURES) or netpbm or (source[:4] == b"RIFF" and source[8:12] == b"WEBP")


class PictureFile:
    """A still picture, one frame at 0 seconds, or an animation with its own times; as `VideoFile`, read by Pillow."""

    def __init__(self, source: str | Path | bytes):
        self.source, self.name = source, source_name(source)
        self.notes: list[str] = []
        with open_picture(source) as picture:
            count = getattr(picture, "n_frames", 1)
            self._skipped = int(bool(picture.info.get("default_image")))  # of an APNG, for those who show no animation
            self.num_frames, self.fps, self.times = 1, 1.0, np.zeros(1)
            self._animated = picture.format in ANIMATIONS and count > 1
            # An animation is decoded when it is read; a still picture is kept.
            if self._animated:
                seconds = np.array([_seconds(picture, place) for place in range(self._skipped, count)])
                self.num_frames, self.fps = len(seconds), len(seconds) / float(seconds.sum())
                self.times = np.cumsum(seconds) - seconds
                return
            if count > 1 and picture.format == "TIFF":
                self.notes.append(f"it has {count} pages: the first is read")
            self._still = _pixels(picture)

    def __iter__(self) -> Iterator[np.ndarray]:
        if not self._animated:
            yield self._still
            return
        try:
            with open_picture(self.source) as picture:
                for place in range(self.num_frames):
                    picture.seek(place + self._skipped)
                    yield _pixels(picture)
        except (OSError, EOFError, ValueError, SyntaxError) as error:
            raise damaged(self.name, error) from error

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """Frames by index in any order: uint8 `(len(indices), height, width, 3)`."""
        # Each frame of an animation is drawn over the one before, so they are read in order.
        found = {}
        for index, frame in enumerate(self):
            if index in indices:
                found[index] = frame
            if index == max(indices):
                break
        return np.stack([found[index] for index in indices])


@contextmanager
def open_picture(source: str | Path | bytes) -> Iterator[Any]:
    """The picture opened by Pillow, of any size: callers who fear large ones look at its size before its pixels."""
    if Image is None:
        raise ValueError("Pillow is needed to read pictures: pip install pillow")
    # The limit belongs to the whole process: it is put back at once.
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        opened = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    with opened as picture:
        yield picture


def picture_size(source: str | Path) -> tuple[int, int]:
    """Height and width as shown, from the header."""
    with open_picture(source) as picture:
        # Orientations 5 to 8 of EXIF swap height and width.
        turned = picture.getexif().get(0x0112, 1) >= 5
        return (picture.width, picture.height) if turned else (picture.height, picture.width)


def _seconds(picture: Any, place: int) -> float:
    """How long a frame of an animation is shown; browsers take up to 10 ms for 100."""
    picture.seek(place)
    if picture.format == "WEBP":  # told only with the pixels
        picture.load()
    milliseconds = float(picture.info.get("duration") or 0)
    return (milliseconds if milliseconds > 10 else 100.0) / 1000


def _pixels(picture: Any) -> np.ndarray:
    """The frame that the picture stands at, upright: uint8 `(height, width, 3)`."""
    upright = ImageOps.exif_transpose(picture)
    if not upright.mode.startswith(("I", "F")):
        return np.array(upright.convert("RGB"))
    # PNG and PNM have a fixed white; 32-bit integers and fractions of TIFF may have any.
    sixteen = upright.mode.startswith("I;16") or picture.format in ("PNG", "PPM")
    gray = to_8_bits(np.array(upright), 65535.0 if sixteen else None)
    return np.repeat(gray[..., None], 3, axis=-1)


def to_8_bits(values: np.ndarray, full: float | None = None) -> np.ndarray:
    """Gray values of any range as uint8; white is at `full`, else at the first of 1, 255 and 65535 that fits (1 for
    fractions only), else the values are stretched from their least to their largest."""
    values = np.nan_to_num(values.astype(np.float64) if values.dtype.kind != "f" else values)
    low, high = 0.0, full or 0.0
    if full is None:
        whites = [1.0, 255.0, 65535.0] if (values % 1).any() or values.max(initial=0) <= 1 else [255.0, 65535.0]
        high = next((white for white in whites if values.min(initial=0) >= 0 and values.max(initial=0) <= white), 0.0)
        if not high:
            low, high = float(values.min()), float(values.max())
    return ((values - low) / max(high - low, 1e-12) * 255).clip(0, 255).round().astype(np.uint8)
