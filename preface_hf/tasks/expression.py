"""FER, facial expression recognition: one emotion of several, or how positive what is said is.

PrefAce and MARLIN report CMU-MOSEI: sentiment of 2 and of 7 classes, and the presence of 6 emotions.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from preface_hf.tasks.base import Task


# An owner's words, in lower case, to those of this package; whatever is not here stays as it is.
WORDS = {
    "angry": "anger", "disgusted": "disgust", "fearful": "fear", "afraid": "fear", "happy": "happiness",
    "joy": "happiness", "sad": "sadness", "surprised": "surprise",
}  # fmt: skip
BASIC = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
SEVEN = ("neutral", *BASIC)
EIGHT = ("neutral", "anger", "contempt", *BASIC[1:])
MOSEI_EMOTIONS = ("happy", "sad", "anger", "surprise", "disgust", "fear")


def emotion(value: Any, classes: tuple[str, ...]) -> Any:
    """The class of an owner's word; of another emotion than `classes` None."""
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    word = WORDS.get(word, word)
    return word if word in classes or word not in (*EIGHT, "calm") else None


def emotions_of(name: str, classes: tuple[str, ...]) -> Task:
    """A set whose column `emotion` holds its owner's words for `classes`."""
    return Task("expression", name, ("emotion",), classes, partial(emotion, classes=classes), recipe=name)


def sentiment_2(value: Any) -> Any:
    """Negative, or not negative (Zadeh et al. 2018), of a number from -3 to 3."""
    return value if value is None or value != value else "negative" if value < 0 else "non-negative"


def sentiment_7(value: Any) -> Any:
    """The nearest whole number from -3 to 3; halves go to the even one, as numpy rounds."""
    return value if value is None or value != value else str(int(round(float(value))))


def felt(value: Any) -> Any:
    """Whether an emotion of strength 0 to 3 is there (MARLIN: presence)."""
    return value if value is None or value != value else int(value > 0)


TASKS = {
    "ck-plus": emotions_of("ck-plus", EIGHT),
    "fer2013": emotions_of("fer2013", SEVEN),
    "raf-db": emotions_of("raf-db", SEVEN),
    "affectnet": emotions_of("affectnet", EIGHT),
    "crema-d": emotions_of("crema-d", ("neutral", "anger", "disgust", "fear", "happiness", "sadness")),
    "ravdess": emotions_of("ravdess", ("neutral", "calm", *BASIC)),
    "mead": emotions_of("mead", EIGHT),
    "cmu-mosei-sentiment-2": Task(
        "expression",
        "cmu-mosei-sentiment-2",
        ("sentiment",),
        ("negative", "non-negative"),
        sentiment_2,
        recipe="cmu-mosei",
    ),
    "cmu-mosei-sentiment-7": Task(
        "expression",
        "cmu-mosei-sentiment-7",
        ("sentiment",),
        tuple(map(str, range(-3, 4))),
        sentiment_7,
        recipe="cmu-mosei",
    ),
    "cmu-mosei-emotion": Task(
        "attributes", "cmu-mosei-emotion", MOSEI_EMOTIONS, MOSEI_EMOTIONS, felt, recipe="cmu-mosei"
    ),
}
