"""The voice of a synthetic face: a glottal source through formants, driven by the speech that also drives the jaw.

Loudness follows the jaw at lag 0; the first formant rises with it and the second falls as the lips round, as they do
in people. Pitch, length of the vocal tract, breath and timbre belong to the identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preface_hf.synthetic.motion import Speech, Wander


SAMPLE_RATE = 16_000
_HOP, _WINDOW, _FFT = 128, 256, 512  # samples: 8 and 16 ms
_FORMANTS = np.array([300.0, 1500.0, 2500.0, 3500.0])  # Hz, of a closed mouth with neutral lips and a mean tract
_BANDWIDTHS = np.array([90.0, 110.0, 160.0, 240.0])
_LEVEL = 0.15  # RMS of a syllable of full strength
_ROOM = 3e-4  # RMS of the room, so that a pause is not digital silence


@dataclass(frozen=True)
class Voice:
    """pitch in Hz; tract: formants beside the mean tract's; breath: noise beside the voice (0 to 1); timbre: formants'
    bandwidths beside the mean; melody: how far the pitch goes up and down, in semitones.
    """

    pitch: float
    tract: float
    breath: float
    timbre: float
    melody: float


def voice(identity: int) -> Voice:
    """The voice of a person, always the same: pitch 85 to 250 Hz, higher ones with a shorter tract."""
    rng = np.random.default_rng([identity, 5])
    height = rng.uniform()
    pitch, tract = 85 * (250 / 85) ** height, 0.9 + 0.22 * height + rng.normal() * 0.03
    return Voice(pitch, tract, rng.uniform(0.02, 0.2), rng.uniform(0.7, 1.5), rng.uniform(1, 3))


def speak(rng: np.random.Generator, identity: int, speech: Speech, seconds: float) -> np.ndarray:
    """What somebody is heard saying: float32 `(seconds * SAMPLE_RATE,)`, from -1 to 1.

    rng decides melody and noise; speech, which the picture shares, decides what is said when.
    """
    who, count = voice(identity), max(1, round(seconds * SAMPLE_RATE))
    # Jaw, lips and pitch are taken every _HOP samples, and in between by interpolation.
    hops = np.arange(-(-count // _HOP) + 1) * _HOP / SAMPLE_RATE
    opening, times = speech.opening(hops) / speech.loudness, np.arange(count) / SAMPLE_RATE
    # Twelve semitones are an octave, which doubles the pitch.
    pitch = who.pitch * 2 ** (who.melody / 12 * Wander.draw(rng, 0.3, 2)(hops))
    # The phase in periods is the sum of the pitch over time.
    source = glottis(np.cumsum(np.interp(times, hops, pitch)) / SAMPLE_RATE)
    source = (1 - who.breath) * source + who.breath * rng.normal(size=count)
    gains = vocal_tract(who, opening, speech.pucker(hops), pitch)
    spoken = apply_gains(source, gains) * np.interp(times, hops, opening)
    hiss = np.diff(rng.normal(size=count + 1)) * np.interp(times, hops, consonants(opening, speech.talking(hops)))
    return (_LEVEL * (spoken + hiss) + _ROOM * rng.normal(size=count)).clip(-1, 1).astype(np.float32)


def energy_envelope(audio: np.ndarray, num_frames: int, fps: float, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Loudness at each frame: RMS `(num_frames,)` of the audio `(samples,)` within half a frame of second i / fps."""
    squares = np.concatenate([[0.0], np.cumsum(audio.astype(float) ** 2)])
    edges = (np.arange(num_frames + 1) - 0.5) / fps * sample_rate
    edges = edges.round().astype(int).clip(0, len(audio))
    return np.sqrt(np.diff(squares[edges]) / np.diff(edges).clip(1))


def glottis(phase: np.ndarray) -> np.ndarray:
    """Pulses of the glottis at phases `(n,)` in periods, of about unit RMS: open, quickly shut, closed."""
    phase = phase % 1
    opens, shuts = 0.5 - 0.5 * np.cos(np.pi * phase / 0.4), np.cos(np.pi * (phase - 0.4) / 0.32)
    flow = np.where(phase < 0.4, opens, np.where(phase < 0.56, shuts, 0))
    return 2.7 * (flow - 0.3)


def vocal_tract(who: Voice, opening: np.ndarray, pucker: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """What the vocal tract does to each frequency at each hop, `(hops, _FFT // 2 + 1)`, at equal loudness."""
    frequencies = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)[1:]
    formants = np.tile(_FORMANTS, (len(opening), 1))
    # An open jaw raises the first formant, round lips lower the second (Hz).
    formants[:, 0] += 330 * opening
    formants[:, 1] -= 700 * pucker
    centers, widths = who.tract * formants[:, :, None], who.timbre * _BANDWIDTHS[None, :, None]
    resonances = centers**2 / np.hypot(frequencies**2 - centers**2, frequencies * widths)
    gains = resonances.prod(axis=1) * frequencies / 1000  # lips radiate high frequencies better
    # Equal loudness is meant for the spectrum of the glottis, whose high frequencies are weak.
    source = 1 / (1 + (frequencies / (2 * pitch[:, None])) ** 2)
    gains /= np.sqrt(((gains * source) ** 2).sum(axis=1, keepdims=True) / (source**2).sum(axis=1, keepdims=True))
    return np.concatenate([np.zeros((len(opening), 1)), gains], axis=1)


def apply_gains(source: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """The source `(samples,)` with each hop's gains `(hops, frequencies)`: overlapping windows, without a delay."""
    hops = len(gains)
    padded = np.zeros((hops + 3) * _HOP)
    padded[_HOP : _HOP + len(source)] = source  # so that hop i is the middle of window i
    windows = padded[np.arange(hops)[:, None] * _HOP + np.arange(_WINDOW)] * np.hanning(_WINDOW + 1)[:-1]
    grains = np.fft.irfft(np.fft.rfft(np.pad(windows, ((0, 0), (_HOP, _HOP)))) * gains)
    # Each grain is _FFT samples long: it is added in parts of _HOP, each to the hop that it falls into.
    out = np.zeros((hops + 3, _HOP))
    for part in range(_FFT // _HOP):
        out[part : part + hops] += grains[:, part * _HOP : (part + 1) * _HOP]
    return out.ravel()[2 * _HOP : 2 * _HOP + len(source)]


def consonants(opening: np.ndarray, talking: np.ndarray) -> np.ndarray:
    """How much it hisses at each hop: a little where somebody talks with an all but closed mouth."""
    return 0.05 * talking * np.exp(-((opening / 0.2) ** 2))
