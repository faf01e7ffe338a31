"""Fine-tuned runs beside each other: with few and with many labels, from several starts, in several tasks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from preface_hf.pictures.scores import Score, comparison_figure, shares_figure
from preface_hf.tasks.results.reading import Run, read_run
from preface_hf.tasks.results.scoring import PRIMARY
from preface_hf.tasks.rows.splits import read_share


if TYPE_CHECKING:
    from matplotlib.figure import Figure


NAMES = {
    "war": "right answers (WAR)", "uar": "right answers, mean over classes (UAR)", "f1": "F1", "auc": "AUC",
    "mean_auc": "mean AUC", "nme": "error of points (NME)", "eer": "errors (EER)",
}  # fmt: skip
PROTOCOLS = {"full": "all weights", "lora": "LoRA", "linear": "linear", "knn": "kNN", "attentive": "attentive"}
FALLING = ("nme", "failure_rate", "eer")  # scores of which less is better
PIXELS = "pixels"  # the `model` of a run without one, as benchmarks/finetuning/run.py writes it
FINAL = ("final", "teacher", "student")  # folders of a run that a model is named by less well than by the run


@dataclass(frozen=True)
class Tried:
    """A run as a point of a figure: `name` is its start and protocol, `amount` how many labels it had."""

    folder: Path
    task: str
    name: str
    amount: float
    seed: int
    metric: str
    score: Score


def few_labels_figure(runs: Iterable[str | Path], metric: str | None = None) -> Figure:
    """The scores of fine-tuned runs over their share of labels: a line for each start and protocol.

    Args:
        runs: folders of `finetune`, of one task: all with `--labels`, or all with `--shots`. Runs of several seeds
            make one point.
        metric: a score of `scores-test.json`; the task's own without.

    Raises `ValueError` where a folder holds no run with scores, or runs do not go together.
    """
    tried, kind = points_of(runs, metric)
    if len({run.task for run in tried}) > 1:
        raise ValueError(
            f"the runs are of {' and '.join(sorted({run.task for run in tried}))}: draw each task by itself."
        )
    lines: dict[str, dict[float, Score]] = {}
    for (name, amount), several in by(tried, "name", "amount").items():
        lines.setdefault(name, {})[amount] = pooled(several)
    # The names at the ends of lines stand in this order, too: the best at the top.
    ordered = dict(sorted(lines.items(), key=lambda line: -line[1][max(line[1])].value))
    title = f"{tried[0].task}, by how many labels there are"
    return shares_figure(ordered, kind, worded(tried[0].metric), title, spread_note(tried))


def methods_figure(runs: Iterable[str | Path], metric: str | None = None) -> Figure:
    """The scores of fine-tuned runs with the most labels: a panel for each task, a line for each start and protocol.

    Args:
        runs: folders of `finetune`, of any tasks. Runs of several seeds make one point; of runs with several shares of
            labels, those with most are shown.
        metric: a score of `scores-test.json`; each task's own without.

    Raises `ValueError` where a folder holds no run with scores, or two are the same.
    """
    tried, kind = points_of(runs, metric)
    most = {task: max(run.amount for run in several) for (task,), several in by(tried, "task").items()}
    tried = [run for run in tried if run.amount == most[run.task]]
    scores: dict[str, dict[str, Score]] = {}
    falling = set()
    for (task, measure, name), several in by(tried, "task", "metric", "name").items():
        panel = f"{task}: {worded(measure)}"
        scores.setdefault(panel, {})[name] = pooled(several)
        falling |= {panel} if measure in FALLING else set()
    amounts = sorted({f"{amount:g}" for amount in most.values()}, key=float)
    said = f"Test scores with {' or '.join(amounts)} {kind.replace('labels, % of all', '% of the labels')}"
    return comparison_figure(scores, said, spread_note(tried), less_is_better=falling)


def points_of(runs: Iterable[str | Path], metric: str | None) -> tuple[list[Tried], str]:
    """The runs as points, and what their amounts of labels are; `ValueError` where there is no run, one has no score,
    or two are the same."""
    opened = [read_run(run) for run in runs]
    if not opened:
        raise ValueError("no runs are given: name folders of `preface-hf finetune`.")
    shots = {run.about["shots"] is not None for run in opened}
    if len(shots) > 1:
        raise ValueError("some runs have --labels and some --shots: draw each kind by itself.")
    several = len({run.about["model"] for run in opened if not baseline_of(run.about)}) > 1
    tried = [point_of(run, metric, several) for run in opened]
    for (task, name, amount, seed), same in by(tried, "task", "name", "amount", "seed").items():
        if len(same) > 1:
            raise ValueError(
                f"{same[0].folder} and {same[1].folder} are both {name} on {task} with labels {amount:g} and seed "
                f"{seed}: give one of them."
            )
    return tried, "labeled rows of each class" if shots == {True} else "labels, % of all"


def point_of(run: Run, metric: str | None, several: bool) -> Tried:
    """A run as a point; of `several` models each is named."""
    about, scores = run.about, run.scores.get("test", {})
    metric = metric or PRIMARY[about["task"]][0]
    value = scores.get(metric)
    if not isinstance(value, int | float):
        raise ValueError(f"{run.folder} has no score {metric!r} of its test part: evaluate it, or choose a metric.")
    scale = 1.0 if metric == "nme" else 100.0
    low, high = scores.get(f"{metric}_low", value), scores.get(f"{metric}_high", value)
    amount = about["shots"] if about["shots"] is not None else 100 * read_share(about["labels"])
    return Tried(
        run.folder, about["name"] or ", ".join(about["columns"]), name_of(about, several), float(amount),
        int(about["seed"]), metric, Score(scale * value, scale * low, scale * high),
    )  # fmt: skip


def name_of(about: dict[str, Any], several: bool) -> str:
    """What a run started from, and how it was trained."""
    protocol = PROTOCOLS.get(about["protocol"], about["protocol"])
    if baseline := baseline_of(about):
        return f"{baseline}, {protocol}"
    model = Path(about["model"])
    own = model.parent.name if model.name in FINAL else model.name
    return f"{own if several else 'pretrained'}, {protocol}"


def baseline_of(about: dict[str, Any]) -> str:
    """What a run started from in place of a trained model: random weights, or pixels; "" of all others."""
    if about["model"] == PIXELS:
        return PIXELS
    return "random" if about["settings"].get("random_weights") else ""


def by(tried: Iterable[Tried], *names: str) -> dict[tuple[Any, ...], list[Tried]]:
    """The runs in groups that have these attributes in common."""
    groups: dict[tuple[Any, ...], list[Tried]] = {}
    for run in tried:
        groups.setdefault(tuple(getattr(run, name) for name in names), []).append(run)
    return groups


def pooled(several: list[Tried]) -> Score:
    """The mean of several seeds from the lowest to the highest; the interval of one alone."""
    values = [run.score.value for run in several]
    return several[0].score if len(several) == 1 else Score(mean(values), min(values), max(values))


def spread_note(tried: list[Tried]) -> str:
    """What the bars of a figure are."""
    seeds = {len(several) for several in by(tried, "task", "name", "amount").values()}
    parts = [f"Mean of {' or '.join(map(str, sorted(seeds - {1})))} seeds; bars: lowest to highest."] * (seeds != {1})
    parts += ["One seed: bars are 95 % intervals over people."] * (1 in seeds)
    return " ".join(parts)


def worded(metric: str) -> str:
    """What a score is called on an axis."""
    return NAMES.get(metric, metric.replace("_", " ")) + ("" if metric == "nme" else ", %")
