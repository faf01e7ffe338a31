"""What a card may say: facts that the files of a run hold, and nothing else. An empty field was not stated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from preface_hf.files import why_unopened


CONFIG, WEIGHTS, PROCESSOR = "config.json", "*.safetensors", "video_preprocessor_config.json"
# Of a model by its class: what the Hub calls its task, and the door it opens by.
TASKS = {
    "PrefAceForVideoClassification": ("video-classification", "AutoModelForVideoClassification"),
    "PrefAceForLandmarkDetection": ("keypoint-detection", "AutoModelForKeypointDetection"),
    "PrefAceForLipSync": ("video-to-video", "AutoModel"),
}
FEATURES = ("feature-extraction", "AutoModel")
# Of models by their `model_type`: whether they open with a processor.
HAS_PROCESSOR = {"preface": True, "preface_sync": False, "preface_lipsync": False}


@dataclass(frozen=True)
class Source:
    """A data set. `hub` is its `org/name`, empty where it lies on a disk only."""

    name: str
    hub: str = ""
    license: str = ""
    consent: str = ""
    made: str = ""  # recipe and landmarker


@dataclass(frozen=True)
class Score:
    """A number as a file of the run holds it, with its interval, and the command that measured it."""

    metric: str
    value: float
    low: float | None
    high: float | None
    items: int
    split: str
    source: Source
    command: str


@dataclass(frozen=True)
class Group:
    """The score of the rows of one group; `trait` is the column that tells it."""

    trait: str
    value: str
    rows: int
    score: float


@dataclass(frozen=True)
class Facts:
    """What is known of a model.

    Attributes:
        kind: pretraining, fine-tuning, checkpoint (weights alone) or settings (no weights).
        name: of the run's folder.
        config: what config.json holds.
        parameters: numbers in the weights.
        method: of its pretraining, a name of `preface_hf.objectives.methods.METHODS` where it is known.
        protocol: of its fine-tuning.
        base: the checkpoint that it was made from, a folder or a Hub name.
        sources: the sets it was trained on.
        budget: what it cost, by name.
        scores: the test split first.
        groups: scores by age, gender and the like; `group_metric` is what they are.
        gap: why there are no groups.
        settings: as the run stored them, without places on a disk.
        figures: PNGs by name.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    parameters: int
    method: str = ""
    protocol: str = ""
    base: str = ""
    sources: tuple[Source, ...] = ()
    budget: Mapping[str, str] = field(default_factory=dict)
    scores: tuple[Score, ...] = ()
    groups: tuple[Group, ...] = ()
    group_metric: str = ""
    gap: str = "nothing was measured."
    command: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The Hub's name of what it does."""
        return self.of_class[0]

    @property
    def door(self) -> str:
        """The Auto class that opens it."""
        return self.of_class[1]

    @property
    def of_class(self) -> tuple[str, str]:
        """Both of them."""
        return TASKS.get((self.config.get("architectures") or [""])[0], FEATURES)


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a checkpoint of ours that opens by name on the Hub, with weights, all code, and a processor
    where it takes one.

    Raises `ValueError` where `folder` is none.
    """
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read ({why_unopened(error)}): save the model anew.") from error
    if not isinstance(config, dict) or config.get("model_type") not in HAS_PROCESSOR:
        raise ValueError(f"{file} is of no PrefAce model: push a run or a checkpoint of preface-hf.")
    code = {f"{reference.split('.')[0]}.py" for reference in (config.get("auto_map") or {}).values()}
    needed = [PROCESSOR] if HAS_PROCESSOR[config["model_type"]] else []
    missing = [name for name in (*needed, *sorted(code)) if not (folder / name).is_file()]
    if missing or not code:
        what = missing[0] if missing else "an auto_map"
        raise ValueError(
            f"{str(folder)!r} lacks {what}: save model and processor there by save_pretrained, and push again."
        )
    return config


def count_weights(folder: Path) -> int:
    """The numbers in the weights of a checkpoint, from the headers of its files; `ValueError` where they are cut."""
    files, total = sorted(folder.glob("model*.safetensors")), 0
    if not files:
        raise ValueError(
            f"{str(folder)!r} holds no weights (model.safetensors): save the model there, and push again."
        )
    for file in files:
        try:
            with safe_open(file, "pt") as opened:
                for name in opened.keys():  # noqa: SIM118 (no dictionary)
                    size = 1
                    for side in opened.get_slice(name).get_shape():
                        size *= side
                    total += size
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{file} is damaged ({why_unopened(error)}): save the model anew.") from error
    return total
