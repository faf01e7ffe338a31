"""Tubes on a clip: landmarks and boxes lie where they are planted, and the video shows them at each time."""

import numpy as np
import pytest
from PIL import ImageColor

from preface_hf.faces.landmarks import PARTS, part_boxes
from preface_hf.pictures.sheets import PART_COLORS, TILE
from preface_hf.pictures.tubes import SCREEN, tubes_frames, tubes_picture, tubes_video
from preface_hf.synthetic import draw_clip
from preface_hf.video.decoding import open_video


TOP, LEFT = 75, 10  # of what is below title and note


@pytest.fixture(scope="module")
def clip():
    return draw_clip(3, "happiness", 4, num_frames=9, size=96)


def is_near(pixel, color):
    return np.abs(pixel.astype(int) - ImageColor.getrgb(color)).max() < 60


def test_boxes_and_dots_of_the_strip_lie_on_the_face(clip):
    picture = np.asarray(tubes_picture(clip.frames, clip.landmarks, clip.fps))
    tile = picture[TOP + 1 : TOP + 1 + TILE, LEFT : LEFT + TILE]
    for x, y in (clip.landmarks[0, [8, 30, 48]] + 0.5) * TILE / 96:
        patch = tile[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3]
        assert patch.max() > 240 and patch.min() < 60, "white dots with a dark rim"
    for part in ("hair", "mouth"):  # no other box lies over their outer edge
        box = (part_boxes(clip.landmarks, part)[0] + 0.5) * TILE / 96
        row = round(float(box[1] if part == "hair" else box[3]))
        column = round(float(box[0] + box[2]) / 2) + 9
        assert any(is_near(tile[row + shift, column], PART_COLORS[part]) for shift in (-1, 0, 1))


def test_each_tube_shows_its_part(clip):
    """A frame that is black but for the mouth: only the tube of the mouth, and what overlaps it, is bright."""
    frames, boxes = np.zeros_like(clip.frames), part_boxes(clip.landmarks, "mouth")
    for frame, (x0, y0, x1, y1) in zip(frames, boxes.round().astype(int), strict=True):
        frame[(y0 + y1) // 2 : y1, x0:x1] = 255
    picture = np.asarray(tubes_picture(frames, clip.landmarks)).astype(float)
    tubes = picture[TOP + 1 : TOP + 1 + TILE, -10 - 6 * 38 : -10].mean(axis=(1, 2))
    light = [tubes[38 * row + 4 : 38 * row + 34].mean() for row in range(len(PARTS))]
    assert PARTS[int(np.argmax(light))] == "mouth" and light[PARTS.index("mouth")] > 100 > max(light[:2])


def test_the_video_has_every_frame_with_its_time(clip):
    video = open_video(tubes_video(clip.frames, clip.landmarks, clip.fps), "pyav")
    shown = video.frames(range(len(clip.frames)))
    assert len(shown) == 9 and shown.shape[1] % 2 == shown.shape[2] % 2 == 0
    drawn = list(tubes_frames(clip.frames, clip.landmarks, clip.fps))
    assert np.abs(shown[8].astype(int) - drawn[8]).mean() < 4
    assert np.abs(drawn[8][:30].astype(int) - drawn[0][:30]).max() > 100, "the time is in the title"
    assert drawn[0].shape[1] > SCREEN and (drawn[0][:30] < 80).any()


def test_what_makes_no_tubes_is_refused(clip):
    with pytest.raises(ValueError, match=r"9 frames and landmarks of shape \(8, 68, 2\)"):
        tubes_picture(clip.frames, clip.landmarks[:8])
    with pytest.raises(ValueError, match="68 points for each frame"):
        tubes_video(clip.frames, np.full((9, 68, 2), np.nan), 25)
