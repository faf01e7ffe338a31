"""Fine-tune with few and with many labels, from pretrained and from random weights; goes on where it was stopped.

    OMP_NUM_THREADS=1 python benchmarks/finetuning/run.py MODEL SETS OUT TASK [SEEDS]

SETS is the folder that benchmarks/learning/sets.sh made, TASK `ck-plus` or `celeba`; a run lies in
OUT/TASK-START-PROTOCOL-LABELS-SEED. Every run has the same steps. Then: benchmarks/finetuning/table.py OUT
"""

import shutil
import sys
from pathlib import Path

from preface_hf.progress import Level, set_level
from preface_hf.tasks.finetune import finetune


SETS = {"ck-plus": "ckplus", "celeba": "celeba"}
ROWS = [
    ("pretrained", "full"),
    ("random", "full"),
    ("pretrained", "lora"),
    ("pretrained", "linear"),
    ("random", "linear"),
]


def main(model: str, sets: str, out: str, task: str, seeds: str = "0,1,2") -> None:
    set_level(Level.QUIET)
    for seed in map(int, seeds.split(",")):
        for labels in ("1%", "10%", "100%"):
            for start, protocol in ROWS:
                folder = Path(out) / f"{task}-{start}-{protocol}-{labels.rstrip('%')}-{seed}"
                if (folder / "scores-test.json").exists():
                    continue
                shutil.rmtree(folder, ignore_errors=True)
                finetune(
                    model, Path(sets) / SETS[task], task=task, protocol=protocol, labels=labels, seed=seed,
                    output_dir=str(folder), random_weights=start == "random", max_steps=400, batch_size=64,
                    pooling="grid" if protocol == "linear" else "mean",
                    learning_rate=3e-3 if protocol == "full" else None,
                )  # fmt: skip
                shutil.rmtree(folder / "checkpoints", ignore_errors=True)
                print(folder.name, (folder / "scores-test.json").read_text()[:160].replace("\n", ""), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
