"""Motion: speech, blinks and expressions move what they should."""

import numpy as np

from preface_hf.faces.landmarks import INDICES
from preface_hf.synthetic import EXPRESSIONS, MEAN_FACE, draw_clip
from preface_hf.synthetic.motion import Speech, blinks, close_eyes, expression_motion


def expression_shift(expression):
    """Mean shift (68, 2) that an expression adds to a face, without speech, blinks or pose."""
    return expression_motion(np.random.default_rng(0), np.arange(32) / 25, expression).mean(axis=0)


def test_mouth_opening_follows_the_inner_lips():
    clips = [draw_clip(seed, "neutral", seed, 64, 32) for seed in range(6)]
    for clip in clips:
        gap = np.linalg.norm(clip.landmarks[:, 66] - clip.landmarks[:, 62], axis=-1)
        assert np.corrcoef(gap, clip.mouth_opening)[0, 1] > 0.95
    assert np.concatenate([clip.mouth_opening for clip in clips]).min() >= 0
    assert np.median([clip.mouth_opening.max() for clip in clips]) > 0.08


def test_speech_changes_at_the_rate_of_syllables():
    times = np.arange(400) / 25
    moves = [Speech.draw(np.random.default_rng(seed)).motion(times)[:, 66, 1] for seed in range(8)]
    power = np.mean([np.abs(np.fft.rfft(move - move.mean())) ** 2 for move in moves], axis=0)
    frequencies = np.fft.rfftfreq(400, 1 / 25)
    assert power[frequencies > 9].sum() < 0.05 * power.sum()
    assert power[(frequencies > 2) & (frequencies < 6)].sum() > 0.3 * power.sum()


def test_eyes_close_in_a_blink():
    shut = blinks(np.random.default_rng(0), np.arange(250) / 25)
    points = close_eyes(np.tile(MEAN_FACE, (250, 1, 1)), shut)
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
