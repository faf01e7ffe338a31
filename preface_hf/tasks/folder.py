"""What every fine-tuning run begins with: a folder of its own, and a prepared set."""

from __future__ import annotations

from pathlib import Path

from preface_hf.features.sources import is_prepared
from preface_hf.files import check_path, is_missing
from preface_hf.tasks.base import Task


SETTINGS = "finetune.json"


def check_folder(folder: Path, resume: bool) -> None:
    """`ValueError` where the folder holds a run already and `resume` is not asked for."""
    check_path(folder)
    if not resume and (folder / SETTINGS).exists():
        raise ValueError(f"{str(folder)!r} holds a run already: choose another --output-dir, or add --resume.")


def prepared(data: str | Path, task: Task, folder: Path, size: int) -> str:
    """`data`, or the set in `folder` that is prepared from it where it holds videos; as large as the model sees."""
    from preface_hf.prepare.run import prepare

    path = Path(data)
    check_path(path)
    if not path.exists() or is_prepared(path) or (path / "prepare.yaml").is_file():
        if is_missing(data):
            raise ValueError(f"cannot open {str(data)!r} as labeled videos: there is no such folder or file.")
        return str(data)
    recipe = "csv" if path.suffix.lower() == ".csv" else task.recipe
    landmarker, audio = "given" if task.kind == "landmarks" else "auto", task.kind in ("sync", "lipsync")
    prepare(path, folder / "set", recipe=recipe, landmarker=landmarker, crop_size=max(size, 96), audio=audio)
    return str(folder / "set")
