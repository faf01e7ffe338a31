"""Values as pure functions of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math


def cosine(step: int, total: int, start: float, end: float) -> float:
    """From `start` at step 0 to `end` at step `total` along half a cosine; `end` afterwards."""
    progress = min(step / max(total, 1), 1.0)
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def linear(step: int, total: int, start: float, end: float) -> float:
    """From `start` at step 0 to `end` at step `total` along a line; `end` afterwards."""
    return start + (end - start) * min(step / max(total, 1), 1.0)


def warmup_cosine(step: int, warmup: int, total: int, peak: float, end: float) -> float:
    """Linear to `peak` during the first `warmup` steps (step 0 already moves), then a cosine to `end` at `total`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return cosine(step - warmup, total - warmup, peak, end)
