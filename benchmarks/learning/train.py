"""Pretrain one row of the learning table on real faces; goes on where it was stopped.

    OMP_NUM_THREADS=1 python benchmarks/learning/train.py SETTINGS SETS OUT ROW SEED [KEY=VALUE...]

SETTINGS is a recipe (`laptop`) or a file (gpu.yaml), SETS the folder that sets.sh made, ROW one of those below; the
run lies in OUT/ROW-SEED. KEY=VALUE changes a setting, such as max_steps=100 or objective.instance_weight=0.5.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from preface_hf.training.arguments import PretrainArguments, build, config_path
from preface_hf.training.loop import pretrain


# Draws per set, in thousands of its rows; the few clips are drawn five times as often as stills.
SHARES = {"celeba": 8.9, "utkface": 5.0, "fer": 1.6, "clips": 1.6}
# What a row leaves out of PrefAce.
ROWS = {
    "dino": ["views.num_local=0", "views.parts=[]", "objective.instance_weight=0"],
    "local": ["views.parts=[]", "objective.instance_weight=0"],
    "landmark": ["objective.instance_weight=0"],
    "preface": [],
}


def change(settings: dict[str, Any], assignment: str) -> None:
    """Set a key such as `views.parts` by `KEY=VALUE`, the value in YAML."""
    key, _, value = assignment.partition("=")
    *sections, name = key.split(".")
    for section in sections:
        settings = settings[section]
    settings[name] = yaml.safe_load(value)


def mixture(sets: str) -> dict[str, float]:
    """The sets to pretrain on, with their shares."""
    return {str(Path(sets) / name): share for name, share in SHARES.items()}


def main(file: str, sets: str, out: str, row: str, seed: str, *changes: str) -> None:
    settings = yaml.safe_load(config_path(file).read_text(encoding="utf-8"))
    for assignment in [*ROWS[row], f"seed={seed}", *changes]:
        change(settings, assignment)
    settings["data"] = mixture(sets)
    settings["output_dir"] = str(Path(out) / f"{row}-{seed}")
    pretrain(build(PretrainArguments, settings, file), resume=Path(settings["output_dir"]).exists())


if __name__ == "__main__":
    main(*sys.argv[1:])
