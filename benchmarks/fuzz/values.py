"""Damage to settings and tables of values: JSON, YAML, and files of tensors."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import load_file, save_file

from benchmarks.fuzz.damage import DAMAGES


POOL: tuple[Any, ...] = (
    None, True, "text", "", -1, 0, -0.5, 0.5, 1.5, math.nan, math.inf, -math.inf, 2**40, 10**8, 1e300, [], {}, [1, 2],
    {"a": 1}, [[[]]], "1e5",
)  # fmt: skip


def leaves(values: Any, path: tuple = ()) -> list[tuple]:
    """The places of all values in nested dictionaries, sections included."""
    if not isinstance(values, dict):
        return [path]
    return [place for key, value in values.items() for place in [(*path, key), *leaves(value, (*path, key))]]


def replace_one(values: dict[str, Any], rng: np.random.Generator, keep: tuple[str, ...] = ()) -> tuple[str, bool]:
    """Change, delete or add one value in place; what was done, and whether the new value is sound as such."""
    places = sorted({place for place in leaves(values) if place and place[-1] not in keep}, key=str)
    place = places[int(rng.integers(len(places)))]
    inside = values
    for key in place[:-1]:
        inside = inside[key]
    name, old = ".".join(map(str, place)), inside[place[-1]]
    if rng.random() < 0.12:
        del inside[place[-1]]
        return f"{name} deleted", True
    if rng.random() < 0.08:
        inside["mistyped_" + str(place[-1])] = 1
        return f"{name} doubled under another name", False
    inside[place[-1]] = new = POOL[int(rng.integers(len(POOL)))]
    return f"{name}={old!r} -> {new!r}"[:160], is_sound(new, old)


def is_sound(new: Any, old: Any) -> bool:
    """Whether a value is of the kind of the old one, so that taking it is no fault."""
    if isinstance(old, bool):
        return isinstance(new, int) and new in (0, 1)
    if isinstance(new, bool) or old is None or isinstance(old, str | list | dict):
        return type(new) is type(old) or old is None and not (isinstance(new, float) and not math.isfinite(new))
    return isinstance(new, int | float) and math.isfinite(new) and new >= 0


TEXTS = (
    "", "\n", "null", "[]", "{}", "[1, 2", "{", "- a\n- b\n", "1: 2\n", "\ttab: 1\n", "a: b: c\n", "key\n", "[" * 5000,
    "{a: " * 3000, "&a [*a]", "!!python/object/apply:os.getcwd []\n", "model: null\n", "views:\n", "? [1]\n: 2\n",
    "size: vit-t\nsize: vit-b\n", "\ufeffsize: vit-t\n", "0", "~", "'", "%YAML 9.9\n---\n", "2026-11-26", "\x00",
)  # fmt: skip


def damage_text(file: Path, rng: np.random.Generator) -> str:
    """Another text, or the bytes damaged."""
    if rng.random() < 0.5:
        text = TEXTS[int(rng.integers(len(TEXTS)))]
        file.write_text(text, encoding="utf-8")
        return f"text {text[:20]!r}"
    if rng.random() < 0.2:
        file.write_bytes(file.read_bytes().decode().encode("utf-16"))
        return "UTF-16"
    return damage_bytes(file, rng)


def damage_bytes(file: Path, rng: np.random.Generator) -> str:
    damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
    file.write_bytes(damage(file.read_bytes(), rng))
    return damage.__name__


def damage_json(file: Path, rng: np.random.Generator) -> tuple[str, bool]:
    """A value of a JSON file changed, or its text."""
    if rng.random() < 0.2:
        return damage_text(file, rng), False
    values = json.loads(file.read_text(encoding="utf-8"))
    done = replace_one(values, rng, ("auto_map", "transformers_version"))
    file.write_text(json.dumps(values), encoding="utf-8")
    return done


def damage_yaml(file: Path, rng: np.random.Generator) -> tuple[str, bool]:
    """A value of a YAML file changed, or its text."""
    if rng.random() < 0.35:
        return damage_text(file, rng), is_mapping(file)
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    # More steps or processes are sound, and take as long as they take.
    done = replace_one(values, rng, ("max_steps", "num_workers", "output_dir"))
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    return done


def is_mapping(file: Path) -> bool:
    """Whether a file is settings still, or empty, which stands for none."""
    try:
        return isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict | None)
    except (ValueError, RecursionError, yaml.YAMLError):
        return False


def damage_metrics(file: Path, rng: np.random.Generator) -> tuple[str, bool]:
    """A line of metrics.jsonl cut, doubled, or one of its values changed."""
    lines = file.read_text(encoding="utf-8").splitlines()
    dice = rng.random()
    if dice < 0.25:
        return damage_text(file, rng), False
    if dice < 0.35:
        what, lines[-1] = "the last line cut", lines[-1][: len(lines[-1]) // 2]
    elif dice < 0.45:
        what, lines = "lines doubled", lines * 2
    elif dice < 0.55:
        odd = ("3", "null", '"text"', "[1]", "{}", "{]}")[int(rng.integers(6))]
        what, lines = f"a line {odd}", [odd, *lines]
    else:
        row = json.loads(lines[0])
        what, _ = replace_one(row, rng)
        lines[0] = json.dumps(row)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    # Its rows are shown as they stand: a changed one changes the curves, which says so itself.
    return what, True


def damage_tensors(file: Path, rng: np.random.Generator) -> tuple[str, bool]:
    """A file of safetensors cut, its header flipped, or one of its tensors changed."""
    if rng.random() < 0.35:
        return _damage_header(file, rng), False
    tensors = load_file(file)
    name = sorted(tensors)[int(rng.integers(len(tensors)))]
    changes: dict[str, Callable[[torch.Tensor], Any]] = {
        "NaN": lambda old: old * math.nan,
        "one NaN": lambda old: torch.where(torch.arange(old.numel()).reshape(old.shape) == 0, math.nan, old),
        "infinite": lambda old: old.float() + math.inf,
        "gone": lambda old: None,
        "of another shape": lambda old: torch.cat([old.reshape(-1), old.reshape(-1)]),
        "empty": lambda old: old.reshape(-1)[:0],
        "whole numbers": lambda old: old.to(torch.int64),
        "renamed": lambda old: old,
    }
    what = sorted(changes)[int(rng.integers(len(changes)))]
    new = changes[what](tensors.pop(name))
    if new is not None:
        tensors[name + "_old" if what == "renamed" else name] = new.contiguous()
    save_file(tensors, file, {"format": "pt"})
    # Weights that are stored as whole numbers are weights all the same.
    return f"{name} {what}", what == "whole numbers"


def _damage_header(file: Path, rng: np.random.Generator) -> str:
    data = file.read_bytes()
    length = 8 + int.from_bytes(data[:8], "little")
    dice = rng.random()
    if dice < 0.3:
        size = int(rng.choice([0, 1, length * 2, 2**40, 2**63]))
        file.write_bytes(size.to_bytes(8, "little") + data[8:])
        return f"header of {size} bytes"
    if dice < 0.6:
        changed = bytearray(data)
        for place in rng.integers(length, size=int(rng.integers(1, 20))):
            changed[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(changed)
        return "bits of the header flipped"
    cut = int(length + rng.random() * (len(data) - length)) if dice < 0.8 else int(rng.integers(length))
    file.write_bytes(data[:cut])
    return f"cut to {cut} of {len(data)} bytes"


def put_in_place(file: Path, rng: np.random.Generator) -> str:
    """The file gone, a folder in its place, or a link to itself."""
    file.unlink()
    what = ("gone", "gone", "a folder", "a link to itself")[int(rng.integers(4))]
    if what == "a folder":
        file.mkdir()
    elif what == "a link to itself":
        os.symlink(file, file)
    return what
