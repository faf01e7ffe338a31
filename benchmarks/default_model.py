"""Make the model that is part of the package of a run on drawn faces, and of the same with a head for expressions.

    python benchmarks/learning/drawn.py DRAWN
    preface-hf pretrain --config laptop --data DRAWN/set --output-dir RUN --mixed-precision bf16 --max-steps 2400
    preface-hf finetune RUN/final --data DRAWN/set --label expression --protocol linear --output-dir HEAD
    python benchmarks/default_model.py RUN HEAD

Weights, configuration and card of each go to preface_hf/default_model; the code is the package's own.
"""

from __future__ import annotations

import json
import shutil
import sys

from preface_hf.files import DEFAULT
from preface_hf.hub.card import model_card
from preface_hf.hub.content import read_facts
from preface_hf.modeling import PrefAceForVideoClassification, PrefAceModel, PrefAceVideoProcessor


KINDS = {"encoder": PrefAceModel, "expression": PrefAceForVideoClassification}


def main(*runs: str) -> None:
    for (kind, cls), run in zip(KINDS.items(), runs, strict=True):
        _, weights, facts = read_facts(run)
        folder = DEFAULT / kind
        shutil.rmtree(folder, ignore_errors=True)
        cls.from_pretrained(weights).save_pretrained(folder)
        PrefAceVideoProcessor.from_pretrained(weights).save_pretrained(folder)
        for code in folder.glob("*.py"):
            code.unlink()
        card = str(model_card(facts, f"preface-drawn-{kind}", license="apache-2.0"))
        (folder / "README.md").write_text(card.rstrip() + "\n", encoding="utf-8")
        print(folder, json.dumps({file.name: file.stat().st_size for file in sorted(folder.iterdir())}))


if __name__ == "__main__":
    main(*sys.argv[1:])
