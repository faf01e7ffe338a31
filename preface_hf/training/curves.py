"""The curves of a run as a picture."""

from __future__ import annotations

import json
from pathlib import Path


def draw_curves(metrics: Path, picture: Path) -> None:
    """Draw every loss of `metrics` (jsonl) over the steps into `picture` (png), or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print(f"{picture} is not drawn: pip install matplotlib.")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    names = [name for name in rows[-1] if name.startswith("loss") or name in ("grad_norm", "teacher_entropy")]
    figure, axes = pyplot.subplots(2, (len(names) + 1) // 2, figsize=(3 * ((len(names) + 1) // 2), 5), squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, names, strict=False):
        axis.plot([row["step"] for row in rows], [row[name] for row in rows])
        axis.set(title=name, xlabel="step")
    figure.tight_layout()
    figure.savefig(picture, dpi=100)
    pyplot.close(figure)
