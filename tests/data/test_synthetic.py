import csv

import numpy as np
import pytest

from preface_hf.data import synthetic, synthetic_drawing
from preface_hf.data.landmarks import INDICES, MIRRORED, flip_landmarks
from preface_hf.data.synthetic import EXPRESSIONS, MEAN_FACE, ClipSpec, draw_clip, identity_shape, write_synthetic
from preface_hf.data.synthetic_drawing import Camera, Painter, appearance


SIZE = 512
FRONTAL = Camera(0.36 * SIZE * np.eye(3)[:2], np.array([SIZE / 2, 0.46 * SIZE]))


def expression_shift(expression):
    """Mean shift (68, 2) that an expression adds to a face, without speech, blinks or pose."""
    return synthetic._expression_motion(np.random.default_rng(0), np.arange(32) / 25, expression).mean(axis=0)


@pytest.fixture
def plain_painter(monkeypatch):
    """Makes painters whose light, blur and noise leave colours as they were chosen."""

    def make(identity):
        painter = Painter(identity, identity_shape(identity), np.random.default_rng(0), SIZE)
        painter.contrast, painter.blur, painter.noise, painter.cast = 0.0, 0.0, painter.noise * 0, painter.cast * 0 + 1
        return painter

    return make


def colour_at(frame, place):
    x, y = np.rint(place).astype(int)
    return frame[y, x].astype(int)


def test_same_arguments_give_the_same_bytes_and_others_do_not():
    first, again, other = (draw_clip(3, "fear", seed, 4, 64) for seed in (5, 5, 6))
    assert first.frames.tobytes() == again.frames.tobytes()
    assert first.landmarks.tobytes() == again.landmarks.tobytes()
    assert first.frames.tobytes() != other.frames.tobytes()


def test_shapes_types_and_ranges():
    clip = draw_clip(1, "neutral", 2, num_frames=5, size=96, fps=30.0)
    assert clip.frames.shape == (5, 96, 96, 3) and clip.frames.dtype == np.uint8
    assert clip.landmarks.shape == (5, 68, 2) and clip.landmarks.dtype == np.float32
    assert clip.mouth_opening.shape == (5,) and clip.pose.shape == (5, 3)
    assert (clip.identity, clip.expression, clip.fps) == (1, "neutral", 30.0)


@pytest.mark.parametrize("size", [64, 128])
def test_landmarks_stay_in_the_picture(size):
    for seed in range(40):
        landmarks = draw_clip(seed, EXPRESSIONS[seed % 8], seed, 6, size).landmarks
        assert np.isfinite(landmarks).all()
        assert landmarks.min() >= 0 and landmarks.max() <= size - 1


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"expression": "joy"}, "unknown expression 'joy': choose one of neutral, happiness"),
        ({"seed": -1}, "seed -1"),
        ({"size": 0}, "size 0"),
        ({"num_frames": 0}, "num_frames 0"),
        ({"fps": 0.0}, "fps 0.0"),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(arguments, match):
    with pytest.raises(ValueError, match=match):
        draw_clip(**({"identity": 0, "expression": "neutral", "seed": 0} | arguments))


def test_mean_face_and_traits_are_symmetric():
    for face in (MEAN_FACE, identity_shape(11)):
        np.testing.assert_allclose(face[MIRRORED] * [-1, 1, 1], face, atol=1e-12)


def test_mirrored_pose_gives_mirrored_landmarks():
    face, middle = identity_shape(4), np.array([(SIZE - 1) / 2, 100.0])
    one, other = (Camera(80 * synthetic.rotation(*pose)[:2], middle) for pose in ((20, 8, -9), (-20, 8, 9)))
    np.testing.assert_allclose(flip_landmarks(one(face), SIZE), other(face), atol=1e-9)


def test_signs_of_the_pose():
    nose_tip, crown = np.array([0, 0, 1.0]), np.array([0, -1.0, 0])
    assert (synthetic.rotation(20, 0, 0) @ nose_tip)[0] > 0
    assert (synthetic.rotation(0, 20, 0) @ nose_tip)[1] < 0
    assert (synthetic.rotation(0, 0, 20) @ crown)[0] > 0


@pytest.mark.parametrize("identity", [0, 4, 7, 12])
@pytest.mark.parametrize("pose", [(0, 0, 0), (28, 8, 12), (-28, -10, -12)])
def test_parts_are_drawn_where_the_landmarks_are(plain_painter, identity, pose):
    painter, look = plain_painter(identity), appearance(identity)
    camera = Camera(0.36 * SIZE * synthetic.rotation(*pose)[:2], FRONTAL.offset)
    points = painter.rest + 0.25 * synthetic._MOVE_FIELDS["jaw_drop"] + synthetic._MOVE_FIELDS["lid_up"]
    frame, places = painter.paint(points, camera, np.zeros(2)), camera(points)
    mouth = colour_at(frame, places[[62, 62, 66]].mean(axis=0))
    np.testing.assert_allclose(mouth, (62, 18, 22), atol=6)
    pupil = camera((points[42] + points[45]) / 2 + [0, -0.01, 0.03])
    np.testing.assert_allclose(colour_at(frame, pupil), (14, 12, 12), atol=6)
    brow = synthetic_drawing._mix(synthetic_drawing._dark(look.hair, 0.3), painter.skin, 0.1)
    for index in (19, 20, 23, 24):
        np.testing.assert_allclose(colour_at(frame, places[index]), brow, atol=6)
    for outer, inner in ((58, 67), (56, 65)):
        lip = colour_at(frame, 0.8 * places[outer] + 0.2 * places[inner])
        np.testing.assert_allclose(lip, look.lips, atol=12)


def test_jaw_is_the_edge_of_the_face(plain_painter):
    bald = next(
        person for person in range(99) if appearance(person).style == "bald" and appearance(person).beard == "none"
    )
    painter = plain_painter(bald)
    frame, places = painter.paint(painter.rest, FRONTAL, np.zeros(2)), FRONTAL(painter.rest)
    for index in (4, 5, 11, 12):
        inward = (places[33] - places[index]) / np.linalg.norm(places[33] - places[index])
        np.testing.assert_allclose(colour_at(frame, places[index] + 4 * inward), painter.skin, atol=4)
        assert np.abs(colour_at(frame, places[index] - 4 * inward) - painter.skin).max() > 8


def test_mouth_opening_follows_the_inner_lips():
    clips = [draw_clip(seed, "neutral", seed, 64, 32) for seed in range(6)]
    for clip in clips:
        gap = np.linalg.norm(clip.landmarks[:, 66] - clip.landmarks[:, 62], axis=-1)
        assert np.corrcoef(gap, clip.mouth_opening)[0, 1] > 0.95
    assert np.concatenate([clip.mouth_opening for clip in clips]).min() >= 0
    assert np.median([clip.mouth_opening.max() for clip in clips]) > 0.08


def test_speech_changes_at_the_rate_of_syllables():
    times = np.arange(400) / 25
    moves = [synthetic._speech_motion(np.random.default_rng(seed), times)[:, 66, 1] for seed in range(8)]
    power = np.mean([np.abs(np.fft.rfft(move - move.mean())) ** 2 for move in moves], axis=0)
    frequencies = np.fft.rfftfreq(400, 1 / 25)
    assert power[frequencies > 9].sum() < 0.05 * power.sum()
    assert power[(frequencies > 2) & (frequencies < 6)].sum() > 0.3 * power.sum()


def test_eyes_close_in_a_blink():
    points = synthetic._blink(np.random.default_rng(0), np.arange(250) / 25, np.tile(MEAN_FACE, (250, 1, 1)))
    gap = points[:, 41, 1] - points[:, 37, 1]
    assert gap.min() < 0.3 * gap.max()
    assert (gap > 0.9 * gap.max()).mean() > 0.8


def test_expressions_move_what_they_should():
    shift = {expression: expression_shift(expression)[:, 1] for expression in EXPRESSIONS}
    assert np.abs(shift["neutral"]).max() == 0
    assert shift["happiness"][[48, 54]].max() < -0.05
    assert shift["sadness"][[48, 54]].min() > 0.04 and shift["sadness"][[21, 22]].max() < -0.05
    assert shift["surprise"][INDICES["brows"]].max() < -0.04
    assert shift["surprise"][66] - shift["surprise"][62] > 0.1
    assert shift["anger"][[21, 22]].min() > 0.05 and shift["anger"][57] - shift["anger"][51] < -0.03
    assert shift["fear"][[21, 22]].max() < -0.05 and shift["fear"][[37, 38, 43, 44]].max() < -0.02
    assert shift["disgust"][[50, 51, 52]].max() < -0.03 and shift["disgust"][[31, 35]].max() < -0.03
    assert shift["contempt"][48] < -0.05 and shift["contempt"][54] == 0


def test_clips_of_one_person_have_closer_shapes_than_those_of_two():
    """Place, size and roll removed and the sides averaged, what remains of the mean shape is mostly identity."""
    people, seeds = range(10), range(12)
    mean = np.stack([[normalised(person, seed) for seed in seeds] for person in people])
    halves = mean[:, ::2].mean(axis=1), mean[:, 1::2].mean(axis=1)
    distances = np.linalg.norm(halves[0][:, None] - halves[1][None], axis=(2, 3))
    assert (distances.argmin(axis=1) == np.arange(len(people))).mean() >= 0.8


def normalised(person, seed):
    """Landmarks of a small clip and their mirror image, averaged, in the frame of the eyes and the chin."""
    landmarks = draw_clip(person, "neutral", seed, 4, 16).landmarks.mean(axis=0).astype(float)
    across = landmarks[42:48].mean(axis=0) - landmarks[36:42].mean(axis=0)
    cosine, sine = across / np.linalg.norm(across)
    upright = (landmarks - landmarks[27:31].mean(axis=0)) @ np.array([[cosine, -sine], [sine, cosine]])
    upright = (upright + upright[MIRRORED] * [-1, 1]) / 2
    return upright / np.linalg.norm(upright)


def test_people_share_traits_but_no_two_are_alike():
    looks = [appearance(person) for person in range(40)]
    for trait in ("skin", "hair", "iris", "style", "clothes"):
        values = [getattr(look, trait) for look in looks]
        assert 4 <= len(set(values)) <= 9
    assert len(set(looks)) == 40


def test_written_clips_read_back(tmp_path):
    specs = [ClipSpec(0, "anger", 1, "train", 6, 64), (7, "surprise", 2, "test", 6, 64, 30.0)]
    write_synthetic(tmp_path, specs, workers=2)
    with (tmp_path / "metadata.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train", "test"]
    assert rows[1]["identity"] == "id_0007" and rows[1]["expression"] == "surprise"
    clip = draw_clip(7, "surprise", 2, 6, 64, 30.0)
    video = tmp_path / rows[1]["file_name"]
    np.testing.assert_array_equal(np.load(video.with_suffix(".npy")), clip.landmarks)
    assert float(rows[1]["mean_mouth_opening"]) == pytest.approx(clip.mouth_opening.mean(), abs=1e-4)
    measured = [float(rows[1][f"mean_{angle}"]) for angle in ("yaw", "pitch", "roll")]
    np.testing.assert_allclose(measured, clip.pose.mean(axis=0), atol=1e-3)
    assert np.abs(decoded(video).astype(int) - clip.frames).mean() < 8


def decoded(video):
    import av

    with av.open(str(video)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_two_clips_of_one_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match="own seed"):
        write_synthetic(tmp_path, [(0, "anger", 1), (0, "anger", 1, "test")])
