"""The tubes of a clip: where the face's parts are in each frame, and what a tube that follows one shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from preface_hf.data.views import cut_tube
from preface_hf.faces.landmarks import PARTS, part_boxes
from preface_hf.pictures.sheets import PART_COLORS, TILE, draw_face
from preface_hf.pictures.words import MARGIN, WORD, font, headed
from preface_hf.video.encoding import encode_video


FRAMES, SQUARES = 4, 6  # of a strip, and of each tube beside it
LABEL, GAP = 84, 10
SCREEN = 480  # pixels of a face in a video
NOTE = "Dots: 68 landmarks. Boxes: what the tubes at the right show; each follows a part and keeps its size."


def tubes_picture(frames: np.ndarray, landmarks: np.ndarray, fps: float | None = None) -> Image.Image:
    """A strip of a clip with its landmarks and the boxes of its parts, and beside it the tubes that follow them.

    Args:
        frames: uint8 `(frames, side, side, 3)`, a face crop.
        landmarks: `(frames, 68, 2)` in its pixels.
        fps: frames a second, to caption frames by seconds instead of numbers.

    Raises `ValueError` where the landmarks are not those of the frames.
    """
    boxes = checked_boxes(frames, landmarks)
    times = np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int)
    side, line = TILE // len(PARTS), WORD + 6
    left = MARGIN + len(times) * (TILE + 2) + GAP
    picture, draw, top = headed("Landmarks and tubes", NOTE, left + LABEL + SQUARES * side + MARGIN, TILE + line)
    for column, time in enumerate(times):
        x = MARGIN + column * (TILE + 2)
        draw.text((x, top), f"frame {time}" if fps is None else f"{time / fps:.2f} s", fill="black", font=font(WORD))
        tile = draw_face(frames[time], landmarks[time], {part: box[time] for part, box in boxes.items()})
        picture.paste(tile, (x, top + line))
    moments = np.linspace(0, len(frames) - 1, SQUARES).round().astype(int)
    for row, (part, box) in enumerate(boxes.items()):
        y = top + line + row * side
        draw.rectangle((left, y + 14, left + 8, y + 22), PART_COLORS[part], outline="#555555")
        draw.text((left + 14, y + 11), part.replace("_", " "), fill="black", font=font(WORD))
        # Cut as they are for training.
        for column, square in enumerate(cut_tube(frames, box[moments], side - 1, moments).permute(0, 2, 3, 1)):
            picture.paste(Image.fromarray(square.numpy()), (left + LABEL + column * side, y))
    return picture


def tubes_video(frames: np.ndarray, landmarks: np.ndarray, fps: float) -> bytes:
    """An mp4 of a clip with its landmarks and the boxes of its parts, and beside it the tubes that follow them.

    Args:
        frames: uint8 `(frames, side, side, 3)`, a face crop.
        landmarks: `(frames, 68, 2)` in its pixels.
        fps: frames a second.

    Raises `ValueError` where the landmarks are not those of the frames.
    """
    return encode_video(tubes_frames(frames, landmarks, fps), fps)


def tubes_frames(frames: np.ndarray, landmarks: np.ndarray, fps: float) -> Iterator[np.ndarray]:
    """The frames of [`tubes_video`], uint8 `(height, width, 3)`."""
    boxes = checked_boxes(frames, landmarks)
    side = SCREEN // len(PARTS)
    tubes = {part: cut_tube(frames, box, side - 2).permute(0, 2, 3, 1).numpy() for part, box in boxes.items()}
    for time, frame in enumerate(frames):
        title = f"Landmarks and tubes, {time / fps:.2f} s"
        picture, draw, top = headed(title, NOTE, 2 * MARGIN + SCREEN + GAP + side + LABEL, SCREEN)
        shown = draw_face(frame, landmarks[time], {part: box[time] for part, box in boxes.items()}, SCREEN)
        picture.paste(shown, (MARGIN, top))
        for row, (part, tube) in enumerate(tubes.items()):
            x, y = MARGIN + SCREEN + GAP, top + row * side
            picture.paste(Image.fromarray(tube[time]), (x, y))
            draw.rectangle((x + side + 4, y + 4, x + side + 12, y + 12), PART_COLORS[part], outline="#555555")
            draw.text((x + side + 18, y + 1), part.replace("_", " "), fill="black", font=font(WORD))
        even = picture.crop((0, 0, picture.width // 2 * 2, picture.height // 2 * 2))  # as mp4 wants it
        yield np.asarray(even)


def checked_boxes(frames: np.ndarray, landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """The boxes `(frames, 4)` of each part."""
    if len(frames) == 0 or landmarks.shape != (len(frames), 68, 2) or not np.isfinite(landmarks).all():
        raise ValueError(
            f"{len(frames)} frames and landmarks of shape {landmarks.shape} make no tubes: give 68 points for each "
            f"frame."
        )
    return {part: part_boxes(landmarks, part) for part in PARTS}
