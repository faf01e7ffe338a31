"""A card for each packaged setting: `python -m preface_hf.hub.settings model_cards`."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from preface_hf.hub.card import model_card
from preface_hf.hub.facts import Facts
from preface_hf.plan.footprint import count_parameters
from preface_hf.training.arguments import CONFIGS, load_arguments


def settings_facts(name: str) -> Facts:
    """What a packaged setting tells of a run that nobody published."""
    arguments = load_arguments(name, {})
    batch = arguments.batch_size * arguments.gradient_accumulation_steps
    budget = {"steps": f"{arguments.max_steps:,}", "batch": f"{batch:,} clips a process", "size": arguments.size,
              "precision": str(arguments.mixed_precision)}  # fmt: skip
    return Facts(
        "settings", name, {}, sum(count_parameters(arguments.parts().model).values()), arguments.method,
        budget=budget, command=f"preface-hf pretrain --config {name} --data prepared/ --output-dir run/",
        settings=yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")),
    )  # fmt: skip


def settings_cards() -> dict[str, str]:
    """The card of each packaged setting, by its name."""
    names = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
    return {name: f"{str(model_card(settings_facts(name), name)).rstrip()}\n" for name in names}


def write_cards(folder: Path) -> None:
    """Write all of them."""
    for name, text in settings_cards().items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_cards(Path(sys.argv[1]))
