import hashlib
from collections import Counter
from pathlib import Path

import pytest

from preface_hf.recipes import RECIPES, Item, Listing, split_hash, subject_split
from preface_hf.recipes.base import expect, join, split_by
from tests.recipes.trees import tree


def of(*pairs):
    return Listing([Item(source, split) for source, split in pairs], {}, [])


def test_split_hash_sees_every_change_and_no_order():
    base = split_hash(of(("a", "train"), ("b", "test")))
    assert base == hashlib.sha256(b"test\tb\ntrain\ta").hexdigest()[:16]
    assert base == split_hash(of(("b", "test"), ("a", "train")))
    others = [of(("a", "test"), ("b", "train")), of(("a", "train")), of(("a", "train"), ("c", "test"))]
    assert len({base, *map(split_hash, others)}) == 4


def test_subject_split_is_stable_and_in_proportion():
    counts = Counter(subject_split(f"id{number}") for number in range(5000))
    assert abs(counts["train"] / 5000 - 0.8) < 0.02
    assert abs(counts["validation"] - counts["test"]) < 100
    assert [subject_split(f"{actor:02d}") for actor in (1, 2, 3)] == ["train", "train", "train"], "for ever"
    assert [subject_split(str(n), seed=1) for n in range(50)] != [subject_split(str(n)) for n in range(50)]


def test_split_by_keeps_subjects_together_and_stated_splits():
    items = [Item(f"{person}/{n}", None, {"id": str(person)}) for person in range(40) for n in range(3)]
    items[0].split = "pretrain"
    split_by(items, "id")
    assert items[0].split == "pretrain"
    by_person = {}
    for item in items[1:]:
        by_person.setdefault(item.labels["id"], set()).add(item.split)
    assert all(len(found) == 1 for found in by_person.values())
    assert set.union(*by_person.values()) == {"train", "validation", "test"}


def test_join_reports_both_sides_and_fills_labels():
    found = join(["b", "a"], [Item("a", "test", {"x": 1}), Item("lost", None, {"x": 2})], {"x": "int64"}, "table.txt")
    assert found.items == [Item("a", "test", {"x": 1}), Item("b", None, {"x": None})]
    assert [(row["source"], row["status"]) for row in found.aside] == [("lost", "left out"), ("*", "note")]
    assert "1 media are not named in table.txt" in found.aside[1]["reason"]
    with pytest.raises(ValueError, match=r"table\.txt names 1 media and none of them is there"):
        join([], [Item("lost")], {}, "table.txt")


def test_counts_that_agree_say_nothing():
    assert expect({"clips": 3}, {"clips": 3}) == []
    assert "2 clips found, the owners state 3" in expect({"clips": 2}, {"clips": 3})[0]["reason"]


OWN = sorted(set(RECIPES) - {"folder", "hub"})


@pytest.mark.parametrize("recipe", OWN)
def test_a_wrong_folder_is_one_sentence(recipe: str, tmp_path: Path):
    tree(tmp_path, "notes/readme.md", "holiday/beach.jpg", "holiday/beach.mp4")
    with pytest.raises(ValueError) as stop:
        RECIPES[recipe](tmp_path, "auto")
    message = str(stop.value)
    assert str(tmp_path) in message and recipe in message and ":" in message and "\n" not in message
    with pytest.raises(ValueError, match="nowhere"):
        RECIPES[recipe](tmp_path / "nowhere", "auto")
    with pytest.raises(ValueError, match="sideways"):
        RECIPES[recipe](tmp_path, "sideways") if recipe != "csv" else RECIPES[recipe](_table(tmp_path), "sideways")


def _table(folder: Path) -> Path:
    (folder / "table.csv").write_text("file,label\nholiday/beach.mp4,x\n")
    return folder / "table.csv"


@pytest.mark.parametrize("recipe", ["voxceleb2", "lrs2", "grid", "ravdess", "celeba", "wflw"])
def test_media_that_the_set_does_not_hold_is_refused(recipe: str, tmp_path: Path):
    wrong = "video" if recipe in ("celeba", "wflw") else "image"
    with pytest.raises(ValueError, match=f"leave media '{wrong}' out"):
        RECIPES[recipe](tmp_path, wrong)


def test_every_recipe_stands_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs/recipes.md").read_text(encoding="utf-8")
    assert [name for name in RECIPES if f"| `{name}` |" not in page] == []
