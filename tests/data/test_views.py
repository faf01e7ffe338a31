"""Tubes follow their part, flips swap sides, and everything comes from the generator."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers.video_utils import VideoMetadata

from preface_hf import PrefAceVideoProcessor
from preface_hf.data.views import (
    ViewConfig,
    cut_tube,
    draw_color,
    local_boxes,
    make_views,
    mirror,
    photometric,
    plain_view,
    resting_box,
    sample_indices,
    tube_indices,
)
from preface_hf.faces.landmarks import MIRRORED, PARTS, face_height, flip_landmarks, part_boxes, region_centers
from preface_hf.synthetic import draw_clip
from preface_hf.video.windows import windows


CONFIG = ViewConfig(num_frames=8, global_size=48, local_size=24)
PINNED_NAMES = ["global", "global", "local nose", "local right_eye", "left_eye", "right_eye", "nose", "mouth", "hair"]
PINNED_MEANS = [84.5, 91.5, 84.5, 78.5, 78.5, 79.5, 88.5, 95.5, 71.5]
PINNED_COLORS = [0.27785, 0.348458, 0.22922, 0.226324, 0.157937, 0.205414, 0.215607, 0.157289, 0.302637]


@pytest.fixture(scope="module")
def clip():
    return draw_clip(3, "happiness", seed=5, num_frames=8, size=96)


def test_mirroring_twice_is_the_identity():
    assert (MIRRORED[MIRRORED] == np.arange(68)).all()


@pytest.mark.parametrize(("part", "other"), [("left_eye", "right_eye"), ("right_eye", "left_eye")])
def test_flipping_a_clip_swaps_the_eye_tubes(clip, part, other):
    flipped, landmarks = mirror(clip.frames, clip.landmarks)
    of_mirrored = cut_tube(flipped, part_boxes(landmarks, part), 24)
    mirrored = cut_tube(clip.frames, part_boxes(clip.landmarks, other), 24).flip(-1)
    assert (of_mirrored.int() - mirrored.int()).abs().max() <= 1  # the resize rounds
    kept_side = cut_tube(clip.frames, part_boxes(clip.landmarks, part), 24).flip(-1)
    assert (of_mirrored.int() - kept_side.int()).abs().float().mean() > 5


@pytest.mark.parametrize("part", ["nose", "mouth", "hair"])
def test_flipping_keeps_the_other_parts(clip, part):
    flipped, landmarks = mirror(clip.frames, clip.landmarks)
    of_mirrored = cut_tube(flipped, part_boxes(landmarks, part), 24)
    mirrored = cut_tube(clip.frames, part_boxes(clip.landmarks, part), 24).flip(-1)
    assert (of_mirrored.int() - mirrored.int()).abs().max() <= 1


def test_without_settings_tubes_are_those_of_the_paper_index():
    plain = ViewConfig()
    assert (plain.num_frames, plain.sampling_rate) == (16, 2)
    assert (plain.num_global, plain.global_size, plain.global_scale) == (2, 224, (0.4, 1.0))
    assert (plain.num_local, plain.local_size, plain.local_scale, plain.local_shift) == (6, 96, (0.4, 0.9), 0.15)
    assert (plain.parts, plain.tracking, plain.flip_probability) == (PARTS, True, 0.5)


def test_a_flipped_tube_shows_its_part_mirrored(clip):
    """Off the middle of the picture, where landmarks that were not flipped would lie beside the face."""
    frames, landmarks = clip.frames[:, :, 12:], clip.landmarks - np.float32([12, 0])
    plain, flipped = (
        make_views(frames, landmarks, replace(CONFIG, num_local=0, flip_probability=share), np.random.default_rng(0))
        for share in (0, 1)
    )
    others = {"left_eye": "right_eye", "right_eye": "left_eye"}
    swapped = [PARTS.index(others.get(part, part)) for part in PARTS]
    differences = flipped.small_tubes.int() - plain.small_tubes[swapped].flip(-1).int()
    assert differences.abs().max() <= 1  # the resize rounds


def test_the_scale_of_a_global_tube_is_a_share_of_the_area(clip):
    rng = np.random.default_rng(0)
    boxes = np.concatenate([resting_box(clip.frames, (0.4, 1.0), rng) for _ in range(2000)])
    shares = ((boxes[:, 2] - boxes[:, 0]) / 96) ** 2
    assert shares.min() == pytest.approx(0.4, abs=0.01) and shares.max() == pytest.approx(1, abs=0.01)
    assert shares.mean() == pytest.approx(0.7, abs=0.02)  # all shares alike
    assert boxes.min() >= -0.51 and boxes.max() <= 95.51


def test_local_tubes_are_shifted_in_x_and_y_each_by_itself(clip):
    rng = np.random.default_rng(0)
    boxes = np.stack([local_boxes(clip.landmarks, "nose", CONFIG, rng)[0] for _ in range(400)])
    height = face_height(clip.landmarks)
    shifts = ((boxes[:, :2] + boxes[:, 2:]) / 2 - region_centers(clip.landmarks, "nose")[0]) / height
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.2
    assert np.abs(shifts).max(axis=0) == pytest.approx([0.15, 0.15], abs=0.005)
    sides = (boxes[:, 2] - boxes[:, 0]) / height
    assert (sides.min(), sides.max()) == pytest.approx((0.4, 0.9), abs=0.01)


def test_contrast_turns_about_mid_gray_and_brightness_is_a_factor():
    config = ViewConfig(brightness=0.4, contrast=0.3, saturation=0, hue=0, gray_probability=0)
    for seed in range(20):
        drawn = np.random.default_rng(seed)
        brightness, contrast = 1 + drawn.uniform(-0.4, 0.4), 1 + drawn.uniform(-0.3, 0.3)
        color = torch.from_numpy(draw_color(config, np.random.default_rng(seed)))
        for value in (0.3, 0.5, 0.6):
            expected = torch.full((3,), brightness * (0.5 + contrast * (value - 0.5)))
            torch.testing.assert_close(color[:, :3] @ torch.full((3,), value) + color[:, 3], expected)


def test_the_left_eye_is_the_subjects():
    clip = draw_clip(0, "neutral", seed=1, num_frames=1, size=96)
    left, right = (part_boxes(clip.landmarks, part)[0, 0] for part in ("left_eye", "right_eye"))
    assert left > right  # on the right side of the picture
    assert (flip_landmarks(clip.landmarks, 96)[0, 36, 0] - (95 - clip.landmarks[0, 45, 0])) == pytest.approx(0)


def test_tubes_follow_their_part_through_time(clip):
    """A clip whose picture and landmarks move together gives a tube that stands still."""
    frame, points = clip.frames[0], clip.landmarks[0]
    shifts = np.array([[0, 0], [3, 1], [6, -2], [-4, 5]])
    frames = np.stack([np.roll(frame, tuple(shift[::-1]), axis=(0, 1)) for shift in shifts])
    landmarks = np.stack([points + shift for shift in shifts]).astype(np.float32)
    for part in ("nose", "mouth", "left_eye"):
        tube = cut_tube(frames, part_boxes(landmarks, part), 24)
        assert all(torch.equal(tube[0], tube[i]) for i in range(1, 4)), part


def test_resting_tubes_stay_at_their_mean_place(clip):
    """A clip that moves as a whole: followed it stands still in a tube, cut at rest it moves; all else is the same."""
    shifts = np.array([[0, 0], [4, 1], [6, -2], [-6, 5]])
    frames = np.stack([np.roll(clip.frames[0], tuple(shift[::-1]), axis=(0, 1)) for shift in shifts])
    landmarks = np.stack([clip.landmarks[0] + shift for shift in shifts]).astype(np.float32)
    steady = ViewConfig(num_frames=4, global_size=48, local_size=24, flip_probability=0)
    views, resting = (
        make_views(frames, landmarks, config, np.random.default_rng(0))
        for config in (steady, replace(steady, tracking=False))
    )
    mean_nose = part_boxes(landmarks, "nose").mean(axis=0, keepdims=True)
    expected = cut_tube(frames, mean_nose, 24)
    assert torch.equal(resting.small_tubes[resting.names[2:].index("nose")], expected)
    moves = [(view.small_tubes[:, 1:] != view.small_tubes[:, :1]).float().mean() for view in (views, resting)]
    assert moves[0] < 0.1 and moves[1] > 0.5  # a tube at the border sees the picture rolled round
    assert torch.equal(views.global_tubes, resting.global_tubes) and torch.equal(views.colors, resting.colors)


def test_beyond_its_border_the_picture_is_mirrored():
    frames = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1).repeat(3, axis=3)
    tube = cut_tube(frames, np.array([[-2.5, -2.5, 1.5, 1.5]]), 4)
    assert tube[0, 0].tolist() == [[10, 9, 8, 9], [6, 5, 4, 5], [2, 1, 0, 1], [6, 5, 4, 5]]
    far = cut_tube(frames, np.array([[-0.5, -10.5, 3.5, -6.5]]), 4)  # more than a picture away
    assert far[0, 0].tolist() == [[8, 9, 10, 11], [12, 13, 14, 15], [8, 9, 10, 11], [4, 5, 6, 7]]


def test_what_is_drawn_at_random_stays_what_it_was():
    """Names, colors and mean pixels of tubes as the first release that had them drew them: nothing of it may move."""
    frames = np.indices((4, 96, 96)).sum(0)[..., None].repeat(3, 3).astype(np.uint8)
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = 48 + 14 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    points[17:27, 1], points[8] = 40, (48, 60)
    landmarks = np.tile(points, (4, 1, 1)).astype(np.float32)
    config = ViewConfig(num_frames=4, global_size=32, local_size=16, num_local=2)
    views = make_views(frames, landmarks, config, np.random.default_rng([7, 1, 3]))
    assert views.names == PINNED_NAMES
    means = [float(tube.float().mean()) for tube in (*views.global_tubes, *views.small_tubes)]
    assert means == pytest.approx(PINNED_MEANS, abs=0.05)
    assert views.colors.mean(dim=(1, 2)).tolist() == pytest.approx(PINNED_COLORS, abs=1e-5)


def test_views_have_the_promised_shapes_and_names(clip):
    views = make_views(clip.frames, clip.landmarks, CONFIG, np.random.default_rng(0))
    assert views.global_tubes.shape == (2, 8, 3, 48, 48) and views.global_tubes.dtype == torch.uint8
    assert views.small_tubes.shape == (11, 8, 3, 24, 24)
    assert views.colors.shape == (13, 3, 4)
    assert views.names[:2] == ["global", "global"] and tuple(views.names[-5:]) == PARTS


def test_views_depend_on_the_generator_alone(clip):
    def draw(seed):
        return make_views(clip.frames, clip.landmarks, CONFIG, np.random.default_rng(seed))

    one, same, other = draw([1, 2, 3]), draw([1, 2, 3]), draw([1, 2, 4])
    assert torch.equal(one.small_tubes, same.small_tubes) and torch.equal(one.colors, same.colors)
    assert not torch.equal(one.global_tubes, other.global_tubes)


def test_color_changes_are_held_through_a_tube(clip):
    views = make_views(clip.frames[:1].repeat(8, 0), clip.landmarks[:1].repeat(8, 0), CONFIG, np.random.default_rng(0))
    tubes = photometric(views.global_tubes.float() / 255, views.colors[:2])
    assert torch.equal(tubes[:, :1].expand_as(tubes), tubes)
    assert (tubes >= 0).all() and (tubes <= 1).all()
    assert not torch.allclose(tubes, views.global_tubes.float() / 255)


def test_no_color_change_is_the_identity():
    still = ViewConfig(brightness=0, contrast=0, saturation=0, hue=0, gray_probability=0)
    clip = draw_clip(1, "neutral", seed=0, num_frames=2, size=48)
    views = make_views(clip.frames, clip.landmarks, still, np.random.default_rng(0))
    tubes = views.small_tubes.float() / 255
    torch.testing.assert_close(photometric(tubes, views.colors[2:]), tubes, atol=1e-5, rtol=0)


def test_tubes_share_the_frames_of_the_clip_unless_rates_are_given():
    plain = tube_indices(60, CONFIG, np.random.default_rng(0))
    assert plain.shape == (13, 8) and (plain == plain[0]).all()
    config = replace(CONFIG, global_rates=[1, 4], local_rates=[3])
    drawn = tube_indices(60, config, np.random.default_rng(0))
    assert set(np.diff(drawn[:2]).ravel()) <= {1, 4} and (np.diff(drawn[2:]) == 3).all()
    assert len(set(drawn[2:, 0])) > 1  # each at its own place
    globals_only = tube_indices(60, replace(CONFIG, global_rates=[4]), np.random.default_rng(0))
    assert (globals_only[2:] == plain[0]).all()


def test_a_tube_shows_the_frames_that_are_asked_for(clip):
    times = np.array([[7, 5, 3, 1], [0, 1, 2, 3]])
    config = replace(CONFIG, num_frames=4, num_global=1, num_local=0, parts=["mouth"], flip_probability=0)
    views = make_views(clip.frames, clip.landmarks, config, np.random.default_rng(0), times)
    alone = make_views(clip.frames[times[0]], clip.landmarks[times[0]], config, np.random.default_rng(0))
    mouth = cut_tube(clip.frames[:4], part_boxes(clip.landmarks[:4], "mouth"), 24)
    assert torch.equal(views.global_tubes, alone.global_tubes) and torch.equal(views.small_tubes[0], mouth)


@pytest.mark.parametrize("total", [1, 3, 8, 9, 15, 16, 40])
def test_sampled_frames_are_in_order_and_inside(total):
    for seed in range(20):
        indices = sample_indices(total, 8, 2, np.random.default_rng(seed))
        assert len(indices) == 8 and indices.min() >= 0 and indices.max() < total
        assert (np.diff(indices) >= 0).all()
        assert len(set(indices)) == min(total, 8)
    assert sample_indices(40, 8, 2).tolist() == list(range(12, 28, 2))


@pytest.mark.parametrize("total", [1, 3, 8, 9, 14, 15, 16])
def test_training_probes_and_processor_take_the_same_frames(total):
    """One rule for a video that is shorter than a clip or a window; what is longer is begun where each ever did."""
    frames = [np.full((32, 32, 3), index, np.uint8) for index in range(total)]
    trained = sample_indices(total, 8, 2).tolist()
    probed = next(windows(frames, 8, 2)).frames[:, 0, 0, 0].tolist()
    processor = PrefAceVideoProcessor(num_frames=8, sampling_rate=2)
    assert processor.sample_frames(VideoMetadata(total, fps=25)).tolist() == trained == probed
    assert trained == (list(range(0, 16, 2)) if total > 14 else np.linspace(0, total - 1, 8).round().tolist())


def test_the_plain_view_is_the_whole_clip(clip):
    assert torch.equal(plain_view(clip.frames, 96), torch.from_numpy(clip.frames).permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"num_global": 0}, "num_global=0"),
        ({"parts": ["ear"]}, "'ear'"),
        ({"local_rates": [2, 0]}, "0 in local_rates"),
        ({"global_rates": ["fast"]}, "'fast' in global_rates"),
    ],
)
def test_impossible_views_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        ViewConfig(**settings)
