"""Words on a picture, in Pillow's own font, which is the same on every machine."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont


TITLE, NOTE, WORD = 17, 13, 12  # pixels of a title, of what stands below it, and of a caption
MARGIN = 10


@lru_cache(16)
def font(size: int) -> Any:
    """The font at `size` pixels."""
    return ImageFont.load_default(size)


def fitted(text: str, size: int, width: float) -> str:
    """A text that is no wider than `width` pixels: of a longer one the end, which tells files of a folder apart."""
    if font(size).getlength(text) <= width:
        return text
    for start in range(1, len(text)):
        if font(size).getlength("…" + text[start:]) <= width:
            return "…" + text[start:]
    return ""


def lines_of(text: str, size: int, width: float) -> list[str]:
    """A text as lines of at most `width` pixels, broken between words."""
    lines: list[str] = []
    for word in text.split():
        if lines and font(size).getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def headed(title: str, note: str, width: int, height: int) -> tuple[Image.Image, Any, int]:
    """A white picture with room for `width` x `height` pixels below a title and a note; returns it, what draws on it,
    and the row where that room begins."""
    lines = lines_of(note, NOTE, width - 2 * MARGIN)
    top = MARGIN + TITLE + 8 + len(lines) * (NOTE + 4) + 6
    picture = Image.new("RGB", (width, top + height + MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, MARGIN), title, fill="black", font=font(TITLE))
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + TITLE + 8 + number * (NOTE + 4)), line, fill="#444444", font=font(NOTE))
    return picture, draw, top
