"""Features of videos of any length: a parquet file with a row for every window of every face."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from preface_hf.executors import Display, check_executor, run_tasks
from preface_hf.faces.landmarkers import Landmarker, load_landmarker, resolve_landmarker
from preface_hf.faces.squares import one_opencv_thread
from preface_hf.features.encoders import Encoder, load_encoder
from preface_hf.features.sources import Corpus, Described, count_sources, open_corpus, row_schema, sources
from preface_hf.files import check_path, replacing
from preface_hf.progress import count_video
from preface_hf.recipes.base import noun_for


FILES_PER_TASK = 16


def extract(
    model: str | Path,
    src: str | Path,
    out: str | Path,
    *,
    landmarker: str = "auto",
    weights: str | Path | None = None,
    batch_size: int = 8,
    executor: str = "local",
    workers: int = 1,
    tasks: int | None = None,
    cluster: dict[str, Any] | None = None,
) -> dict[str, int]:
    """Write one feature per window of every video in `src` to the parquet file `out`.

    Args:
        model: checkpoint folder or Hub name.
        src: a video, a folder of videos, or a prepared set (then its other columns go along).
        out: columns `source`, `track`, `start_seconds`, `end_seconds`, `num_frames` (of the video, in the window) and
            `feature` (`hidden_size` numbers). The last window of a video may be short: no frame is left out.
        landmarker, weights: how faces are found, as of `prepare`; each is tracked and cropped first. `given` takes
            frames as they are: right for videos that are face crops. Rows of a prepared set are always taken so.
        batch_size: windows a forward pass.
        executor, workers, tasks, cluster: as of `prepare`; a task takes whole files, of a prepared set whole shards.

    Returns:
        Counts: `rows`, `sources`, `left_out`; none where SLURM was given the work. What was left out stands with its
        reason in `<out>.report.jsonl`.

    A killed run continues where it stopped when started again with the same arguments. Raises `ValueError` if `out`
    exists, or if nothing in `src` gave a feature.
    """
    landmarker = resolve_landmarker(landmarker, weights)
    target, src = Path(out).resolve(), Path(src).resolve()
    check_executor(executor, workers, tasks, cluster)
    check_path(target)
    if target.exists():
        raise ValueError(f"{str(out)!r} exists: choose another name, or delete it.")
    load_encoder(model)  # a user's mistake shows before any work is done
    corpus = open_corpus(src)
    finder = None if corpus.prepared or landmarker == "given" else landmarker
    if finder:
        load_landmarker(finder, weights)
    # The default depends on the files alone: with other workers a stopped run finds the same tasks again.
    count = tasks or -(-len(corpus.files) // FILES_PER_TASK)
    # SLURM calls it in its last job; elsewhere this process joins the parts itself.
    finish = Finish(model, src, target, landmarker, weights, batch_size, count)
    step = ExtractFiles(corpus, work_folder(finish, corpus), str(model), finder, weights, batch_size)
    display = Display("extracting", count_sources(corpus), noun_for(corpus.files))
    done = run_tasks(
        step, count, step.work, executor=executor, workers=workers, cluster=cluster, finish=finish, display=display
    )
    return join_parts(step, count, target, src) if done else {}


@dataclass
class Finish:
    """The step after all others: `extract` again, which finds all tasks done and puts their parts together."""

    model: str | Path
    src: Path
    out: Path
    landmarker: str
    weights: str | Path | None
    batch_size: int
    tasks: int

    def __call__(self, _: Any, rank: int, tasks: int) -> None:
        """As datatrove calls it: in this process, as the last job of SLURM has no others to wait for."""
        extract(
            self.model, self.src, self.out, landmarker=self.landmarker, weights=self.weights,
            batch_size=self.batch_size, tasks=self.tasks,
        )  # fmt: skip


@dataclass
class ExtractFiles:
    """The step that every task runs: features of its part of the files of `corpus`, left in the folder `work`."""

    corpus: Corpus
    work: Path
    model: str
    landmarker: str | None
    weights: str | Path | None
    batch_size: int

    def __call__(self, _: Any, rank: int, tasks: int) -> None:
        """Encode the files of task `rank` of `tasks`."""
        left_out: list[dict[str, str]] = []
        count = len(self.corpus.files)
        # Neighboring files: the parts, put one after the other, keep the order of the corpus.
        files = self.corpus.files[rank * count // tasks : (rank + 1) * count // tasks]
        encoder, finder = open_encoder(self.model), open_finder(self.landmarker, self.weights)
        with one_opencv_thread(), replacing(self.part(rank)) as temporary:
            items = self._items(files, encoder, finder, left_out)
            write(items, encoder, row_schema(self.corpus), temporary, self.batch_size)
        with replacing(self.report(rank)) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in left_out), encoding="utf-8")

    def part(self, rank: int) -> Path:
        """The features of a task."""
        return self.work / f"part-{rank:06d}.parquet"

    def report(self, rank: int) -> Path:
        """What a task left out, and why."""
        return self.work / f"report-{rank:06d}.jsonl"

    def _items(
        self, files: list[str], encoder: Encoder, finder: Landmarker | None, left_out: list[dict[str, str]]
    ) -> Iterator[Described]:
        for file in files:
            for source, described in sources(self.corpus, file, encoder, finder):
                # The windows before a damaged place stay, and the video is listed.
                try:
                    yield from described
                except (ValueError, OSError) as error:
                    left_out.append({"source": source, "reason": " ".join(str(error).split())})
                count_video()


@lru_cache(1)
def open_encoder(model: str) -> Encoder:
    """The encoder of a checkpoint; the last one is kept, so that a process loads it once for all its tasks."""
    return load_encoder(model)


@lru_cache(1)
def open_finder(landmarker: str | None, weights: str | Path | None) -> Landmarker | None:
    """The landmarker, None where faces are not looked for; kept like the encoder."""
    return load_landmarker(landmarker, weights) if landmarker else None


def work_folder(call: Finish, corpus: Corpus) -> Path:
    """The folder of a run with these arguments, files and tasks, beside the file to write."""
    settings = (call.tasks, call.model, call.src, call.landmarker, call.weights, call.batch_size)
    # All that the parts depend on is in the name: a run with other arguments finds none of them.
    key = "\n".join([*map(str, settings), *corpus.files])
    work = call.out.with_name(f".{call.out.name}.{hashlib.sha256(key.encode()).hexdigest()[:12]}")
    work.mkdir(parents=True, exist_ok=True)
    return work


def write(items: Iterator[Described], encoder: Encoder, schema: pa.Schema, file: Path, batch_size: int) -> None:
    """Encode in batches, each a row group of `file`: the columns of `schema`, then `feature`."""
    width = encoder.model.config.hidden_size
    schema = schema.append(pa.field("feature", pa.list_(pa.float32(), width)))
    with pq.ParquetWriter(file, schema) as writer:
        while block := list(islice(items, batch_size)):
            # One flat array, cut by its width in arrow: no Python object for each number.
            features = pa.array(encoder([window.frames for _, window in block]).ravel())
            rows = pa.Table.from_pylist([row for row, _ in block], schema=schema.remove(len(schema) - 1))
            writer.write_table(
                rows.append_column(schema.field("feature"), pa.FixedSizeListArray.from_arrays(features, width))
            )


def join_parts(step: ExtractFiles, tasks: int, target: Path, src: Path) -> dict[str, int]:
    """One file of the parts of all tasks, and one report; `target` appears when it is whole."""
    first = "".join(json.dumps(line) + "\n" for line in step.corpus.left_out)
    reports = [first, *(step.report(rank).read_text(encoding="utf-8") for rank in range(tasks))]
    left_out = [json.loads(line) for report in reports for line in report.splitlines()]
    # Written also where no feature came out: it says why.
    target.with_name(f"{target.name}.report.jsonl").write_text("".join(reports), encoding="utf-8")
    rows = 0
    sources: set[str] = set()
    with replacing(target) as temporary:
        with pq.ParquetWriter(temporary, pq.read_schema(step.part(0))) as writer:
            for rank in range(tasks):
                with pq.ParquetFile(step.part(rank)) as part:
                    # One row group in memory, however large the corpus.
                    for group in range(part.num_row_groups):
                        table = part.read_row_group(group)
                        writer.write_table(table)
                        rows, sources = rows + len(table), sources | set(table["source"].to_pylist())
        if not rows:
            temporary.unlink()
            reason = f": {left_out[0]['source']}: {left_out[0]['reason']}" if left_out else ""
            raise ValueError(f"no feature came out of {str(src)!r}{reason}; give videos that show a face.")
    shutil.rmtree(step.work)
    return {"rows": rows, "sources": len(sources), "left_out": len(left_out)}
