"""Folders of fine-tuned runs of every task, as `finetune` leaves them; scores are those of the metrics."""

import json

import numpy as np

from preface_hf.metrics.attributes import Attributes
from preface_hf.metrics.classes import Classes
from preface_hf.metrics.fakes import Fakes
from preface_hf.metrics.landmarks import Landmarks


def finished_run(
    folder, task="expression", names=("anger", "happy", "sad"), *, name=None, rows=60, sources=None, labels="10%"
):
    """A run whose predictions are right more often than not; `sources` are those of the rows."""
    folder.mkdir(parents=True)
    rng, names = np.random.default_rng(0), list(names)
    keys = sources or [(f"clip{n:03}.mp4", 0) for n in range(rows)]
    make = {"expression": single, "deepfake": single, "attributes": several, "landmarks": points}[task]
    lines, scores = make(rng, names, len(keys), task)
    groups = [f"S{n // 4:03}" for n in range(len(keys))]
    lines = [
        {"source": key[0], "track": key[1], "group": group, **line}
        for key, group, line in zip(keys, groups, lines, strict=True)
    ]
    about = {
        "task": task, "name": name, "columns": names if task == "attributes" else ["label"], "names": names,
        "protocol": "lora", "model": "/models/vit-b", "data": "/data/set", "labels": labels, "shots": None, "seed": 3,
        "splits": {"train": {"rows": 120, "people": 30, "left_out": 2},
                   "validation": {"rows": 20, "people": 5, "left_out": 0},
                   "test": {"rows": len(keys), "people": len(set(groups)), "left_out": 0}},
        "group": "subject", "trainable": 12345, "parameters": 1234567, "settings": {"learning_rate": 1e-3},
    }  # fmt: skip
    log = [{"step": n, "epoch": n / 10, "loss": 2 / n, "learning_rate": 1e-3} for n in range(1, 41)]
    log += [
        {"step": 10 * n, "epoch": n, "eval_loss": 2.1 / n, "eval_war": 0.2 * n, "eval_runtime": 3} for n in range(1, 5)
    ]
    log.append({"step": 40, "train_loss": 0.5, "total_flos": 1e15, "train_runtime": 3.0})  # the end of `Trainer`
    (folder / "finetune.json").write_text(json.dumps(about))
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    (folder / "predictions-test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    (folder / "scores-test.json").write_text(json.dumps(scores))
    return folder


def single(rng, names, rows, task):
    truths = rng.integers(len(names), size=rows)
    logits = rng.normal(size=(rows, len(names))) * 1.5
    logits[np.arange(rows), truths] += 2
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    lines = [
        {"label": names[truth], "scores": dict(zip(names, row, strict=True))}
        for truth, row in zip(truths, chances.tolist(), strict=True)
    ]
    groups = [n // 4 for n in range(rows)]
    if task == "deepfake":
        found = Fakes().compute(predictions=chances[:, 1], references=truths, groups=groups, samples=50)
    else:
        found = Classes().compute(predictions=chances.argmax(1), references=truths, groups=groups, samples=50)
    return lines, found


def several(rng, names, rows, task):
    truths = (rng.random((rows, len(names))) < np.linspace(0.1, 0.6, len(names))).astype(float)
    chances = 1 / (1 + np.exp(-(3 * truths - 1.5 + rng.normal(size=truths.shape) * 1.5)))
    truths[0, 0] = np.nan
    lines = [
        {"label": {name: None if np.isnan(v) else int(v) for name, v in zip(names, truth, strict=True)},
         "scores": dict(zip(names, row, strict=True))}
        for truth, row in zip(truths, chances.tolist(), strict=True)
    ]  # fmt: skip
    return lines, Attributes().compute(predictions=chances, references=truths, samples=50)


def points(rng, names, rows, task):
    truth = rng.random((rows, 68, 2)) * 20 + 20
    truth[:, 36], truth[:, 45] = (20, 30), (60, 30)
    guess = truth + rng.normal(size=truth.shape) * rng.gamma(2, 0.8, size=(rows, 1, 1))
    errors = np.linalg.norm(guess - truth, axis=-1).mean(1) / 40
    lines = [
        {"error": float(error), "points": one.tolist(), "truth": other.tolist()}
        for error, one, other in zip(errors, guess, truth, strict=True)
    ]
    return lines, Landmarks().compute(predictions=guess.tolist(), references=truth.tolist(), samples=50)
