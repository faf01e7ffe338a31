"""Draw people and prepare them as a set: no person's data is in it.

    python benchmarks/learning/drawn.py OUT [PEOPLE [WORKERS]]

Two clips of each person, with two of the eight expressions; every tenth person is of the test split.
"""

from __future__ import annotations

import sys
from pathlib import Path

from preface_hf.prepare.run import prepare
from preface_hf.synthetic import EXPRESSIONS, ClipSpec, write_synthetic


FRAMES, SIDE, CROP = 12, 96, 72


def clips(people: int) -> list[ClipSpec]:
    """Expressions go round: each is shown by as many people as the others, in both splits."""
    return [
        ClipSpec(person, EXPRESSIONS[(person + person // 10 + 4 * take) % 8], 10 * person + take, split, FRAMES, SIDE)
        for person in range(people)
        for split in ("test" if person % 10 == 9 else "train",)
        for take in range(2)
    ]


def main(out: str, people: str = "3000", workers: str = "1") -> None:
    folder = Path(out)
    if not (folder / "videos" / "metadata.csv").exists():
        write_synthetic(folder / "videos", clips(int(people)), workers=int(workers))
    prepare(folder / "videos", folder / "set", landmarker="given", crop_size=CROP, workers=int(workers), preview=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
