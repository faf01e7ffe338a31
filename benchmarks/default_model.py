"""Make the models that are part of the package: of a run on drawn faces, and of the same trained further on points.

    python benchmarks/learning/drawn.py DRAWN
    preface-hf pretrain --config laptop --data DRAWN/set --output-dir RUN --mixed-precision bf16 --max-steps 2400
    preface-hf finetune RUN/final --data DRAWN/set --label landmarks --group identity --max-steps 1000 \
        --batch-size 64 --learning-rate 3e-3 --layer-decay 0.5 --augmentation 0.5 \
        --mixed-precision bf16 --output-dir POINTS
    python benchmarks/default_model.py RUN POINTS

Weights, configuration and card of each go to preface_hf/default_model; the code is the package's own.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

from preface_hf.files import DEFAULT
from preface_hf.hub.card import model_card
from preface_hf.hub.content import read_facts
from preface_hf.hub.facts import Facts, Source
from preface_hf.modeling import PrefAceForLandmarkDetection, PrefAceModel, PrefAceVideoProcessor


KINDS = {"encoder": PrefAceModel, "landmarks": PrefAceForLandmarkDetection}


DRAWN = Source(
    "drawn faces", license="apache-2.0", made="benchmarks/learning/drawn.py",
    consent="nobody is shown: all faces are drawn by preface_hf.synthetic",
)  # fmt: skip
REAL = "On real faces: benchmarks/results/2026-11-27-default.md of the repository."


def card(facts: Facts, kind: str) -> str:
    """The card of a run on drawn faces."""
    scores = tuple(replace(score, source=DRAWN) for score in facts.scores)
    drawn = replace(facts, sources=(DRAWN,), scores=scores, figures={})
    text = str(model_card(drawn, f"org/preface-drawn-{kind}", license="apache-2.0"))
    return text.replace("## Measured\n", f"## Measured\n{REAL}\n\n").replace("Not measured.\n\n", "").rstrip() + "\n"


def main(*runs: str) -> None:
    for (kind, cls), run in zip(KINDS.items(), runs, strict=True):
        _, weights, facts = read_facts(run)
        folder = DEFAULT / kind
        shutil.rmtree(folder, ignore_errors=True)
        cls.from_pretrained(weights).save_pretrained(folder)
        PrefAceVideoProcessor.from_pretrained(weights).save_pretrained(folder)
        for code in folder.glob("*.py"):
            code.unlink()
        (folder / "README.md").write_text(card(facts, kind), encoding="utf-8")
        print(folder, json.dumps({file.name: file.stat().st_size for file in sorted(folder.iterdir())}))


if __name__ == "__main__":
    main(*sys.argv[1:])
