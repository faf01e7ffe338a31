"""Tables of labels as people have them: `metadata.csv` and the recipe `csv` take the same ones and refuse the same."""

import unicodedata
from pathlib import Path

import pytest
from datasets import load_dataset

from preface_hf.prepare.run import prepare
from preface_hf.recipes import RECIPES, Listing
from tests.media import given_clip
from tests.recipes.trees import aside, labels, notes, splits, tree


@pytest.fixture(params=["folder", "csv"])
def recipe(request) -> str:
    return request.param


def read(recipe: str, root: Path, table: str | bytes, *names: str) -> Listing:
    tree(root, *(names or ("a.mp4", "sub/b.mp4")))
    file = root / "metadata.csv"
    file.write_bytes(table.encode() if isinstance(table, str) else table)
    return RECIPES[recipe](root, "auto")


TABLE = "file_name,mood,split\na.mp4,glad,train\nsub/b.mp4,sad,test\n"
SAME = {
    "spaces": " file_name , mood ,split \na.mp4 , glad, train\n sub/b.mp4,sad ,test \n",
    "semicolons": TABLE.replace(",", ";"),
    "tabs": TABLE.replace(",", "\t"),
    "Excel's first line": "sep=;\n" + TABLE.replace(",", ";"),
    "Excel's mark and line ends": ("\ufeff" + TABLE).replace("\n", "\r\n"),
    "quotes": '"file_name","mood","split"\n"a.mp4","glad","train"\n"sub/b.mp4","sad","test"\n',
    "empty rows": TABLE.replace("a.mp4", ",,\n\n  ,,\na.mp4") + ",,\n",
    "dots": TABLE.replace("a.mp4", "sub/../a.mp4").replace("sub/b", "./sub//b"),
    "backslashes": TABLE.replace("sub/", "sub\\"),
    "UTF-16 with its mark": TABLE.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + TABLE.encode("utf-16-be"),
    "the same row again": TABLE + "sub/../a.mp4,glad,train\n",
    "pandas' index": ",file_name,mood,split\n0,a.mp4,glad,train\n1,sub/b.mp4,sad,test\n",
    "pandas' index, twice": "Unnamed: 0,,file_name,mood,split\n0,0,a.mp4,glad,train\n1,1,sub/b.mp4,sad,test\n",
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_table_in_other_forms(recipe: str, name: str, tmp_path: Path):
    found = read(recipe, tmp_path, SAME[name])
    assert splits(found) == {"a.mp4": "train", "sub/b.mp4": "test"}
    moods = {item.source: item.labels["mood"] for item in found.items}
    assert moods == {"a.mp4": "glad", "sub/b.mp4": "sad"}
    assert set(found.columns) - {"label"} == {"mood"} and not aside(found, "left out")


def test_what_is_taken_with_a_remark_says_so(recipe: str, tmp_path: Path):
    assert "named twice in metadata.csv (lines 2 and 4)" in notes(read(recipe, tmp_path, SAME["the same row again"]))
    assert "column 1 of metadata.csv has no name" in notes(read(recipe, tmp_path, SAME["pandas' index"]))


REFUSED = {
    "twice, two labels": (TABLE + "sub/../a.mp4,sad,train\n", "line 4, column 'mood': 'a.mp4' is named twice"),
    "twice, two splits": (TABLE + "a.mp4,glad,test\n", "line 4, column 'split': 'a.mp4' is named twice"),
    "split of two words": (TABLE.replace("test", "my split"), "line 3, column 'split': split 'my split'"),
    "a column twice": ("file_name,mood, mood\na.mp4,1,2\n", "line 1, column 3: 'mood' is already column 2"),
    "paths twice": ("file_name,file_name\na.mp4,a.mp4\n", "line 1, column 2: 'file_name' is already column 1"),
    "absolute": (TABLE.replace("a.mp4", "/etc/a.mp4"), "line 2, column 'file_name': '/etc/a.mp4' lies outside"),
    "leaves": (TABLE.replace("sub/b", "sub/../../b"), "line 3, column 'file_name': 'sub/../../b.mp4' lies outside"),
    "a drive": (TABLE.replace("a.mp4", "C:\\a.mp4"), "line 2, column 'file_name'"),
    "the folder": (TABLE.replace("a.mp4", "."), "line 2, column 'file_name'"),
    "no file": (TABLE.replace("a.mp4", " "), "line 2, column 'file_name': the row names no file"),
    "nothing": ("", "line 1, column 1: the table is empty"),
    "blank": ("\n , \n", "line 1, column 1: the table is empty"),
    "header only": ("file_name,mood\n", "line 1, column 1: the table has a header and no row"),
    "header only, empty rows": ("file_name,mood\n,\n", "line 1, column 1: the table has a header and no row"),
    "Latin-1": (TABLE.replace("glad", "gai é").encode("latin-1"), "line 2, column 2: byte 0xe9 is not UTF-8"),
    "Latin-1 in the header": ("file_name;humeur;é\na.mp4;1;2\n".encode("latin-1"), "line 1, column 3: byte 0xe9"),
    "half of UTF-16": (TABLE.encode("utf-16")[:-1], "is not UTF-16"),
    "UTF-16 without its mark": (TABLE.encode("utf-16-le"), "line 1, column 1: a zero character"),
    "too many cells": (TABLE.replace("glad", "glad, really"), "line 2, column 4: the row has 4 cells"),
    "an open quote": (TABLE.replace("glad", '"glad'), "line 2, column 1 or after"),
    "one cell": ('"file_name,mood"\n"a.mp4,glad"\n', "no column of paths, only file_name,mood"),
    "no paths": ("clip,mood\na.mp4,glad\n", "no column of paths, only clip, mood"),
    "none is there": ("file_name,mood\nx.mp4,glad\n", "names 1 media and none of them is there"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_one_sentence_with_its_place(recipe: str, name: str, tmp_path: Path):
    table, reason = REFUSED[name]
    with pytest.raises(ValueError) as stop:
        read(recipe, tmp_path, table)
    message = str(stop.value)
    assert message.startswith(str(tmp_path / "metadata.csv")) and reason in message and "\n" not in message


@pytest.mark.parametrize("name", ["instance_id", "video", "fps", "source", "feature", "end_seconds", "pool_id"])
def test_a_label_with_a_name_of_the_prepared_sets_own_gets_another(recipe: str, name: str, tmp_path: Path):
    given_clip(tmp_path / "src", "a.mp4", frames=6)
    (tmp_path / "src/metadata.csv").write_text(f"file_name,mood,{name}\na.mp4,glad,studio\n")
    prepare(tmp_path / "src", tmp_path / "out", recipe=recipe, landmarker="given")
    rows = list(load_dataset(str(tmp_path / "out"), split="train"))
    assert {row["mood"] for row in rows} == {"glad"} and {row[f"original_{name}"] for row in rows} == {"studio"}
    assert f"the label {name} is called original_{name}" in (tmp_path / "out/report.jsonl").read_text()


def test_both_names_taken_is_refused_before_any_work(recipe: str, tmp_path: Path):
    given_clip(tmp_path / "src", "a.mp4", frames=6)
    (tmp_path / "src/metadata.csv").write_text("file_name,original_fps,fps\na.mp4,1,2\n")
    with pytest.raises(ValueError, match=r"metadata.csv, line 1, column 3: .*'fps'.*'original_fps' is taken: rename"):
        prepare(tmp_path / "src", tmp_path / "out", recipe=recipe, landmarker="given")
    assert not (tmp_path / "out").exists()


def test_a_file_that_only_one_side_knows(recipe: str, tmp_path: Path):
    table = "file_name,mood\na.mp4,glad\nlost.mp4,sad\nnotes.txt,sad\n"
    found = read(recipe, tmp_path, table, "a.mp4", "x/b.mp4", "notes.txt")
    named = "named in metadata.csv but"
    assert aside(found, "left out") == {"lost.mp4": f"{named} not found", "notes.txt": f"{named} not a video or image"}
    assert "1 media are not named in metadata.csv" in notes(found)
    assert list(splits(found)) == (["a.mp4"] if recipe == "csv" else ["a.mp4", "x/b.mp4"])


def test_a_folders_name_is_no_value_of_the_tables_column_label(tmp_path: Path):
    found = read("folder", tmp_path, "file_name,label\na.mp4,3\n")
    assert found.columns == {"label": "int64"}
    assert labels(found, "a.mp4") == {"label": 3} and labels(found, "sub/b.mp4") == {"label": None}
    found = read("folder", tmp_path, "file_name,mood\na.mp4,glad\n")
    assert labels(found, "sub/b.mp4") == {"label": "sub", "mood": None}


def test_letters_with_accents_in_either_spelling(recipe: str, tmp_path: Path):
    one, two = (unicodedata.normalize(form, "café.mp4") for form in ("NFC", "NFD"))
    assert one != two
    for disk, table in ((one, two), (two, one)):
        found = read(recipe, tmp_path / str(len(disk)), f"file_name,mood\n{table},glad\n", disk)
        assert splits(found) == {disk: None} and labels(found, disk)["mood"] == "glad"
    found = read(recipe, tmp_path / "both", f"file_name,mood\n{one},glad\n{two},sad\n", one, two)
    assert (labels(found, one)["mood"], labels(found, two)["mood"]) == ("glad", "sad")


def test_absolute_paths_within_the_folder(recipe: str, tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "real").mkdir()
    for root in ("real", "link"):
        found = read(recipe, tmp_path / "link", f"file_name,mood\n{tmp_path}/{root}/sub/../a.mp4,glad\n")
        assert labels(found, "a.mp4")["mood"] == "glad"


def test_other_tables_of_labels_are_listed(tmp_path: Path):
    tree(tmp_path, "a.mp4", "metadata.jsonl", "sub/metadata.csv", "metadata.parquet", "labels.csv")
    found = aside(RECIPES["folder"](tmp_path, "auto"), "ignored")
    assert all("where it is called metadata.csv" in found.pop(name) for name in list(found) if "metadata" in name)
    assert found == {"labels.csv": "files ending in .csv are not media"}


@pytest.mark.parametrize(
    ("recipe", "table", "header"),
    [
        ("crema-d", "VideoDemographics.csv", "ActorID,Age,Sex"),
        ("fer2013", "fer2013.csv", "emotion,pixels,Usage"),
        ("affectnet", "training.csv", "subDirectory_filePath,expression,valence,arousal"),
        ("voxceleb2", "vox2_meta.csv", "VoxCeleb2 ID ,Gender ,Set "),
    ],
)
def test_the_tables_of_owners_go_through_the_same_reader(recipe: str, table: str, header: str, tmp_path: Path):
    tree(tmp_path, "1001_DFA_ANG_XX.flv", "dev/mp4/id00012/x/1.mp4")
    first = header.split(",")[0].strip()
    for content, reason in (
        (b"\xe9," + header.encode(), "column 1: byte 0xe9"),
        (f"{header},{first}\n1\n".encode(), "already column 1"),
        (header.encode(), "a header and no row"),
    ):
        (tmp_path / table).write_bytes(content)
        with pytest.raises(ValueError, match=f"{table}, line 1.*{reason}"):
            RECIPES[recipe](tmp_path, "auto")
