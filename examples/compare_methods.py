"""Compare pretraining methods: one backbone, one set, one seed, and as many FLOPs of the encoder for each.

    pip install preface-hf[demo]
    python examples/compare_methods.py --data SET --label COLUMN --output-dir comparison/ --max-steps 100

SET is a prepared set with labels. Every method is pretrained on its split `train` by its packaged laptop settings,
and probed on `test`, if there is one. The reference makes `--max-steps` steps, the others as many as cost as much.
The result is `comparison.md` and `comparison.png`. The same command again continues what was stopped; with more
`--methods` it adds them.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from preface_hf.data.opening import open_mixture
from preface_hf.features.labeled import labeled_rows
from preface_hf.features.probe import probe
from preface_hf.objectives.methods import METHODS
from preface_hf.pictures.scores import Score, comparison_figure
from preface_hf.plan.flops import run_encoder_flops
from preface_hf.plan.table import flops
from preface_hf.training.arguments import CONFIGS, PretrainArguments, load_arguments
from preface_hf.training.build import ENCODER
from preface_hf.training.log import read_metrics
from preface_hf.training.loop import pretrain


# What all have in common, over settings of their own. A clip has 64 tokens, of which a masked autoencoder sees 6, and
# is one tubelet long, as methods of pictures have it. With one rate all are probed on the same frames. Of all the
# student is probed: after a short run a teacher is still close to its random start.
COMMON = {"size": "vit-t", "publish": "student"}
MODEL = {"image_size": 48, "patch_size": 6, "num_frames": 2, "tubelet_size": 2}
VIEWS = {"sampling_rate": 4}


@dataclass
class Run:
    """A run of a method, and FLOPs of the encoder: before step 1, and of a step."""

    settings: PretrainArguments
    start: int
    step: int

    @property
    def cells(self) -> list[str]:
        steps, clips = self.settings.max_steps, self.settings.batch_size * self.settings.gradient_accumulation_steps
        whole = flops(self.start + steps * self.step)
        return [flops(self.start), flops(self.step), f"{steps:,}", f"{steps * clips:,}", whole]


HEAD = ["FLOPs before step 1", "of a step", "steps", "clips", "FLOPs in all"]


def main(data, label, output_dir, methods=None, reference="preface", max_steps=100, seed=0, split=None, group=None):
    folder = Path(output_dir)
    labeled_rows(data, label, split=split, group=group)  # what cannot be probed is refused before anything runs
    runs = plan_runs(methods or list(METHODS), reference, max_steps, data, seed, folder)
    print(f"FLOPs of the encoder\n\n{table(['method', *HEAD], {name: run.cells for name, run in runs.items()})}\n")

    scores, seconds = {}, {}
    for name, run in runs.items():
        final = pretrain(run.settings, resume=True)
        # The first step waits until loading has begun.
        logged = [row["seconds"] for row in read_metrics(folder / name / "metrics.jsonl")]
        seconds[name] = median(logged[1:] or logged) * run.settings.max_steps
        # The backbone is one: what it tells before training, and what pixels tell, is asked once.
        result = probe(final, data, label, split=split, group=group, seed=seed, baselines=not scores)
        for score in result.scores:
            encoder = name if score.encoder == "pretrained encoder" else score.encoder
            scores.setdefault(encoder, {})[score.classifier] = 100 * score.mean, 100 * score.spread

    classifiers, chance = list(scores["pixels"]), 100 * result.chance
    cells = {name: [*run.cells, f"{seconds[name]:.0f}"] for name, run in runs.items()}
    for name, values in scores.items():
        cells.setdefault(name, [""] * (len(HEAD) + 1)).extend(f"{mean:.1f} ± {sd:.1f}" for mean, sd in values.values())
    text = (
        f"# Pretraining methods at equal FLOPs of the encoder\n\n"
        f"`{label}` of {Path(data).name}: {result.num_rows} clips, {result.num_classes} classes, chance {chance:.1f}. "
        f"Scores are accuracies in %, mean ± standard deviation over {result.folds} folds by `{result.group}`.\n"
        f"{reference} makes {max_steps:,} steps, all others as many as cost as much. One run each, seed {seed}: "
        f"the spread is that of the folds, not that of training.\n"
        f"FLOPs are those of the encoders, of student and teacher; heads, decoders and losses come on top. "
        f"The students are probed.\n\n"
        f"{table(['encoder', *HEAD, 'seconds of its steps', *classifiers], cells)}\n\n![scores](comparison.png)\n"
    )
    (folder / "comparison.md").write_text(text, encoding="utf-8")
    draw(scores, classifiers, chance, f"accuracy of {label}, %").savefig(folder / "comparison.png")
    print(f"{text}\nThis is {folder / 'comparison.md'}; beside it is comparison.png.")


def plan_runs(methods, reference, max_steps, data, seed, folder):
    """The run of each method, as long as the reference's `max_steps` in FLOPs of the encoder."""
    instances, runs = open_mixture(data).num_rows, {}
    for name in dict.fromkeys([reference, *methods]):
        settings = settings_of(name, {"data": data, "seed": seed, "output_dir": str(folder / name)})
        runs[name] = Run(settings, *run_encoder_flops(settings, instances))
    budget = runs[reference].start + max_steps * runs[reference].step
    for name, run in runs.items():
        own, steps = run.settings, round((budget - run.start) / run.step)
        if steps < 1:
            raise ValueError(f"max_steps={max_steps} of {reference} leave {name} no step: give more of them.")
        if backbone(own) != backbone(runs[reference].settings):
            raise ValueError(f"the settings of {name} change the backbone {MODEL}: leave it out of --methods.")
        # The warm-up stays the same share of the run.
        run.settings = replace(own, max_steps=steps, warmup_steps=round(own.warmup_steps * steps / own.max_steps))
    return {name: runs[name] for name in methods}


def settings_of(method, flags):
    """The packaged laptop settings of a method on the common backbone."""
    packaged = f"{method}-laptop" if (CONFIGS / f"{method}-laptop.yaml").exists() else "laptop"
    own = load_arguments(packaged, {"method": method, **COMMON, **flags})
    return replace(own, model={**own.model, **MODEL}, views={**own.views, **VIEWS})


def backbone(settings):
    """What two comparable encoders share: their sizes, and the frames that they see of a video."""
    parts = settings.parts()
    sizes = [getattr(parts.model, name) for name in (*ENCODER, "image_size", "num_frames")]
    return [*sizes, parts.views.sampling_rate]


def table(head, rows):
    """Cells by row as Markdown."""
    lines = [head, ["---"] * len(head), *([name, *cells] for name, cells in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(scores, classifiers, chance, title):
    """A panel for each classifier: methods with their spread, and as lines what has learned nothing."""
    panels, levels = {}, {}
    for classifier in classifiers:
        found = {name: Score(m, m - sd, m + sd) for name, values in scores.items() for m, sd in [values[classifier]]}
        panels[f"{classifier} probe"] = {name: score for name, score in found.items() if name in METHODS}
        level = {name: score.value for name, score in found.items() if name not in METHODS}
        levels[f"{classifier} probe"] = {**level, "chance": chance}
    return comparison_figure(panels, title, "Bars: standard deviation over folds", levels)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for required in ("--data", "--label", "--output-dir"):
        parser.add_argument(required, required=True)
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    parser.add_argument("--reference", choices=METHODS, default="preface")
    parser.add_argument("--max-steps", type=int, default=100, help="of the reference")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", help="to probe")
    parser.add_argument("--group", help="column that folds keep together")
    main(**vars(parser.parse_args()))
