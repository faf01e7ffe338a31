"""Read a label off frozen features: one linear layer, its strength searched on people of the validation part.

    python examples/linear_probe.py MODEL SET LABEL OUTPUT

What the layer sees is asked of three kinds: the pooled clip, the last four layers side by side, and a 3x3 grid of
places. SET is what `preface-hf prepare` wrote; OUTPUT gets a folder for each kind, which opens as a model.
"""

import sys

from preface_hf.tasks.finetune import finetune
from preface_hf.tasks.results.tables import evaluation_table


def main(model: str, data: str, label: str, output: str) -> None:
    for pooling in ("mean", "layers", "grid"):
        run = finetune(model, data, label, protocol="linear", pooling=pooling, output_dir=f"{output}/{pooling}")
        print(pooling, evaluation_table(run), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:5])
