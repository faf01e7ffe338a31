"""Damaged videos: every reader is to refuse in one sentence, or to show what a plain loop of PyAV decodes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.fuzz.cases import Case, Outcome, command, digest, one_sentence
from benchmarks.fuzz.damage import DAMAGES, patch
from benchmarks.fuzz.forked import GRACE, run_forked
from benchmarks.fuzz.plain import compare, decode_plainly
from benchmarks.fuzz.video_sources import landmarks, make_base
from preface_hf.modeling import PrefAceVideoProcessor
from preface_hf.modeling.video_inputs_preface import read_video
from preface_hf.modeling.video_pictures_preface import is_picture
from preface_hf.video.decoding import IMAGE_SUFFIXES, frame_size, open_video


__all__ = ["BASE", "cases", "make_base"]
BASE = "videos-base"


def readings(file: Path) -> dict[str, Callable[[], np.ndarray]]:
    """Every way in which the project reads a video: all its frames, uint8 `(frames, height, width, 3)`."""

    def at_random() -> np.ndarray:
        video = open_video(file)
        frames = video.frames(range(video.num_frames))
        ends = video.frames([video.num_frames - 1, 0])
        assert (ends[0] == frames[-1]).all() and (ends[1] == frames[0]).all(), "frames after seeking"
        return frames

    def in_order() -> np.ndarray:
        video = open_video(file, "pyav")
        frames = np.stack(list(video))
        times = video.times
        assert len(times) == len(frames) == video.num_frames and np.isfinite(times).all(), "times"
        assert (np.diff(times) > 0).all() and 0 < video.fps < 10_000, f"times or a rate of {video.fps}"
        return frames

    return {
        "in order": in_order,
        "at random": at_random,
        "from bytes": lambda: np.stack(list(open_video(file.read_bytes()))),
        "processor": lambda: read_video(file, None)[0],
    }  # fmt: skip


def check_readers(file: Path) -> dict[str, str]:
    """Outcome and detail of one file, read in all ways; a traceback is for the caller to see."""
    frame_size(file)
    refused, wrong, plain = {}, {}, decode_plainly(file, None)
    for name, read in readings(file).items():
        try:
            frames = read()
        except ValueError as error:
            refused[name] = str(error)
            if not one_sentence(str(error)):
                return {"outcome": "no sentence", "detail": f"{name}: {error}"}
            continue
        except AssertionError as error:
            wrong[name] = f"wrong {error}"
            continue
        # Bytes are told by their content, files by their ending: a picture called .mp4 is read by Pillow there.
        if name == "from bytes" and is_picture(file) != is_picture(file.read_bytes()):
            continue
        if problem := compare(frames, decode_plainly(file, frames.shape[1:3])):
            wrong[name] = problem
    clip = processed(file)
    if isinstance(clip, str) and not one_sentence(clip):
        return {"outcome": "no sentence", "detail": f"video processor: {clip}"}
    if wrong:
        return {"outcome": "wrong", "detail": f"{wrong}"}
    plays = any(stream.error is None and stream.frames for stream in plain)
    if len(refused) == 4:
        if not isinstance(clip, str):
            return {"outcome": "processor alone takes it", "detail": refused["in order"]}
        return {"outcome": "refused, though it plays" if plays else "refused", "detail": refused["in order"]}
    return {"outcome": "same", "detail": f"some refuse: {refused}" if refused else ""}


def processed(file: Path) -> str | None:
    """The refusal of the video processor; None where it gives a clip."""
    try:
        clip = PrefAceVideoProcessor()(str(file), return_tensors="pt")["pixel_values_videos"]
    except ValueError as error:
        return str(error)
    assert clip.isfinite().all() and clip.shape[1:3] == (16, 3), clip.shape
    return None


def cases(base: Path, folder: Path, seed: int, wanted: Iterator[int]) -> Iterator[Case]:
    """One damaged video for each number; every fifth goes through `prepare`, every fifth through `extract`."""
    sources = sorted((base / "sources").iterdir())
    for number in wanted:
        rng = np.random.default_rng([seed, 1, number])
        source = sources[int(rng.integers(len(sources)))]
        name, data = damaged(source, sources, rng)
        ending = source.suffix
        if rng.random() < 0.08:
            ending = str(rng.choice([".mp4", ".avi", ".mkv", ".ts", ".gif", ".png", ".webm"]))
            name += f", called {ending}"
        work = ("prepare", "extract")[number % 5] if number % 5 < 2 else "readers"
        file = folder / f"case-{number}" / ("src" if work != "readers" else ".") / f"bad{ending}"
        yield Case(number, f"{source.name}: {name}", work, partial(try_one, base, file, data, work))


def damaged(source: Path, sources: list[Path], rng: np.random.Generator) -> tuple[str, bytes]:
    """What was done to a file, and its bytes then."""
    data, dice = source.read_bytes(), rng.random()
    if dice < 0.02:
        return "whole", data
    if dice < 0.12:
        other = sources[int(rng.integers(len(sources)))]
        more = other.read_bytes()
        at, start = int(rng.integers(len(data))), int(rng.integers(len(more)))
        return f"spliced with {other.name}", data[:at] + more[start:] if rng.random() < 0.7 else data + more
    if dice < 0.55:
        return "fields patched", patch(data, rng)
    damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
    return damage.__name__, damage(data, rng)


def try_one(base: Path, file: Path, data: bytes, work: str) -> Outcome:
    """Write the damaged file and read it in a process of its own."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    if work == "readers":
        ended = run_forked(lambda: check_readers(file), file.parent / "log", 5 + GRACE)
        if ended.code == 0:
            return Outcome(**ended.value, seconds=ended.seconds)
        return Outcome.of(ended)
    return try_command(base, file, work)


def try_command(base: Path, file: Path, work: str) -> Outcome:
    """The damaged file beside a good one, with landmarks for both, through a command."""
    good = good_result(base, work)
    for suffix in (".mp4", ".npy"):
        shutil.copy(base / f"good{suffix}", file.parent)
    np.save(file.with_suffix(".npy"), landmarks())
    out = file.parents[1] / "out"
    ended = command(arguments(base, file.parent, out, work), out.parent / "log", good["seconds"])
    outcome = Outcome.of(ended)
    if outcome.outcome != "done":
        return (
            outcome
            if outcome.outcome != "refused"
            else Outcome("good file refused too", ended.err[-300:], ended.seconds)
        )
    found = results(out, work)
    if found["good"] != good["results"]:
        return Outcome("wrong", "the good file beside it gives another result", ended.seconds)
    if found["reason"]:
        sentence = one_sentence(found["reason"])
        return Outcome("listed" if sentence else "no sentence", found["reason"], ended.seconds)
    counts = [len(stream.frames) for stream in decode_plainly(file, None) if not stream.error]
    # A rest of a clip without a frame, or an ending that is no video's: nothing is shown, nothing is wrong.
    if found["frames"] is None:
        aside = not counts or file.suffix in IMAGE_SUFFIXES  # beside videos, pictures are left out
        return Outcome("ignored" if aside else "wrong", f"{counts} frames, neither read nor listed", ended.seconds)
    return Outcome("same" if found["frames"] in counts else "wrong", f"{found['frames']} of {counts}", ended.seconds)


def arguments(folder: Path, src: Path, out: Path, work: str) -> list[str]:
    if work == "prepare":
        return ["prepare", str(src), str(out), "--landmarker", "given", "--crop-size", "64"]
    return ["extract", str(folder / "model"), str(src), str(out), "--landmarker", "given"]


def results(out: Path, work: str) -> dict[str, Any]:
    """The good file's result, the number of frames of the damaged one, or why it was left out."""
    if work == "prepare":
        report = [json.loads(line) for line in (out / "report.jsonl").read_text(encoding="utf-8").splitlines()]
        rows = [row for file in out.glob("data/*.parquet") for row in pq.read_table(file).to_pylist()]
    else:
        report = [json.loads(line) for line in Path(f"{out}.report.jsonl").read_text(encoding="utf-8").splitlines()]
        rows = pq.read_table(out).to_pylist()
    by_file: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for row in rows:
        by_file[row["source"] == "good.mp4"].append({k: v for k, v in row.items() if k != "instance_id"})
    reasons = [line["reason"] for line in report if line["source"].startswith("bad") and line.get("reason")]
    frames = sum(row["num_frames"] for row in by_file[False]) if by_file[False] else None
    return {"good": digest(by_file[True]), "frames": frames, "reason": " / ".join(reasons)}


def good_result(base: Path, work: str) -> dict[str, Any]:
    """What a command makes of the good clip alone, and in how many seconds; measured where it is needed first."""
    file = base / f"{work}.json"
    if not file.exists():
        src, out = base / work / "src", base / work / "out"
        src.mkdir(parents=True)
        for suffix in (".mp4", ".npy"):
            shutil.copy(base / f"good{suffix}", src)
        ended = command(arguments(base, src, out, work), base / work / "log", 60)
        if ended.code:
            raise RuntimeError(f"{work} fails on good input: {ended.err}")
        good = {"results": results(out, work)["good"], "seconds": ended.seconds}
        file.write_text(json.dumps(good), encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))
