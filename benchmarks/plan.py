"""What the cost model of `preface-hf pretrain --plan` rests on, in CPU time of one thread.

    OMP_NUM_THREADS=1 python benchmarks/plan.py

Prints milliseconds to decode and to cut a drawn clip for the default and smaller views, the FLOP/s of a step,
the cost of the order of 10⁵, 10⁶ and 10⁸ rows, and the rows that are read for each one used by 8 and 1,000 processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import torch

from preface_hf.data.order import draws, shares_of
from preface_hf.data.streams import Batch, read_frames
from preface_hf.data.views import ViewConfig, make_views, plain_view, sample_indices, tube_indices
from preface_hf.plan.flops import clip_flops
from preface_hf.synthetic import EXPRESSIONS, draw_clip
from preface_hf.training.arguments import PretrainArguments, load_arguments
from preface_hf.training.build import build_model
from preface_hf.training.optimizer import build_optimizer
from preface_hf.video.encoding import encode_video


SETS = (("default", 224, 100, "vit-b"), ("vit-t", 64, 100, "vit-t"))  # name, crop, frames, size


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def loading(name: str, crop: int, frames: int, config: ViewConfig) -> None:
    """Decode and cut 6 drawn clips, 4 times each."""
    taken: dict[str, list[float]] = {"decode": [], "cut": [], "un-augmented": []}
    for person in range(6):
        clip = draw_clip(person, EXPRESSIONS[person % 8], person, frames, crop)
        row = {"video": {"bytes": encode_video(clip.frames, 25.0)}, "landmarks": np.float32(clip.landmarks)}
        row |= {"instance_id": person, "num_frames": frames}
        for turn in range(4):
            rng = np.random.default_rng(turn)
            indices = tube_indices(frames, config, rng)
            needed = np.unique(indices)
            decode, read = seconds(lambda: read_frames(row, needed))  # noqa: B023
            cut, _ = seconds(lambda: make_views(*read, config, rng, np.searchsorted(needed, indices)))  # noqa: B023
            middle = sample_indices(frames, config.num_frames, config.sampling_rate)
            plain, _ = seconds(lambda: plain_view(read_frames(row, middle)[0], config.global_size))  # noqa: B023
            for values, value in zip(taken.values(), (decode, cut, plain), strict=True):
                values.append(1000 * value)
    cells = (f"{kind} {np.median(v):.1f} ms ({min(v):.1f} to {max(v):.1f})" for kind, v in taken.items())
    print(f"{name}, crop {crop}: {', '.join(cells)}; the last clip has {len(row['video']['bytes'])} bytes", flush=True)


def step(name: str, arguments: PretrainArguments) -> None:
    """Eight steps on a batch of noise."""
    parts = arguments.parts()
    views, clips = parts.views, arguments.batch_size
    objective = parts.method.objective(
        build_model(arguments, parts), parts.objective, views=views, num_instances=600, max_steps=9, seed=0,
        pixels=([0.5] * 3, [0.5] * 3),
    )  # fmt: skip
    optimizer = build_optimizer(objective.heads, 1e-3)  # type: ignore[attr-defined]
    small = views.num_small
    shapes = ((views.num_global, views.global_size), (small, views.local_size))
    tubes = [torch.randint(0, 255, (clips, n, views.num_frames, 3, s, s), dtype=torch.uint8) for n, s in shapes]
    colors = torch.eye(3, 4).expand(clips, views.num_global + small, 3, 4)
    batch = Batch(torch.arange(clips), *tubes, colors)

    def once() -> None:
        objective(batch, 0).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step(0)

    taken = sorted(seconds(once)[0] for _ in range(9))[:8]
    count = clips * sum(clip_flops(arguments, parts, 600).values())
    speed = count / float(np.median(taken)) / 1e9
    print(f"{name}: {count / 1e9:.1f} GFLOP a step, {np.median(taken):.2f} s, {speed:.1f} GFLOP/s", flush=True)


def order(rows: int) -> None:
    counts, shares = [np.full(rows // 16, 16)], shares_of([1])
    ordered = draws(counts, shares, 0, 512)
    first, _ = seconds(lambda: next(ordered))
    many, _ = seconds(lambda: list(islice(ordered, 65536)))
    middle, _ = seconds(lambda: next(draws(counts, shares, 0, 512, rows // 2)))
    print(
        f"{rows} rows: first draw {first:.3f} s, in the middle {middle:.3f} s, then {1e6 * many / 65536:.1f} µs each"
    )


def reads(world: int, clips: int, window: int, steps: int) -> None:
    """Rows of the row groups that every eighth process reads, over those it uses."""
    ordered = draws([np.full(250_000, 16)], shares_of([1]), 0, window)
    groups: dict[int, set[tuple[int, int]]] = {rank: set() for rank in range(0, world, world // 8)}
    for _ in range(steps):
        block = sorted(islice(ordered, world * clips), key=lambda draw: draw.place)
        for rank, seen in groups.items():
            seen.update((draw.window, draw.group) for draw in block[rank * clips : (rank + 1) * clips])
    share = np.mean([16 * len(seen) / (clips * steps) for seen in groups.values()])
    print(f"{world} processes of {clips} clips, window {window}: {share:.2f} rows read for each used", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    for name, crop, frames, size in SETS:
        loading(name, crop, frames, PretrainArguments(size=size).parts().views)
    loading("demo", 64, 24, load_arguments("demo", {}).parts().views)
    step("demo", load_arguments("demo", {}))
    step("vit-t, 8 clips", PretrainArguments(size="vit-t", batch_size=8))
    for rows in (10**5, 10**6, 10**8):
        order(rows)
    reads(8, 32, 512, 40)
    for window, steps in ((512, 40), (16_000, 40), (128_000, 40), (512_000, 65)):
        reads(1000, 16, window, steps)


if __name__ == "__main__":
    main()
