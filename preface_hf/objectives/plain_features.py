"""Features of a whole set before the first step, from clips that are not augmented."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch

from preface_hf.objectives.base import Gather


ROWS_AT_ONCE = 16_384  # while a set is passed through: 70 MB of vit-l's features on each process


def plain_features(
    clips: Iterable[tuple[torch.Tensor, torch.Tensor]],
    encode: Callable[[torch.Tensor], torch.Tensor],
    gather: Gather,
    device: torch.device,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Ids `(n,)` and features `(n, D)` of the clips of all processes, about `ROWS_AT_ONCE` at a time.

    Args:
        clips: ids `(b,)` and uint8 `(b, T, 3, S, S)`; every process has as many batches, of as many clips.
        encode: clips on `device` to features `(b, D)`.
        gather: joins the rows of all processes.
        device: of the features.
    """
    processes = len(gather(torch.zeros(1, device=device)))
    rows: list[tuple[torch.Tensor, torch.Tensor]] = []
    for ids, tubes in clips:
        rows.append((ids.to(device), encode(tubes.to(device))))
        # Processes have as many rows each, so all reach this in the same iteration, and gather together.
        if sum(len(ids) for ids, _ in rows) * processes >= ROWS_AT_ONCE:
            yield join(rows, gather)
            rows = []
    if rows:
        yield join(rows, gather)


def join(rows: list[tuple[torch.Tensor, torch.Tensor]], gather: Gather) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and features of all processes, each id once: processes may repeat rows."""
    ids, features = (gather(torch.cat(parts).contiguous()) for parts in zip(*rows, strict=True))
    # Of an id that comes twice the later row is taken; both are features of the same clip.
    last_rows = list({instance: row for row, instance in enumerate(ids.tolist())}.values())
    return ids[last_rows], features[last_rows]
