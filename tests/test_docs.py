"""The documents hold what they promise: commands and flags exist, links resolve, versions agree, examples run."""

import re
import shlex
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
import yaml

import preface_hf
from preface_hf.cli import app


ROOT = Path(__file__).parents[1]
TOP = sorted(file for file in ROOT.glob("*.md") if not file.is_symlink())
PAGES = [*TOP, *(file for room in ("docs", "examples", "benchmarks") for file in sorted((ROOT / room).rglob("*.md")))]
# What plain English does without.
MANNERED = re.compile(r"\bfor ever\b|\bgoes on\b|\bgo on\b|(?<!here )\bis no (?!longer\b)")
GROUP = typer.main.get_command(app)


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next of its level."""
    return re.split(r"^## ", text.split(f"## {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 120] == []


def test_pictures_are_small():
    sizes = {file.name: file.stat().st_size for file in ROOT.glob("docs/*.png")}
    assert 1 < len(sizes) <= 4 and max(sizes.values()) < 300_000


@pytest.mark.parametrize("file", PAGES, ids=name_of)
def test_relative_links_resolve(file: Path):
    text = re.sub(r"```.*?```", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    missing = [target for target in targets if "://" not in target and not (file.parent / unquote(target)).exists()]
    assert not missing


def commands(text: str) -> list[list[str]]:
    """Every call of `preface-hf`, or of `-m preface_hf`, as its words; `…` and the comment after it are left out."""
    found = re.findall(r"(?:preface-hf|-m preface_hf) +([a-z-][^\n`│]*)", text)
    return [shlex.split(re.sub(r"[…|()'\"*]", " ", call), comments=True) for call in found]


@pytest.mark.parametrize("file", PAGES, ids=name_of)
def test_commands_and_their_flags_exist(file: Path):
    if file.name == "CHANGELOG.md" or file.parent.name == "results":
        return  # they tell of their time
    for words in commands(file.read_text(encoding="utf-8")):
        check_call(words)


def check_call(words: list[str]) -> None:
    options = {name for param in GROUP.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
    known = None
    for word in words:
        if known is None and not word.startswith("-"):
            if word not in GROUP.commands:
                return  # a sentence, not a call: `preface-hf and its`
            known = {name for param in GROUP.commands[word].params for name in (*param.opts, *param.secondary_opts)}
            options |= known
        flag = word.split("=")[0].rstrip(",.;:")
        if re.fullmatch(r"-{1,2}[a-z][a-z-]*", flag):
            assert flag in options, f"{flag} of `preface-hf {' '.join(words)}` does not exist"


def test_help_examples_exist_too():
    for name, command in GROUP.commands.items():
        calls = commands(command.help or "")
        assert any(words[0] == name for words in calls), f"{name} --help shows no example"
        for words in calls:
            check_call(words)


def test_every_command_is_in_the_readme():
    shown = {words[0] for words in commands((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert set(GROUP.commands) <= shown


def test_an_unknown_flag_is_found():
    words = commands("preface-hf prepare a b --workers 2 --colour  # text")[0]
    assert words == ["prepare", "a", "b", "--workers", "2", "--colour"]
    with pytest.raises(AssertionError, match="--colour"):
        check_call(words)


@pytest.mark.parametrize(
    ("index", "files"),
    [
        ("examples/README.md", [*ROOT.glob("examples/*.py"), *ROOT.glob("examples/launch/*")]),
        ("docs/index.md", [file for file in ROOT.glob("docs/*.md") if file.name != "index.md"]),
        ("benchmarks/results/README.md", [f for f in ROOT.glob("benchmarks/results/*.md") if f.name != "README.md"]),
    ],
)
def test_an_index_lists_everything(index: str, files: list[Path]):
    text = (ROOT / index).read_text(encoding="utf-8")
    folder = (ROOT / index).parent
    assert files
    assert [file.name for file in files if f"({file.relative_to(folder).as_posix()})" not in text] == []


def test_every_room_is_on_the_map():
    text = section((ROOT / "AGENTS.md").read_text(encoding="utf-8"), "Map")
    rooms = [path for path in (ROOT / "preface_hf").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [room.name for room in rooms if f"`{room.name}/`" not in text] == []


@pytest.mark.parametrize("file", PAGES, ids=name_of)
def test_plain_words(file: Path):
    if file.parent.name == "results" and file.name != "README.md":
        return  # records stay as they were written
    text = file.read_text(encoding="utf-8")
    if file.name == "CHANGELOG.md":
        text = text.split("## 0.1.0")[0]
    assert [line for line in text.splitlines() if MANNERED.search(line)] == []


def test_versions_agree():
    setup = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text(encoding="utf-8"))[1]
    changes = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert setup == preface_hf.__version__ == changes == str(citation["version"])
    assert len(citation["references"]) == 3


def contributed(name: str) -> dict:
    """What the example `name` of CONTRIBUTING.md defines."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = re.search(rf"```python {name}\n(.*?)```", text, re.DOTALL)[1]
    names = {"__name__": f"contributed_{name}"}
    exec(compile(code, f"CONTRIBUTING.md: {name}", "exec", dont_inherit=True), names)
    return names


def test_the_recipe_of_contributing(tmp_path: Path):
    moods = contributed("recipe")["moods"]
    with pytest.raises(ValueError, match="anna/happy.mp4"):
        moods(tmp_path)
    for name in ("anna/happy.mp4", "anna/sad.mp4", "ben/happy.mp4", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listing = moods(tmp_path)
    assert [item.source for item in listing.items] == ["anna/happy.mp4", "anna/sad.mp4", "ben/happy.mp4"]
    assert listing.items[1].labels == {"person": "anna", "mood": "sad"}
    assert len({item.split for item in listing.items if item.labels["person"] == "anna"}) == 1


def test_the_method_of_contributing(tiny_settings, tmp_path: Path):
    import json

    from preface_hf.objectives import methods
    from preface_hf.training.arguments import PretrainArguments
    from preface_hf.training.loop import pretrain

    before = dict(methods.METHODS)
    try:
        contributed("method")
        settings = {**tiny_settings, "method": "calm", "max_steps": 2, "output_dir": str(tmp_path / "run")}
        pretrain(PretrainArguments(**settings))
    finally:
        methods.METHODS.clear()
        methods.METHODS.update(before)
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert all(row["loss_calm"] > 0 for row in rows)


def test_the_task_of_contributing():
    from preface_hf.tasks import expression

    try:
        contributed("task")
        task = expression.TASKS["moods"]
    finally:
        expression.TASKS.pop("moods", None)
    assert [task.read(word) for word in ("happy", "Sad", "anger")] == ["happiness", "sadness", None]
    assert task.columns == ("mood",) and task.recipe == "moods"
