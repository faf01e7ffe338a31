"""The sound that a face is to speak: how long and how loud it is, and its mel frames piece by piece."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from preface_hf.audio.sound import SAMPLE_RATE, Sound, end_of, read_pieces
from preface_hf.files import check_path
from preface_hf.modeling.lipsync_preface import level_of
from preface_hf.modeling.sync_preface import HOP_LENGTH, log_mels
from preface_hf.tasks.sync.talks import is_quiet


BLOCK_SECONDS = 10.0
EDGE = 0.04  # seconds beside a cut whose mel frames see what lies beyond it


@dataclass(frozen=True)
class Speech:
    """A file with sound. seconds: from second 0 to its end. level: of its loud parts, as [`level_of`]."""

    source: Path
    seconds: float
    level: float


def read_speech(source: Path) -> Speech:
    """What is known of a sound before it is spoken, in constant memory.

    Raises `ValueError` for a file without sound, and for silence.
    """
    check_path(source)
    if not source.is_file():
        raise ValueError(f"{source} is not a file: give the sound to speak, such as speech.wav.")
    end = max((end_of(piece) for piece in read_pieces(source)), default=0)
    sound, levels = Sound(source), list[np.ndarray]()
    for start in np.arange(0, end / SAMPLE_RATE, BLOCK_SECONDS):
        mels = log_mels(sound.cut(start, min(start + BLOCK_SECONDS, end / SAMPLE_RATE)))
        levels.append(mels.mean(axis=1, keepdims=True))
    level = np.concatenate(levels) if levels else np.zeros((0, 1))
    if is_quiet(level):
        raise ValueError(f"{source} is silent: give a sound with speech in it.")
    return Speech(source, end / SAMPLE_RATE, level_of(level))


class SpeechMels:
    """The mel frames of a speech, cut from front to back."""

    def __init__(self, speech: Speech):
        self.sound = Sound(speech.source)

    def cut(self, start: float, stop: float) -> np.ndarray:
        """Mel frames from second `start` to `stop`, `(100 * (stop - start), 80)`; silence where there is no sound."""
        edge = round(EDGE * SAMPLE_RATE / HOP_LENGTH)
        mels = log_mels(self.sound.cut(start - EDGE, stop + EDGE))
        return mels[edge : edge + max(1, round((stop - start) * SAMPLE_RATE / HOP_LENGTH))]
