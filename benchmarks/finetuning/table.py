"""The table of the runs of run.py: python benchmarks/finetuning/table.py OUT"""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev


def main(out: str) -> None:
    found: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for file in sorted(Path(out).glob("*/scores-test.json")):
        task, start, protocol, labels, _ = re.fullmatch(r"(.+)-(\w+)-(\w+)-(\d+)-(\d+)", file.parent.name).groups()
        scores = json.loads(file.read_text(encoding="utf-8"))
        score = next(scores[name] for name in ("war", "mean_auc", "nme") if name in scores)  # NME: lower is better
        found[task, protocol, start][labels].append(100 * score)
    print("| task | protocol | weights | 1 % | 10 % | 100 % |\n|---|---|---|---|---|---|")
    for key, row in sorted(found.items()):
        print("|", " | ".join((*key, *(cell(row[labels]) for labels in ("1", "10", "100")))), "|")


def cell(values: list[float]) -> str:
    """Mean, deviation, and of how many seeds."""
    if len(values) < 2:
        return f"{values[0]:.1f} (1)" if values else "not run"
    return f"{mean(values):.1f} ± {stdev(values):.1f} ({len(values)})"


if __name__ == "__main__":
    main(*sys.argv[1:])
