"""Motion: how a face acts in a clip. Expression, speech, blinks, head and gaze are smooth functions of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preface_hf.synthetic.shape import MOVES, full_expression


# Points of the upper lids, and below each of them its partner on the lower lid.
_UPPER_LIDS, _LOWER_LIDS = [37, 38, 43, 44], [41, 40, 47, 46]


@dataclass(frozen=True)
class Wander:
    """A smooth random signal of about unit deviation: six sines, `frequencies` in Hz and `phases` in radians."""

    frequencies: np.ndarray
    phases: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, low: float, high: float) -> Wander:
        """A signal with frequencies from low to high in Hz."""
        return cls(rng.uniform(low, high, 6), rng.uniform(0, 2 * np.pi, 6))

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """The signal `(n,)` at times `(n,)` in seconds."""
        return np.sin(2 * np.pi * np.outer(times, self.frequencies) + self.phases).sum(axis=1) / np.sqrt(3)


@dataclass(frozen=True)
class Speech:
    """What a clip says, as functions of seconds: jaw and lips follow them in the picture, the voice in sound."""

    syllables: Wander
    phrases: Wander
    talkative: float
    loudness: float
    rounding: Wander

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Speech:
        """Speech with syllables at 2.5 to 5.5 Hz, pauses, and lips that round now and then."""
        syllables, phrases = Wander.draw(rng, 2.5, 5.5), Wander.draw(rng, 0.2, 0.8)
        talkative, loudness = rng.uniform(-0.5, 1.2), rng.uniform(0.12, 0.2)
        return cls(syllables, phrases, talkative, loudness, Wander.draw(rng, 1, 3))

    def talking(self, times: np.ndarray) -> np.ndarray:
        """0 in a pause to 1 in a phrase, `(n,)`."""
        return 1 / (1 + np.exp(-6 * (self.phrases(times) + self.talkative)))

    def opening(self, times: np.ndarray) -> np.ndarray:
        """How far the jaw is dropped, `(n,)`, from 0 (closed) to about 0.3."""
        return self.loudness * (0.5 + 0.5 * self.syllables(times)).clip(0, 1.6) * self.talking(times)

    def pucker(self, times: np.ndarray) -> np.ndarray:
        """How far the lips are rounded, `(n,)`, from about -1 (spread) to 1."""
        return 0.4 * self.rounding(times) * self.talking(times)

    def motion(self, times: np.ndarray) -> np.ndarray:
        """What speech adds to the points, `(n, 68, 3)` in face units."""
        moves = MOVES["jaw_drop"] * self.opening(times)[:, None, None]
        return moves + MOVES["pucker"] * self.pucker(times)[:, None, None]


@dataclass(frozen=True)
class Performance:
    """How somebody acts in a clip, whoever it is. times: seconds `(frames,)`. expression: offsets `(frames, 68, 3)`
    in face units. closed: `(frames,)`, 1 where the eyes are shut. pose: degrees `(frames, 3)`, as in `SyntheticClip`.
    gaze: `(frames, 2)`, how far the irises move, in face units.
    """

    times: np.ndarray
    expression: np.ndarray
    speech: Speech
    closed: np.ndarray
    pose: np.ndarray
    gaze: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, times: np.ndarray, expression: str) -> Performance:
        """A performance with an expression."""
        emotion, speech = expression_motion(rng, times, expression), Speech.draw(rng)
        return cls(times, emotion, speech, blinks(rng, times), *head_and_gaze(rng, times))

    def points(self, rest: np.ndarray) -> np.ndarray:
        """The face `rest` `(68, 3)` acting: `(frames, 68, 3)` in face units, before the head turns."""
        return close_eyes(rest + self.expression + self.speech.motion(self.times), self.closed)


def expression_motion(rng: np.random.Generator, times: np.ndarray, expression: str) -> np.ndarray:
    """What an expression that comes and goes adds to the points, `(frames, 68, 3)` in face units."""
    apex, width = rng.uniform(times[0], times[-1] + 1e-6), rng.uniform(0.4, 1.2)
    # A bell over time, `width` seconds wide; away from its apex 0.6 of the expression stays.
    intensity = 0.6 + 0.4 * np.exp(-(((times - apex) / width) ** 2))
    return intensity[:, None, None] * full_expression(expression)


def blinks(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """How far the eyes are shut, `(frames,)` from 0 to 1: a blink every 1.5 to 4.5 seconds."""
    # Enough starts for the whole clip, as they lie at least 1.5 seconds apart.
    starts = rng.uniform(0, 3) + np.cumsum(rng.uniform(1.5, 4.5, 2 + int(times[-1]))) - 1.5
    return np.exp(-(((times[:, None] - starts) / 0.07) ** 2)).max(axis=1)


def close_eyes(points: np.ndarray, closed: np.ndarray) -> np.ndarray:
    """Points `(frames, 68, 3)` with the upper lids `closed` `(frames,)` of the way down; changes and returns them."""
    points[:, _UPPER_LIDS] += closed[:, None, None] * 0.96 * (points[:, _LOWER_LIDS] - points[:, _UPPER_LIDS])
    return points


def head_and_gaze(rng: np.random.Generator, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pose `(frames, 3)` in degrees and gaze `(frames, 2)` in face units."""
    # Up to 25 degrees of yaw and 12 of pitch and roll for the whole clip; motion adds a few.
    base = rng.uniform(-1, 1, 3) * [25, 12, 12]
    moving = np.stack([Wander.draw(rng, 0.1, 0.8)(times) for _ in range(3)], axis=1) * [5, 3, 2]
    glance = np.stack([Wander.draw(rng, 0.2, 1)(times) for _ in range(2)], axis=1) * [0.02, 0.008]
    pose = base + moving
    # Eyes turn part of the way back toward the camera when the head turns away.
    return pose, glance + pose[:, :2] * [-0.0015, 0.001]
