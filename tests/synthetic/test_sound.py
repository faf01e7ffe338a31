"""The voice follows the mouth at lag 0, and belongs to the person."""

import numpy as np
import pytest

from preface_hf.synthetic import EXPRESSIONS, SAMPLE_RATE, draw_clip, energy_envelope
from preface_hf.synthetic.motion import Speech
from preface_hf.synthetic.sound import speak, voice


@pytest.fixture(scope="module")
def clips():
    return [draw_clip(person, EXPRESSIONS[person % 8], person, 64, 16, sound=True) for person in range(16)]


def lagged(mouth, envelope, lag):
    """Correlation of the mouth with the sound `lag` frames later."""
    early, late = max(0, -lag), max(0, lag)
    return np.corrcoef(mouth[early : len(mouth) - late], envelope[late : len(mouth) - early])[0, 1]


def test_sound_is_mono_float_of_the_length_of_the_clip(clips):
    for clip in clips:
        assert clip.sample_rate == SAMPLE_RATE == 16000
        assert clip.audio.dtype == np.float32 and clip.audio.shape == (64 * 16000 // 25,)
        assert np.isfinite(clip.audio).all() and 0.05 < np.abs(clip.audio).max() <= 1
    assert draw_clip(0, "neutral", 0, 10, 8, 30000 / 1001, sound=True).audio.shape == (round(10 * 16000 * 1.001 / 30),)


def test_the_lips_open_with_the_voice_at_lag_0(clips):
    pairs = [(clip.mouth_opening, energy_envelope(clip.audio, 64, clip.fps)) for clip in clips]
    curve = {lag: np.median([lagged(*pair, lag) for pair in pairs]) for lag in range(-8, 9)}
    assert curve[0] > 0.9
    assert max(curve[-1], curve[1]) < curve[0] - 0.15
    assert max(curve[lag] for lag in curve if abs(lag) >= 2) < 0.5
    assert abs(curve[-1] - curve[1]) < 0.1  # neither leads
    best = [max(range(-8, 9), key=lambda lag: lagged(*pair, lag)) for pair in pairs]
    assert np.mean(np.array(best) == 0) >= 0.95


def test_a_mouth_and_the_sound_of_another_clip_do_not_agree(clips):
    envelopes = [energy_envelope(clip.audio, 64, clip.fps) for clip in clips]
    swapped = [lagged(clip.mouth_opening, other, 0) for clip, other in zip(clips, envelopes[1:], strict=False)]
    assert np.mean(swapped) < 0.35


def test_the_envelope_is_the_rms_around_each_frame():
    audio = np.zeros(SAMPLE_RATE, np.float32)
    audio[int(0.48 * SAMPLE_RATE) : int(0.52 * SAMPLE_RATE)] = 0.5
    envelope = energy_envelope(audio, 25, 25.0)
    assert envelope.shape == (25,) and envelope.argmax() in (12, 13)
    assert np.isclose((envelope**2).sum(), 0.25, rtol=0.02)  # one frame's worth of samples at 0.5


def steady(identity, opening, pucker=0.0):
    """Two seconds of one vowel: speech that holds still."""

    class Held(Speech):
        def opening(self, times):
            return np.full(len(times), opening * self.loudness)

        def pucker(self, times):
            return np.full(len(times), pucker)

    drawn = Speech.draw(np.random.default_rng(0))
    return speak(np.random.default_rng(1), identity, Held(**vars(drawn)), 2.0)


def pitch_of(audio):
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 2 * len(audio))) ** 2
    echo = np.fft.irfft(spectrum)[: len(audio)]
    low, high = SAMPLE_RATE // 320, SAMPLE_RATE // 65
    return SAMPLE_RATE / (low + echo[low:high].argmax())


@pytest.mark.parametrize("identity", range(8))
def test_the_voice_has_the_pitch_of_the_person(identity):
    assert pitch_of(steady(identity, 1.0)) == pytest.approx(voice(identity).pitch, rel=0.3)


def test_people_have_voices_of_their_own():
    voices = [voice(person) for person in range(300)]
    pitches = np.array([own.pitch for own in voices])
    assert pitches.min() < 100 and pitches.max() > 220 and len(set(voices)) == 300
    assert voice(5) == voice(5)
    assert np.corrcoef(pitches, [own.tract for own in voices])[0, 1] > 0.7


def centroid(audio, low, high):
    power, frequencies = np.abs(np.fft.rfft(audio)) ** 2, np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE)
    band = (frequencies > low) & (frequencies < high)
    return (power[band] * frequencies[band]).sum() / power[band].sum()


@pytest.mark.parametrize("identity", range(4))
def test_formants_follow_jaw_and_lips(identity):
    assert centroid(steady(identity, 1.4), 150, 1000) > centroid(steady(identity, 0.4), 150, 1000) + 40
    assert centroid(steady(identity, 1.0, 0.6), 900, 2400) < centroid(steady(identity, 1.0, -0.6), 900, 2400) - 150


def test_a_closed_mouth_is_quiet():
    loud, closed = (np.sqrt((steady(2, opening) ** 2).mean()) for opening in (1.0, 0.0))
    assert 0.05 < loud < 0.2 and closed < 0.15 * loud
