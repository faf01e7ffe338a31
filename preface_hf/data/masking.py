"""Which tokens of a clip a masked autoencoder hides: MARLIN's face-guided masking ("Fasking"), what MARLIN compares it
with, and VideoMAE's tubes.

Shapes at line ends: t, h, w tokens of a clip along time, height and width, N = t h w of them. In a mask True hides.
"""

from __future__ import annotations

import numpy as np

from preface_hf.faces.landmarks import PARTS
from preface_hf.faces.regions import REGIONS


STRATEGIES = ("fasking", "opposite", "tube", "random", "frame")
FACE_STRATEGIES = ("fasking", "opposite")  # those that ask where the parts of the face are
PART_CODES = np.array([REGIONS.index(part) for part in PARTS])
OTHER_CODES = np.array([REGIONS.index("background"), REGIONS.index("skin")])


def visible_tokens(tokens: int, mask_ratio: float) -> int:
    """How many of so many tokens stay visible: ⌊(1 - mask_ratio) N⌋ (MARLIN's code).

    Raises `ValueError` where none or all would.
    """
    # Rounded before the floor: 1 - 0.9 is a little less than 0.1, and 10 tokens would leave none visible.
    visible = int(round(tokens * (1 - mask_ratio), 6)) if 0 < mask_ratio < 1 else 0
    if not 0 < visible < tokens:
        raise ValueError(
            f"mask_ratio={mask_ratio} hides all or nothing of the {tokens} tokens of a clip: choose a ratio between 0 "
            f"and 1 that leaves some and hides some."
        )
    return visible


def draw_mask(
    strategy: str, grid: tuple[int, int, int], mask_ratio: float, rng: np.random.Generator, regions: np.ndarray | None
) -> np.ndarray:
    """The mask of one clip, bool `(N,)`, which leaves exactly [`visible_tokens`] visible.

    Args:
        strategy: one of `STRATEGIES`. fasking hides the parts of the face first and shows the background first,
            opposite the other way round; tube hides the same places at all times, frame whole moments, random any.
        grid: t, h, w.
        mask_ratio: share of the tokens that is hidden.
        rng: of everything random.
        regions: codes of `REGIONS` of every token, uint8 `(t, h, w)`, for the face strategies.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"mask_strategy={strategy!r} is unknown: choose one of {', '.join(STRATEGIES)}.")
    visible = visible_tokens(int(np.prod(grid)), mask_ratio)
    if strategy in FACE_STRATEGIES:
        if regions is None:
            raise ValueError(f"mask_strategy={strategy!r} needs to know where the parts of the face are.")
        share = round(1 - mask_ratio, 6)
        shown = face_candidates(regions, keep_order(strategy, rng), share)  # (t, h, w)
    elif strategy == "tube":
        shown = tube_candidates(grid, visible, rng)
    elif strategy == "frame":
        shown = frame_candidates(grid, visible, rng)
    else:
        shown = np.ones(grid, dtype=bool)
    return thin_out(shown.ravel(), visible, rng)


def keep_order(strategy: str, rng: np.random.Generator) -> np.ndarray:
    """Codes of `REGIONS` in the order in which they become visible, drawn once for a clip `(7,)`."""
    # The parts are alike to MARLIN: which of them is seen first is drawn anew for every clip.
    parts = rng.permutation(PART_CODES)
    return np.concatenate([OTHER_CODES, parts] if strategy == "fasking" else [parts, OTHER_CODES[::-1]])


def face_candidates(regions: np.ndarray, order: np.ndarray, share: float) -> np.ndarray:
    """Tokens that may be visible, bool `(t, h, w)`: in every tubelet the first regions of `order` that hold at least a
    `share` of its tokens."""
    # One order serves all tubelets, so a part is hidden throughout; where it is, each tubelet says by its own map.
    shown = np.zeros(regions.shape, dtype=bool)
    for tubelet, candidates in zip(regions, shown, strict=True):
        for code in order:
            candidates |= tubelet == code
            if candidates.mean() >= share:
                break
    return shown


def tube_candidates(grid: tuple[int, int, int], visible: int, rng: np.random.Generator) -> np.ndarray:
    """As few places as hold `visible` tokens, at all times: bool `(t, h, w)`."""
    time, height, width = grid
    places = rng.permutation(height * width)[: -(-visible // time)]
    shown = np.zeros((time, height * width), dtype=bool)
    shown[:, places] = True
    return shown.reshape(grid)


def frame_candidates(grid: tuple[int, int, int], visible: int, rng: np.random.Generator) -> np.ndarray:
    """As few tubelets as hold `visible` tokens, whole: bool `(t, h, w)`."""
    time, height, width = grid
    shown = np.zeros(grid, dtype=bool)
    shown[rng.permutation(time)[: -(-visible // (height * width))]] = True
    return shown


def thin_out(shown: np.ndarray, visible: int, rng: np.random.Generator) -> np.ndarray:
    """The mask `(N,)` that leaves `visible` of the tokens that may be shown, drawn at random."""
    # Every clip of a batch must keep as many (MARLIN's code, which draws among all of the clip, too).
    mask = np.ones(shown.size, dtype=bool)
    mask[rng.choice(np.flatnonzero(shown), visible, replace=False)] = False
    return mask
