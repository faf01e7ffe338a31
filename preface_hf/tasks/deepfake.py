"""DFD, deepfake detection: a score for each video, the mean over its windows.

PrefAce and MARLIN report accuracy and AUC on FaceForensics++ of low quality (c40).
"""

from __future__ import annotations

from typing import Any

from preface_hf.tasks.base import Task


REAL_OR_FAKE = ("real", "fake")


def real_or_fake(value: Any) -> Any:
    """`real` or `fake`, also of words such as `FAKE`, `fake_wav2lip`, and of 0 and 1."""
    if isinstance(value, str):
        word = value.strip().lower()
        return next((name for name in REAL_OR_FAKE if word.startswith(name)), word)
    return {0: "real", 1: "fake"}.get(value, value)


def videos_of(name: str, recipe: str, **where: str) -> Task:
    """A set whose column `label` says real or fake; rows `where` a column has a value count."""
    return Task("deepfake", name, ("label",), REAL_OR_FAKE, real_or_fake, where, recipe)


TASKS = {
    "faceforensics-c23": videos_of("faceforensics-c23", "faceforensics", compression="c23"),
    "faceforensics-c40": videos_of("faceforensics-c40", "faceforensics", compression="c40"),
    "dfdc": videos_of("dfdc", "dfdc"),
    "deepfake": videos_of("deepfake", "folder"),
}
