"""The command line: each command is a thin door to a function that Python users can call."""

from __future__ import annotations

import json
import os
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from preface_hf.progress import Level, level, set_level
from preface_hf.training import Interrupted


# Heavy libraries are imported inside the commands: `--help` answers at once, and `-q` is set before they look.
app = typer.Typer(
    name="preface-hf",
    help="Self-supervised models of faces in video: from your videos to features.",
    epilog="Exit codes: 0 when all is well, 2 for a mistake that you can mend (one sentence says how), "
    "130 after Ctrl-C or SIGTERM, 1 for anything else.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
# `-q` and `-v` are flags of the app, not of each command: its help would not name them.
command = partial(app.command, epilog="`-q` and `-v`: see `preface-hf --help`.")
QUIET, VERBOSE = ("-q", "--quiet"), ("-v", "--verbose")

# Options that several commands share.
Executor = Annotated[str, typer.Option(help="who runs the tasks: local, slurm or ray (docs/cluster.md)")]
Workers = Annotated[int, typer.Option(help="processes, or jobs at a time")]
Tasks = Annotated[int | None, typer.Option(help="parts to cut the work into; the result does not depend on it")]
Cluster = Annotated[Path | None, typer.Option(help="YAML file of settings for SLURM or Ray")]
Landmarker = Annotated[
    str,
    typer.Option(help="auto (onnx with --weights, else builtin), builtin, onnx, face-alignment[:DETECTOR] or given"),
]
Weights = Annotated[str | None, typer.Option(help="of onnx: folder or Hub name of YuNet and a 68-point network")]


@app.callback()
def show(
    quiet: Annotated[
        bool, typer.Option(*QUIET, help="show errors, and the tables that a command is asked for; nothing else")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            *VERBOSE, help="also show what libraries say, every file left out, and where in the code an error rose"
        ),
    ] = False,
) -> None:
    """Without either, a command shows its progress and a summary. Both flags may also follow the command's name."""
    if quiet and verbose:
        raise ValueError("-q and -v ask for less and for more: give one of them")
    set_level(Level.QUIET if quiet else Level.VERBOSE if verbose else Level.NORMAL)


def say(text: str) -> None:
    """Print a line of the summary."""
    if level() > Level.QUIET:
        typer.echo(text)


def show_left_out(report: Path) -> None:
    """With `-v`, a line for each file of a report that was left out, and why."""
    if level() == Level.VERBOSE:
        for line in map(json.loads, report.read_text(encoding="utf-8").splitlines()):
            # The report of `extract` has no status: it lists only what was left out.
            if line.get("status", "left out") == "left out":
                typer.echo(f"left out: {line['source']}: {line['reason']}")


@command()
def prepare(
    src: Annotated[Path, typer.Argument(help="a video, or a folder of videos or images")],
    out: Annotated[Path, typer.Argument(help="the prepared set; started again, prepare does what is left")],
    recipe: Annotated[
        str, typer.Option(help="how SRC is laid out: folder, csv, hub or a data set (docs/recipes.md)")
    ] = "folder",
    landmarker: Landmarker = "auto",
    weights: Weights = None,
    crop_size: Annotated[int, typer.Option(help="pixels")] = 224,
    crop: Annotated[str, typer.Option(help="smooth, fixed or per-frame")] = "smooth",
    detect_every: Annotated[int, typer.Option(help="the detector sees every so many frames")] = 1,
    max_seconds: Annotated[float, typer.Option(help="longer tracks are split into several rows")] = 60.0,
    min_quality: Annotated[float, typer.Option(help="leave out tracks below this quality, in [0, 1]")] = 0.0,
    max_pixels: Annotated[int, typer.Option(help="leave out files with larger frames")] = 50_000_000,
    audio: Annotated[bool, typer.Option("--audio", help="keep the sound of each track, 16 kHz mono")] = False,
    workers: Workers = 1,
    preview: Annotated[bool, typer.Option("--preview", help="draw a contact sheet, OUT/preview.png")] = False,
    media: Annotated[str, typer.Option(help="auto (videos, else images), video, image or all")] = "auto",
    test_fraction: Annotated[float, typer.Option(help="share of the sources that goes to a test split")] = 0.0,
    seed: Annotated[int, typer.Option(help="of the split")] = 0,
    executor: Executor = "local",
    tasks: Tasks = None,
    cluster: Cluster = None,
) -> None:
    """Find the faces in videos or pictures, and store them with landmarks as a data set.

    Nothing is downloaded: the networks that find faces are part of the package.

    Example: `preface-hf prepare videos/ prepared/ --workers 2 --preview`
    """
    from preface_hf.executors import read_cluster
    from preface_hf.prepare.run import prepare

    show_landmarker(landmarker, weights)
    done = prepare(
        src, out, recipe=recipe, landmarker=landmarker, weights=weights, crop_size=crop_size, crop=crop,
        detect_every=detect_every, max_seconds=max_seconds, min_quality=min_quality, max_pixels=max_pixels,
        audio=audio, workers=workers, preview=preview, media=media, test_fraction=test_fraction, seed=seed,
        executor=executor, tasks=tasks, cluster=read_cluster(cluster),
    )  # fmt: skip
    # SLURM has only taken the tasks: there is no set yet to tell of.
    if done.submitted:
        say(f"SLURM has the tasks; its last job makes {out}. The same command again takes up what failed.")
        return
    show_left_out(done.report)
    rows = ", ".join(f"{count} rows in {name}" for name, count in done.splits.items())
    state = "was prepared already" if done.already_done else "is prepared"
    files, *reasons = done.sentences()
    say(f"{out} {state}: {rows}; splits {done.split_hash}; {files} ({done.report}).")
    for reason in reasons:
        say(reason)


@command()
def curate(
    pool: Annotated[str, typer.Argument(help="prepared set (folder or Hub name)")],
    out: Annotated[Path, typer.Argument(help="the prepared set of what is kept")],
    model: Annotated[str | None, typer.Option(help="checkpoint that makes the features")] = None,
    features: Annotated[Path | None, typer.Option(help="or: features of POOL, by `preface-hf extract`")] = None,
    query: Annotated[str | None, typer.Option(help="faces to retrieve by: prepared set (or features)")] = None,
    neighbors: Annotated[int, typer.Option(help="rows of POOL that each row of the query brings")] = 32,
    max_similarity: Annotated[float, typer.Option(help="cosine above which a row is a duplicate; 1: none is")] = 0.95,
    min_coverage: Annotated[float, typer.Option(help="least share of the crop that the landmarks cover")] = 0.1,
    center: Annotated[bool, typer.Option(help="take the pool's mean from the features")] = True,
    batch_size: Annotated[int, typer.Option(help="windows per forward pass")] = 8,
    backend: Annotated[str, typer.Option(help="numpy or faiss (exact), faiss-ivf (approximate)")] = "numpy",
) -> None:
    """Copy the useful rows of a prepared set: enough face, no near-duplicates, near to a query.

    Example: `preface-hf curate prepared/ curated/ --model run/final --query faces/`
    """
    from preface_hf.curation.curate import curate

    done = curate(
        pool, out, model=model, features=features, query=query, neighbors=neighbors, max_similarity=max_similarity,
        min_coverage=min_coverage, center=center, batch_size=batch_size, backend=backend,  # type: ignore[arg-type]
    )  # fmt: skip
    rows = ", ".join(f"{count} rows in {name}" for name, count in done.splits.items())
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(done.dropped.items())) or "none"
    say(f"{out} holds {rows}; dropped: {dropped} ({done.report}).")


@command()
def pretrain(
    data: Annotated[
        list[str] | None, typer.Option(help="prepared set (folder or Hub name); of several, PATH=WEIGHT each")
    ] = None,
    output_dir: Annotated[str | None, typer.Option(help="the run's folder")] = None,
    method: Annotated[str | None, typer.Option(help="preface, pros, dino, marlin or videomae")] = None,
    size: Annotated[str | None, typer.Option(help="vit-t, vit-s, vit-b or vit-l")] = None,
    max_steps: Annotated[int | None, typer.Option(help="optimizer steps")] = None,
    batch_size: Annotated[int | None, typer.Option(help="clips per process")] = None,
    save_steps: Annotated[int | None, typer.Option(help="steps between checkpoints")] = None,
    seed: Annotated[int | None, typer.Option(help="of everything random")] = None,
    mixed_precision: Annotated[str | None, typer.Option(help="no, bf16, fp16 or auto")] = None,
    num_workers: Annotated[int | None, typer.Option(help="loading processes")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue from the last checkpoint in OUTPUT_DIR")] = False,
    init_from: Annotated[
        str | None, typer.Option(help="checkpoint to start from: any of PrefAce, or one of a run with its teacher")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="recipe (laptop, vit-s, vit-b, vit-l) or YAML file; flags go before it")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="print what the run would cost, and run nothing")] = False,
    machine: Annotated[str, typer.Option(help="of --plan: h100-8, h200-8, a100-8, rtx4090, cpu-2 or YAML")] = "h100-8",
    instances: Annotated[int | None, typer.Option(help="of --plan: rows, where there is no --data")] = None,
) -> None:
    """Pretrain a model on a prepared set; it is saved in OUTPUT_DIR/final.

    Example: `preface-hf pretrain --data prepared/ --output-dir run/ --size vit-t --max-steps 500 --batch-size 32`

    What it would cost: `preface-hf pretrain --config vit-b --plan --machine h100-8 --instances 3425`
    """
    from preface_hf.training.arguments import load_arguments, parse_data

    # None is what was not given: there the value of the file stays, or the default.
    flags = {
        "data": parse_data(data) if data else None, "output_dir": output_dir, "method": method, "size": size,
        "max_steps": max_steps, "batch_size": batch_size, "save_steps": save_steps, "seed": seed,
        "mixed_precision": mixed_precision, "num_workers": num_workers, "init_from": init_from,
    }  # fmt: skip
    arguments = load_arguments(config, flags)
    # A plan needs neither data nor a folder; a run is checked for both.
    if plan:
        from preface_hf.plan.table import show_plan

        return show_plan(arguments, machine, instances)
    from preface_hf.training.loop import pretrain

    for name in ("data", "output_dir"):
        if not getattr(arguments, name):
            raise ValueError(f"{name} is missing: add --{name.replace('_', '-')}.")
    say(f"the model is in {pretrain(arguments, resume=resume)}")


@command()
def extract(
    model: Annotated[str, typer.Argument(help="checkpoint folder or Hub name, or default")],
    src: Annotated[Path, typer.Argument(help="a video, a folder of videos, or a prepared set")],
    out: Annotated[Path, typer.Argument(help="parquet file to write")],
    landmarker: Landmarker = "auto",
    weights: Weights = None,
    batch_size: Annotated[int, typer.Option(help="windows per forward pass")] = 8,
    workers: Workers = 1,
    executor: Executor = "local",
    tasks: Tasks = None,
    cluster: Cluster = None,
) -> None:
    """Write a feature for each window of each face in your videos.

    Videos that are face crops already need no search: `--landmarker given` takes their frames as they are.

    Example: `preface-hf extract run/final talk.mp4 features.parquet`
    """
    from preface_hf.executors import read_cluster
    from preface_hf.features.extract import extract
    from preface_hf.features.sources import is_prepared

    # The rows of a prepared set are face crops: no landmarker works on them.
    if not is_prepared(src):
        show_landmarker(landmarker, weights)
    counts = extract(
        model, src, out, landmarker=landmarker, weights=weights, batch_size=batch_size,
        executor=executor, workers=workers, tasks=tasks, cluster=read_cluster(cluster),
    )  # fmt: skip
    if not counts:
        say(f"SLURM has the tasks; its last job makes {out}. The same command again takes up what failed.")
        return
    show_left_out(out.with_name(f"{out.name}.report.jsonl"))
    say(f"{counts['rows']} windows of {counts['sources']} sources in {out}, {counts['left_out']} left out.")


@command()
def predict(
    run: Annotated[str, typer.Argument(help="fine-tuned checkpoint, a folder or Hub name; or default")],
    src: Annotated[Path, typer.Argument(help="a video, a folder of videos, or a prepared set")],
    out: Annotated[Path | None, typer.Option(help="file to write, .json or .csv")] = None,
    overlay: Annotated[Path | None, typer.Option(help="of one video: .mp4 with the predictions drawn in")] = None,
    form: Annotated[str, typer.Option("--format", help="of what is printed: table, json or csv")] = "table",
    by_window: Annotated[bool, typer.Option("--windows", help="a line of the table for each window")] = False,
    top: Annotated[int | None, typer.Option(help="names to list with their scores; all without it")] = None,
    landmarker: Landmarker = "auto",
    weights: Weights = None,
    batch_size: Annotated[int, typer.Option(help="windows per forward pass")] = 8,
) -> None:
    """Tell what a fine-tuned model says of each face in your videos.

    Example: `preface-hf predict tuned/ talk.mp4 --overlay seen.mp4`
    """
    from preface_hf.features.sources import is_prepared
    from preface_hf.tasks.predict import predict
    from preface_hf.tasks.predicting.predictions import FORMATS, as_text, print_predictions

    if form not in FORMATS:
        raise ValueError(f"--format {form} is unknown: choose {', '.join(FORMATS)}.")
    # What goes into a pipe is nothing but the rows.
    if form == "table" and not is_prepared(src):
        show_landmarker(landmarker, weights)
    rows = predict(
        run, src, out, overlay=overlay, landmarker=landmarker, weights=weights, batch_size=batch_size, top=top
    )
    if form == "table":
        print_predictions(rows, by_window)
    else:
        typer.echo(as_text(rows, form), nl=False)
    for row in rows:
        if row.kind == "left out":
            typer.echo(f"left out: {row.source}: {row.reason}", err=True)
    if form == "table":
        for file in filter(None, (out, overlay)):
            say(f"{file} is written.")


@command()
def probe(
    model: Annotated[str, typer.Argument(help="checkpoint folder or Hub name, or default")],
    data: Annotated[str, typer.Option(help="prepared set")],
    label: Annotated[str, typer.Option(help="column to predict")],
    split: Annotated[str | None, typer.Option(help="test if there is one, else train")] = None,
    group: Annotated[str | None, typer.Option(help="column that folds keep together (source)")] = None,
    folds: Annotated[int, typer.Option(help="of the cross-validation")] = 5,
    seed: Annotated[int, typer.Option(help="of folds and random encoder")] = 0,
) -> None:
    """Measure what simple classifiers read off frozen features.

    The classifiers are kNN and a linear one; pixels and the untrained encoder stand beside the model.

    Example: `preface-hf probe run/final --data prepared/ --label expression --group identity`
    """
    from preface_hf.features.probe import print_probes, probe

    print_probes([probe(model, data, label, split=split, group=group, folds=folds, seed=seed)])


@command()
def finetune(
    model: Annotated[
        str, typer.Argument(help="checkpoint folder or Hub name, or default; of sync an expert, or scratch")
    ],
    data: Annotated[str, typer.Option(help="prepared set; or labeled videos: a folder of folders, or a csv")],
    output_dir: Annotated[str, typer.Option(help="the run's folder, which opens as a model")],
    label: Annotated[
        list[str] | None, typer.Option(help="column to predict; several of yes or no; or landmarks")
    ] = None,
    task: Annotated[str | None, typer.Option(help="instead of --label, a set of the papers (docs/tasks.md)")] = None,
    protocol: Annotated[str, typer.Option(help="full, lora, attentive, linear or knn")] = "full",
    pooling: Annotated[
        str, typer.Option(help="what the head sees: grid (3x3 places), mean, or layers (the last four)")
    ] = "grid",
    labels: Annotated[str, typer.Option(help="share of the labels, such as 1% or 10%")] = "100%",
    shots: Annotated[int | None, typer.Option(help="instead, so many of each class")] = None,
    seed: Annotated[int, typer.Option(help="of everything random")] = 0,
    max_steps: Annotated[int | None, typer.Option(help="20 epochs, and at least 300, without")] = None,
    batch_size: Annotated[int, typer.Option(help="clips a step")] = 16,
    learning_rate: Annotated[float | None, typer.Option(help="by the protocol without")] = None,
    lora_rank: Annotated[int, typer.Option(help="of the matrices that lora adds")] = 8,
    layer_decay: Annotated[float, typer.Option(help="factor of the rate with each layer below")] = 0.75,
    drop_path_rate: Annotated[float, typer.Option(help="stochastic depth")] = 0.0,
    augmentation: Annotated[float, typer.Option(help="strength: 1 moves, turns and recolors, 0 mirrors only")] = 1.0,
    mixup: Annotated[float, typer.Option(help="alpha; 0 mixes no clips")] = 0.0,
    class_weights: Annotated[bool, typer.Option("--class-weights", help="all classes count alike")] = False,
    windows: Annotated[int, typer.Option(help="clips a video to score by")] = 2,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="start anew: what pretraining has to beat")
    ] = False,
    group: Annotated[str | None, typer.Option(help="column of people, who are in one part only")] = None,
    allow_overlap: Annotated[bool, typer.Option("--allow-overlap", help="let people be in two splits")] = False,
    mixed_precision: Annotated[str, typer.Option(help="no, bf16, fp16 or auto")] = "no",
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="less memory for more time")
    ] = False,
    num_workers: Annotated[int, typer.Option(help="loading processes")] = 0,
    expert: Annotated[str | None, typer.Option(help="of lipsync: the sync expert of its loss")] = None,
    adversarial_weight: Annotated[float, typer.Option(help="of lipsync: of an adversary, for sharper mouths")] = 0.0,
    resume: Annotated[bool, typer.Option("--resume", help="continue a run that was stopped")] = False,
    with_faces: Annotated[bool, typer.Option("--with-faces", help="show faces on report.html")] = False,
) -> None:
    """Fine-tune a model on labeled faces, and score it on people that it has not seen.

    Example: `preface-hf finetune run/final --data videos/ --label label --output-dir mine/`

    A row of a paper's table: `preface-hf finetune run/final --data CK+/ --task ck-plus --output-dir ck/`

    Mouths and voices: `preface-hf finetune scratch --data talks/ --task sync --output-dir expert/`

    Lip sync: `preface-hf finetune run/final --data talks/ --task lipsync --expert expert/ --output-dir lips/`
    """
    from preface_hf.tasks.finetune import finetune

    folder = finetune(
        model, data, label or (), task=task, resume=resume, with_faces=with_faces, output_dir=output_dir,
        protocol=protocol, pooling=pooling, labels=labels, shots=shots, seed=seed, max_steps=max_steps,
        batch_size=batch_size, learning_rate=learning_rate, lora_rank=lora_rank,
        layer_decay=layer_decay, drop_path_rate=drop_path_rate, augmentation=augmentation,
        mixup=mixup, class_weights=class_weights, windows=windows, random_weights=random_weights, group=group,
        allow_overlap=allow_overlap, mixed_precision=mixed_precision, gradient_checkpointing=gradient_checkpointing,
        num_workers=num_workers, expert=expert, adversarial_weight=adversarial_weight,
    )  # fmt: skip
    say(f"the model and its {show_scores(folder)} are in {folder}")


@command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="the --output-dir of `finetune`")],
    data: Annotated[str, typer.Option(help="prepared set, or labeled videos as `finetune` takes them")],
    task: Annotated[str | None, typer.Option(help="a set of the papers, whose rows stand beside")] = None,
    label: Annotated[list[str] | None, typer.Option(help="columns, if not called as in training")] = None,
    split: Annotated[str | None, typer.Option(help="test if there is one")] = None,
    group: Annotated[str | None, typer.Option(help="column of people, for the intervals")] = None,
    output_dir: Annotated[Path | None, typer.Option(help="RUN/evaluation-SET without")] = None,
    windows: Annotated[int, typer.Option(help="clips a video")] = 2,
    samples: Annotated[int, typer.Option(help="draws for the 95 % intervals")] = 1000,
    batch_size: Annotated[int, typer.Option(help="clips a forward pass")] = 16,
) -> None:
    """Score a fine-tuned model on a labeled set, beside what papers report.

    Example: `preface-hf evaluate mine/ --data other-videos/`
    """
    from preface_hf.tasks.evaluate import evaluate

    folder = evaluate(
        run, data, task=task, label=label or (), split=split, group=group, output_dir=output_dir, windows=windows,
        samples=samples, batch_size=batch_size,
    )  # fmt: skip
    say(f"tables and {show_scores(folder)} are in {folder}")


def show_scores(folder: Path) -> str:
    """Print the table of a folder of `finetune` or `evaluate`; returns the file that tells more."""
    from preface_hf.tasks.results.tables import evaluation_table
    from preface_hf.tasks.sync.tables import sync_table, task_in

    if (task := task_in(folder)) in ("sync", "lipsync"):
        from preface_hf.tasks.lipsync.scores import lipsync_table

        typer.echo(sync_table(folder) if task == "sync" else lipsync_table(folder))
        return "scores-test.json"
    typer.echo(evaluation_table(folder))
    return "report.html"


@command()
def sync(
    video: Annotated[Path, typer.Argument(help="a video with sound")],
    model: Annotated[
        str | None, typer.Option(help="expert of `finetune --task sync`; without, mouth opening and loudness")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    landmarker: Landmarker = "auto",
    weights: Weights = None,
) -> None:
    """Tell by how much the sound of a video is late, how sure that is, and which of its faces speaks.

    Example: `preface-hf sync talk.mp4 --model expert/`
    """
    from preface_hf.tasks.sync import speakers

    rows = speakers.sync(video, model, landmarker=landmarker, weights=weights)
    if as_json:
        return typer.echo(speakers.as_json(rows))
    speakers.print_speakers(rows)
    say(f"offsets are frames at 25 a second, above 0 where the sound is late; distances are of: {rows[0].expert}")


@command()
def lipsync(
    run: Annotated[str, typer.Argument(help="generator of `finetune --task lipsync`, a folder or Hub name")],
    video: Annotated[Path, typer.Argument(help="the face that is to speak")],
    speech: Annotated[Path, typer.Argument(help="a file with sound; it begins with the first frame")],
    out: Annotated[Path, typer.Argument(help="the .mp4 to write")],
    track: Annotated[
        int | None, typer.Option(help="of several faces, the number that `preface-hf sync` gives")
    ] = None,
    mark: Annotated[bool, typer.Option("--mark/--no-mark", help="write `synthetic` into the picture")] = True,
    landmarker: Landmarker = "auto",
    weights: Weights = None,
) -> None:
    """Give a face the mouth of another sound, at the video's size and times; the file says that it is synthetic.

    **Not for** putting words into a person's mouth without their consent, passing what is made off as a recording,
    or getting past a check of who somebody is. The metadata of OUT always say `synthetic`, the picture unless
    `--no-mark`.

    Example: `preface-hf lipsync lips/ video.mp4 speech.wav out.mp4`
    """
    from preface_hf.tasks.lipsync import speaking

    done = speaking.lipsync(
        run, video, speech, out, track=track, mark=mark, landmarker=landmarker, weights=weights
    )  # fmt: skip
    for note in done.notes:
        typer.echo(f"preface-hf: {note}", err=True)
    say(f"{out} is written: {done.spoken} of {done.frames} frames speak; it is marked as synthetic.")


@command()
def report(
    run: Annotated[Path, typer.Argument(help="the folder of a run of `pretrain`, finished or not")],
    data: Annotated[
        list[str] | None, typer.Option(help="the set it was trained on, if it was moved; of several, each in order")
    ] = None,
) -> None:
    """Write RUN/report.html: settings, curves, views and nearest neighbors.

    The page shows faces of the data set.

    Example: `preface-hf report run/`
    """
    from preface_hf.training.arguments import parse_data
    from preface_hf.training.report import write_report

    say(f"open {write_report(run, parse_data(data) if data else None)} in a browser")


@command()
def push(
    run: Annotated[Path, typer.Argument(help="folder of a run, a checkpoint or a prepared set")],
    repo: Annotated[str, typer.Argument(help="org/name on the Hub; one that exists gets a new commit")],
    repo_type: Annotated[str, typer.Option(help="model, or dataset for a prepared set")] = "model",
    private: Annotated[bool, typer.Option("--private/--public", help="who sees it")] = True,
    with_state: Annotated[bool, typer.Option("--with-state", help="the last checkpoint of `pretrain` too")] = False,
    adapter: Annotated[bool, typer.Option("--adapter", help="the adapter of a LoRA run alone")] = False,
    base: Annotated[str, typer.Option(help="name of the base checkpoint on the Hub")] = "",
    license: Annotated[str, typer.Option(help="of the weights, such as apache-2.0")] = "unknown",
    revision: Annotated[str, typer.Option(help="branch")] = "main",
    message: Annotated[str, typer.Option(help="of the commit")] = "",
) -> None:
    """Push a run with its card, or a prepared set, to the Hugging Face Hub; private unless you say --public.

    Example: `preface-hf push run/ org/name`
    """
    from preface_hf.hub import push

    commit = push(
        run, repo, repo_type=repo_type, private=private, with_state=with_state, adapter=adapter, base=base,
        license=license, revision=revision, message=message,
    )  # fmt: skip
    say(f"{repo} is at commit {commit}")


@command()
def convert(
    src: Annotated[
        str, typer.Argument(help="VideoMAE: a transformers folder or Hub name; MARLIN: a .pt or .ckpt file")
    ],
    out: Annotated[Path, typer.Argument(help="folder of the new checkpoint")],
    source: Annotated[str, typer.Option("--from", help="videomae or marlin")],
) -> None:
    """Turn the encoder of a VideoMAE or MARLIN into a PrefAce checkpoint.

    The processor is written too; heads are left out.

    Example: `preface-hf convert --from marlin marlin_vit_base_ytf.encoder.pt preface-marlin-b/`
    """
    from preface_hf.convert import convert

    config = convert(source, src, out).config
    say(
        f"{out} holds a PrefAceModel of width {config.hidden_size}, {config.num_hidden_layers} layers, "
        f"{config.num_frames} frames of {config.image_size}², and its processor."
    )


@command()
def demo(
    output_dir: Annotated[Path, typer.Option(help="folder of everything the demo makes")] = Path("demo"),
    faces: Annotated[Path | None, typer.Option(help="folder of real face videos; drawn faces without it")] = None,
    weights: Weights = None,
    page: Annotated[
        bool, typer.Option("--page", help="open a page in the browser instead, on this machine only")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="of the page: checkpoint; the demo's, or default, without it")
    ] = None,
    index: Annotated[Path | None, typer.Option(help="of the page: prepared set to find similar clips in")] = None,
    port: Annotated[int, typer.Option(help="of the page")] = 7860,
) -> None:
    """Prepare, pretrain, extract and probe, in minutes on a laptop; `--page` shows what a model sees in a video.

    Example: `preface-hf demo --faces videos/`

    The page: `preface-hf demo --page --model run/final`
    """
    if page:
        from preface_hf.demo.serving import run_page

        return run_page(output_dir, model, index, port)
    from preface_hf.demo.run import run_demo

    run_demo(output_dir, faces, weights)


def show_landmarker(landmarker: str, weights: str | None) -> None:
    """Say which landmarker `auto` stands for."""
    from preface_hf.faces.landmarkers import resolve_landmarker

    # Landmarks depend on the network, so a choice that the user left open is told.
    if landmarker == "auto":
        source = f"--weights {weights}" if weights else "its networks are part of this package"
        say(f"landmarker: {resolve_landmarker(landmarker, weights)} ({source})")


def main(arguments: list[str] | None = None) -> Any:
    """Entry point. Set PREFACE_HF_TRACEBACK=1, or give `-v`, to see where an error rose."""
    # 2 is for what the user can mend, 1 for what he cannot, 130 for a signal.
    try:
        app(level_first(sys.argv[1:] if arguments is None else arguments))
    except Interrupted as stop:
        sys.exit(failed(stop, 130))
    except (ChildProcessError, FloatingPointError) as error:  # a process died, or the loss is no number
        sys.exit(failed(error, 1))
    except (ValueError, OSError) as error:
        sys.exit(failed(error, 2))


def level_first(arguments: list[str]) -> list[str]:
    """The arguments with `-q` and `-v` before the command's name, wherever they stood."""
    # typer knows flags of the app only before the name of a command. What follows `--` stays where it is: a file may
    # be called -q.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags = [argument for argument in arguments[:end] if argument in (*QUIET, *VERBOSE)]
    return [*flags, *(argument for argument in arguments[:end] if argument not in flags), *arguments[end:]]


def failed(error: Exception, code: int) -> int:
    """Say in one sentence what was wrong, and return the exit code."""
    if os.environ.get("PREFACE_HF_TRACEBACK") or level() == Level.VERBOSE:
        traceback.print_exception(error)
    # One line, however many the error has.
    print(f"preface-hf: {' '.join(str(error).split())}", file=sys.stderr)
    return code
