"""What the papers report, to stand beside scores of ours: only what a source we could read states."""

from __future__ import annotations

from dataclasses import dataclass


PAPER = "MARLIN (CVPR 2023), arXiv 2211.06627"
LISTED = f"{PAPER}, as listed at paperswithcode.com/paper/marlin-masked-autoencoder-for-facial-video"
LISTED_BY_SIZE = f"{PAPER}, as listed at hyper.ai/en/papers/2211.06627"
UNSTATED = "protocol not stated in the source"
EMOTION = "protocol and averaging not stated in the source"
FAKES = "protocol and video quality not stated in the source"


@dataclass(frozen=True)
class PaperRow:
    """A number of a paper.

    Attributes:
        system: what was measured.
        task: its kind here.
        name: of the task and data set, as `preface_hf.tasks` has them.
        protocol: how it was trained, as far as the source tells.
        metric: a score of `preface_hf.metrics`.
        value: between 0 and 1, as ours are.
        source: where the number was read.
    """

    system: str
    task: str
    name: str
    protocol: str
    metric: str
    value: float
    source: str


# What the list calls facial attributes, beside actions, is taken for the appearance attributes of CelebV-HQ. It tells
# no quality of FaceForensics++: its numbers stand at the low one, which PrefAce measures.
PAPERS = (
    PaperRow("MARLIN", "attributes", "celebv-hq-appearance", UNSTATED, "accuracy", 0.9390, LISTED),
    PaperRow("MARLIN", "attributes", "celebv-hq-appearance", UNSTATED, "auc", 0.9561, LISTED),
    PaperRow("MARLIN", "attributes", "celebv-hq-action", UNSTATED, "accuracy", 0.9548, LISTED),
    PaperRow("MARLIN", "attributes", "celebv-hq-action", UNSTATED, "auc", 0.9406, LISTED),
    PaperRow("MARLIN ViT-S", "attributes", "cmu-mosei-emotion", EMOTION, "accuracy", 0.8038, LISTED_BY_SIZE),
    PaperRow("MARLIN ViT-B", "attributes", "cmu-mosei-emotion", EMOTION, "accuracy", 0.8060, LISTED_BY_SIZE),
    PaperRow("MARLIN ViT-S", "deepfake", "faceforensics-c40", FAKES, "auc", 0.8863, LISTED_BY_SIZE),
    PaperRow("MARLIN ViT-B", "deepfake", "faceforensics-c40", FAKES, "auc", 0.9305, LISTED_BY_SIZE),
    PaperRow("MARLIN ViT-L", "deepfake", "faceforensics-c40", FAKES, "auc", 0.9377, LISTED_BY_SIZE),
)
# A system without a row, and why, by task.
NOTES = {
    "expression": "PrefAce measures sentiment and emotion on CMU-MOSEI, ProS expressions; no number of theirs is "
    "public in a source we could read, and those of MARLIN on sentiment do not tell the number of classes.",
    "attributes": "PrefAce measures CelebV-HQ and the emotions of CMU-MOSEI, ProS attributes of images; no number of "
    "theirs is public in a source we could read.",
    "deepfake": "PrefAce measures FaceForensics++ of low quality; no number of it is public in a source we could "
    "read.",
    "landmarks": "ProS measures landmarks; no number of it is public in a source we could read, and neither PrefAce "
    "nor MARLIN measures them.",
}


def paper_rows(task: str, name: str | None) -> list[PaperRow]:
    """The rows to stand beside a run: those of its data set, or without a name all of its task."""
    return [row for row in PAPERS if (row.name == name if name else row.task == task)]
