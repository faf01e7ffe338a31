"""How good a sync expert is on rows of a prepared set, beside what it has to beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from preface_hf.metrics.ranking import auc
from preface_hf.metrics.sync import LipSync
from preface_hf.progress import rows_shown
from preface_hf.tasks.sync.clips import LEAST_SHIFT, SyncClips
from preface_hf.tasks.sync.offsets import MOST_OFFSET, Offsets
from preface_hf.tasks.sync.talks import Talk


def measure(
    compare: Callable[[Talk], Offsets], clips: SyncClips, name: str, groups: Sequence[str], samples: int = 0
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Scores of all rows of `clips`, and a line for each.

    Args:
        compare: from a talk to its distances: an expert by [`find_offsets`], or [`correlated`].
        clips: rows that are in sync as they are.
        name: of the expert, for the scores.
        groups: who is seen in each row, in the order of `clips.rows` without repeats.
        samples: draws of groups for 95 % intervals.

    `auc` is that of windows, each at offset 0 against the same mouth at 3 or more frames; `clip_auc` that of rows.
    """
    rows = list(dict.fromkeys(clips.rows))
    found = [compared(compare, clips.talk(row)) for row in rows_shown(rows, "listening", len(rows))]
    means = np.stack([one.mean for one in found])  # (rows, 31)
    scores = LipSync().compute(
        predictions=means.tolist(), references=[0] * len(found), groups=groups, samples=samples, expert=name
    )
    lines = [
        {"source": clips.table[row]["source"], "track": clips.table[row]["track"], "group": str(group),
         "offset": one.offset, "distance": one.distance, "confidence": one.confidence}
        for row, one, group in zip(rows, found, groups, strict=True) if np.isfinite(one.mean).any()
    ]  # fmt: skip
    aucs = {"auc": pairs_auc(np.concatenate([one.distances for one in found])), "clip_auc": pairs_auc(means)}
    return {**aucs, **scores, "left_out": scores["left_out"] + clips.left_out}, lines


def compared(compare: Callable[[Talk], Offsets], talk: Talk) -> Offsets:
    """The distances of a talk; NaN where it tells nothing, as a mouth that does not move."""
    try:
        return compare(talk)
    except ValueError:
        return Offsets(np.full((1, 2 * MOST_OFFSET + 1), np.nan))


def pairs_auc(distances: np.ndarray) -> float:
    """The share of pairs, one in sync and one shifted, of which the first is nearer, of distances `(windows, 31)`."""
    away = np.abs(np.arange(distances.shape[1]) - MOST_OFFSET)
    labels = np.where(away == 0, 1, np.where(away >= LEAST_SHIFT, 0, -1))
    labels = np.broadcast_to(labels, distances.shape)
    kept = (labels >= 0) & np.isfinite(distances)
    return auc(-distances[kept], labels[kept], np.ones(kept.sum()))
