"""What a prepared set depends on: its options, checked before any work is done."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from preface_hf.faces.crops import CROPS
from preface_hf.recipes import RECIPES


@dataclass(frozen=True)
class TrackOptions:
    """How tracks are found and cut out. Raises `ValueError` for values that make no sense.

    Attributes:
        crop_size: side of the crops in pixels, even.
        crop: `smooth`, `fixed` or `per-frame`.
        detect_every: the detector sees every so many frames, the landmark network all.
        max_seconds: a longer track is split into several rows.
        min_quality: tracks below it are left out, in [0, 1].
        max_pixels: larger frames are refused.
        audio: the sound of a track is kept beside its video.
    """

    crop_size: int = 224
    crop: str = "smooth"
    detect_every: int = 1
    max_seconds: float = 60.0
    min_quality: float = 0.0
    max_pixels: int = 50_000_000
    audio: bool = False

    def __post_init__(self) -> None:
        # H.264 halves the color planes, so sides are even.
        if self.crop_size < 16 or self.crop_size % 2:
            raise ValueError(f"crop size {self.crop_size} is not an even number of at least 16: use 224")
        if self.crop not in CROPS:
            raise ValueError(f"unknown crop {self.crop!r}: choose one of {', '.join(CROPS)}")
        for name in ("detect_every", "max_pixels", "max_seconds"):
            if not getattr(self, name) >= 1:  # nor NaN
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        if not 0 <= self.min_quality <= 1:
            raise ValueError(f"min_quality {self.min_quality} is not within [0, 1]")


@dataclass(frozen=True)
class SetOptions:
    """All that the rows of a prepared set depend on, named as in `prepare`. Raises `ValueError` as that does.

    Attributes:
        src: the videos or images, an absolute path.
        landmarker: never `auto`: a set remembers which one it was.
    """

    src: Path
    recipe: str
    landmarker: str
    weights: str | None
    tracks: TrackOptions
    media: str
    test_fraction: float
    seed: int

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ValueError(f"unknown recipe {self.recipe!r}: choose one of {', '.join(RECIPES)}")
        if not 0 <= self.test_fraction < 1:
            raise ValueError(f"test fraction {self.test_fraction} is not within [0, 1)")

    def arguments(self) -> dict[str, Any]:
        """These options as `prepare` takes them and `prepare.yaml` stores them."""
        return {
            "src": str(self.src),
            "recipe": self.recipe,
            "landmarker": self.landmarker,
            "weights": self.weights,
            **asdict(self.tracks),
            "media": self.media,
            "test_fraction": self.test_fraction,
            "seed": self.seed,
        }
