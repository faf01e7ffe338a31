"""Which files of a run go to the Hub, by their place there. What shows or names people stays."""

from __future__ import annotations

import json
from pathlib import Path

from preface_hf.hub.facts import CONFIG, PROCESSOR, Facts, count_weights, read_config
from preface_hf.hub.finetuning import finetuning_facts
from preface_hf.hub.pretraining import pretraining_facts
from preface_hf.hub.speech import SCORED, speech_facts
from preface_hf.tasks.results.reading import read_run
from preface_hf.training.checkpoint import latest_checkpoint


Files = dict[str, Path | bytes]
MODEL = (CONFIG, "model*.safetensors", "model.safetensors.index.json", "*_preface.py", PROCESSOR)
ADAPTER, ADAPTER_FILES = "adapter_config.json", ("adapter_config.json", "adapter_model.safetensors")


def read_facts(run: str | Path) -> tuple[Path, Path, Facts]:
    """A run's folder, the folder of its weights, and its facts; `ValueError` where there is no run."""
    folder = Path(run)
    if folder.name == "final" and (folder.parent / "config.yaml").is_file():
        folder = folder.parent
    if (folder / "finetune.json").is_file():
        told = read_run(folder)
        return folder, folder, speech_facts(told) if told.about["task"] in SCORED else finetuning_facts(folder)
    if (folder / "config.yaml").is_file():
        return folder, folder / "final", pretraining_facts(folder)
    if (folder / CONFIG).is_file():
        found = Facts("checkpoint", folder.resolve().name, read_config(folder), count_weights(folder))
        return folder, folder, found
    raise ValueError(
        f"{str(run)!r} holds no run and no checkpoint: give the --output-dir of `pretrain` or `finetune`, or the "
        "folder of a saved model; a prepared set needs --repo-type dataset."
    )


def model_files(weights: Path, facts: Facts, base: str) -> Files:
    """What a model is made of; an adapter lies in a folder of its own beside the merged weights."""
    files: Files = {file.name: file for pattern in MODEL for file in sorted(weights.glob(pattern))}
    if (weights / "adapter" / ADAPTER).is_file():
        files |= {f"adapter/{name}": data for name, data in adapter_files(weights, base).items()}
    files |= {file.name: file for file in sorted(weights.glob("scores-*.json"))}
    return files | {f"figures/{name}.png": data for name, data in facts.figures.items()}


def adapter_files(weights: Path, base: str) -> Files:
    """The adapter of a LoRA run, which names its base on the Hub; `ValueError` where there is none."""
    folder = weights / "adapter"
    missing = [name for name in ADAPTER_FILES if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"{str(folder)!r} lacks {missing[0]}: only runs of `--protocol lora` have an adapter.")
    config = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base or None  # a folder of one machine is nothing to others
    return {ADAPTER: (json.dumps(config, indent=2) + "\n").encode(), ADAPTER_FILES[1]: folder / ADAPTER_FILES[1]}


def state_files(folder: Path) -> Files:
    """The last checkpoint of a pretraining run, with teacher, cache and optimizer, where `--resume` looks for it."""
    checkpoint = latest_checkpoint(folder / "checkpoints")
    if checkpoint is None or not (folder / "config.yaml").is_file():
        raise ValueError(
            f"{str(folder)!r} holds no checkpoint of a pretraining run: leave out --with-state, or give such a run."
        )
    files = [file for file in sorted(checkpoint.rglob("*")) if file.is_file()]
    files += [file for name in ("config.yaml", "metrics.jsonl") if (file := folder / name).is_file()]
    return {file.relative_to(folder).as_posix(): file for file in files}


def set_files(folder: Path) -> Files:
    """The README and the shards of a prepared or curated set; `ValueError` where `folder` is none."""
    shards = sorted((folder / "data").glob("*.parquet"))
    if not shards or not (folder / "README.md").is_file():
        raise ValueError(f"{str(folder)!r} is no prepared set: make it with `preface-hf prepare SRC {folder}`.")
    return {"README.md": folder / "README.md", **{f"data/{file.name}": file for file in shards}}
