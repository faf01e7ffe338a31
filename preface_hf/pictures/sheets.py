"""Pictures to look at: a contact sheet of a prepared set, with landmarks and part boxes; the tubes of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from preface_hf.data.shards import read_rows
from preface_hf.data.views import Views, photometric
from preface_hf.faces.landmarks import PARTS, part_boxes
from preface_hf.pictures.words import MARGIN, NOTE, WORD, fitted, font, headed
from preface_hf.video.decoding import open_video


# Okabe and Ito's brighter colors, which people who see fewer colors tell apart.
PART_COLORS = dict(zip(PARTS, ("#f0e442", "#56b4e9", "#00c88c", "#e18cbe", "#e69f00"), strict=True))
SHEET_TRACKS, SHEET_FRAMES, TILE = 12, 4, 192
TRACKS_PER_LINE, LEGEND_HEIGHT, CAPTION_HEIGHT = 2, 24, 16
STRIP, NAMES, HEADING = 112, 106, NOTE + 9  # pixels of a strip, of the names left of it, and above a clip


@dataclass
class Clip:
    """A clip and its tubes, each as a name and a strip of frames."""

    name: str
    strips: list[tuple[str, Image.Image]]


def contact_sheet(folder: str | Path, tracks: int = SHEET_TRACKS, frames: int = SHEET_FRAMES) -> Image.Image:
    """A picture of tracks spread evenly over a prepared set, each with frames spread evenly over its time."""
    files = sorted((Path(folder) / "data").glob("*.parquet"))
    shown = spread_rows(files, tracks)
    lines = -(-len(shown) // TRACKS_PER_LINE)
    size = (TRACKS_PER_LINE * frames * TILE, LEGEND_HEIGHT + lines * (TILE + CAPTION_HEIGHT))
    sheet = Image.new("RGB", size, "white")
    draw_legend(sheet)
    # Two tracks stand side by side on a line; above each is its caption.
    for number, row in enumerate(shown):
        left = (number % TRACKS_PER_LINE) * frames * TILE
        top = LEGEND_HEIGHT + (number // TRACKS_PER_LINE) * (TILE + CAPTION_HEIGHT)
        caption = f"{row['instance_id']}  {row['source'][-60:]}  {row['num_frames']} frames"
        ImageDraw.Draw(sheet).text((left + 2, top + 1), caption, fill="black")
        for column, tile in enumerate(track_tiles(row, frames)):
            sheet.paste(tile, (left + column * TILE, top + CAPTION_HEIGHT))
    return sheet


def track_tiles(row: dict[str, Any], frames: int) -> list[Image.Image]:
    """Some frames of one row of a prepared set, `TILE` pixels wide, with landmarks and part boxes drawn in."""
    landmarks = np.asarray(row["landmarks"], np.float32)
    # First and last frame included; a track of fewer frames is shown whole.
    indices = np.linspace(0, len(landmarks) - 1, min(frames, len(landmarks))).round().astype(int)
    pictures = open_video(row["video"]["bytes"]).frames(indices)
    boxes = {part: part_boxes(landmarks, part)[indices] for part in PARTS}
    return [
        draw_face(picture, landmarks[index], {part: box[number] for part, box in boxes.items()})
        for number, (index, picture) in enumerate(zip(indices, pictures, strict=True))
    ]


def draw_face(
    picture: np.ndarray, landmarks: np.ndarray, boxes: dict[str, np.ndarray], size: int = TILE
) -> Image.Image:
    """A crop, uint8 `(side, side, 3)`, resized to `size` with landmarks `(points, 2)` as dots and boxes `(4,)` by
    part."""
    tile = Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(tile)
    factor, line = size / picture.shape[1], max(1, round(size / TILE))
    for part, box in boxes.items():
        draw.rectangle([float(value) for value in (box + 0.5) * factor], outline=PART_COLORS[part], width=line)
    # Pixel 0 has its center at 0.5: so coordinates are moved by half a pixel before they are scaled.
    for x, y in (landmarks + 0.5) * factor:
        draw.ellipse((x - line, y - line, x + line, y + line), fill="#ffffff", outline="#202020")
    return tile


def tube_strips(views: Views, frames: int = 8) -> list[tuple[str, Image.Image]]:
    """The tubes of a clip as a model sees them, photometric change included: for each its name, and a strip of
    `frames` squares (or all there are) spread evenly over its time."""
    strips = []
    for name, tube, color in zip(views.names, [*views.global_tubes, *views.small_tubes], views.colors, strict=True):
        seen = photometric(tube[None].float() / 255, color[None])[0]  # (T, 3, S, S)
        strips.append((name, clip_strip((seen * 255).round().byte(), frames)))
    return strips


def clip_strip(clip: torch.Tensor, frames: int = 8) -> Image.Image:
    """A strip of `frames` squares (or all there are) spread evenly over a clip `(T, 3, S, S)` uint8."""
    shown = np.linspace(0, len(clip) - 1, min(frames, len(clip))).round().astype(int)
    return Image.fromarray(clip[shown].permute(2, 0, 3, 1).flatten(1, 2).numpy())  # (S, frames * S, 3)


def strips_picture(title: str, note: str, clips: Sequence[Clip]) -> Image.Image:
    """The strips of some clips below each other, each with its name at the left.

    Args:
        title: of the picture.
        note: what is to be known of it, in a sentence or two.
        clips: whose strips are drawn, all as high.
    """
    high = {id(strip): enlarged(strip) for clip in clips for _, strip in clip.strips}
    step = max(strip.height for strip in high.values()) + 4
    width = NAMES + max(strip.width for strip in high.values()) + MARGIN
    height = sum(HEADING + len(clip.strips) * step for clip in clips)
    picture, draw, y = headed(title, note, width, height)
    for clip in clips:
        draw.text(
            (MARGIN, y), fitted(f"instance {clip.name}", NOTE, width - 2 * MARGIN), fill="black", font=font(NOTE)
        )
        y += HEADING
        for name, strip in clip.strips:
            draw.text((MARGIN, y + step // 2 - WORD), name, fill="black", font=font(WORD))
            picture.paste(high[id(strip)], (NAMES, y))
            y += step
    return picture


def enlarged(strip: Image.Image) -> Image.Image:
    """A strip of at most `STRIP` pixels: small ones by a whole factor, so that pixels and tokens stay squares."""
    if strip.height > STRIP:
        return strip.resize((round(strip.width * STRIP / strip.height), STRIP), Image.Resampling.LANCZOS)
    factor = STRIP // strip.height
    return strip.resize((strip.width * factor, strip.height * factor), Image.Resampling.NEAREST)


def draw_legend(sheet: Image.Image) -> None:
    """Name the color of each part along the top of the sheet."""
    draw = ImageDraw.Draw(sheet)
    left = 4
    for part, color in PART_COLORS.items():
        draw.rectangle((left, 6, left + 12, 18), fill=color)
        draw.text((left + 18, 6), part.replace("_", " "), fill="black")
        left += 110


def spread_rows(files: list[Path], count: int) -> list[dict[str, Any]]:
    """`count` rows spread evenly over the files' rows (all where there are fewer)."""
    # Two passes: a row holds its video, so only the rows that are shown stay in memory.
    total = sum(1 for file in files for _ in read_rows(file))
    wanted = set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())
    rows = (row for file in files for row in read_rows(file))
    return [row for index, row in enumerate(rows) if index in wanted]
