"""Draw the picture of README.md: a drawn clip with its landmarks, and the tubes that follow its parts.

python docs/picture.py docs/preface.png
"""

import sys

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from preface_hf.faces.landmarks import PARTS, part_boxes, square_boxes
from preface_hf.pictures.sheets import PART_COLORS, TILE, draw_face
from preface_hf.synthetic import draw_clip


TILES, SQUARES, SQUARE, LABEL, GAP = 4, 6, 38, 84, 10


def main(file: str) -> None:
    """Write the picture: the clip at the left, a row of squares for each part at the right."""
    clip = draw_clip(3, "happiness", 4, num_frames=48, size=224)
    shown = np.linspace(0, len(clip.frames) - 1, TILES).round().astype(int)
    width = TILES * TILE + GAP + LABEL + SQUARES * SQUARE
    picture = Image.new("RGB", (width, TILE), "white")
    boxes = {part: part_boxes(clip.landmarks, part) for part in PARTS}  # (frames, 4) each
    for column, index in enumerate(shown):
        tile = draw_face(clip.frames[index], clip.landmarks[index], {part: box[index] for part, box in boxes.items()})
        picture.paste(tile, (column * TILE, 0))
    times = np.linspace(0, len(clip.frames) - 1, SQUARES).round().astype(int)
    for row, (part, box) in enumerate(boxes.items()):
        top = row * TILE // len(boxes)
        name = part.replace("_", " ")
        ImageDraw.Draw(picture).rectangle(
            (TILES * TILE + GAP, top + 14, TILES * TILE + GAP + 8, top + 22), PART_COLORS[part]
        )
        ImageDraw.Draw(picture).text((TILES * TILE + GAP + 14, top + 12), name, fill="black")
        centers = (box[:, :2] + box[:, 2:]) / 2
        side = float(np.max(box[:, 2:] - box[:, :2]))
        for column, time in enumerate(times):
            square = square_boxes(centers[time][None], side)[0]
            cut = Image.fromarray(clip.frames[time]).crop([round(float(value)) for value in square])
            place = (TILES * TILE + GAP + LABEL + column * SQUARE, top)
            picture.paste(cut.resize((SQUARE - 1, SQUARE - 1), Image.Resampling.LANCZOS), place)
    ImageOps.posterize(picture, 5).save(file, optimize=True)  # half the bytes


if __name__ == "__main__":
    main(*sys.argv[1:])
