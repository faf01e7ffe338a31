"""What mkdocs.yml calls to make the site of this repository.

The pages of the site are those of docs/, and whatever they link to: a page or a source file elsewhere in the
repository becomes a page of the site, so that every link that works in a checkout works there too. The navigation is
docs/index.md: its headings are the sections, the links in its tables and lists the pages.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page


ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()([^)#\s]+)(#[^)\s]*)?(?=\))")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".sh": "bash", ".slurm": "bash", ".cff": "yaml"}
PICTURES = (".png", ".jpg", ".svg", ".gif")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Read the navigation from docs/index.md."""
    sections: list[Any] = [{"Overview": place("README.md")}, {"All pages": "contents.md"}]
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    for part in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, text = part.split("\n", 1)
        links = re.findall(r"\[([^]]+)\]\(([^)#\s]+)\)", text)
        sections.append({title: [{name: place(posixpath.normpath(f"docs/{target}"))} for name, target in links]})
    config.nav = sections
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is linked to and lies outside of docs/, and move the index beside the home page."""
    for file in list(files):
        if file.src_uri == "index.md":
            files.remove(file)
    waiting = [
        "README.md",
        "docs/index.md",
        *(f"docs/{file.src_uri}" for file in files if file.src_uri.endswith(".md")),
    ]
    seen = set(waiting)
    while waiting:
        source = waiting.pop()
        if files.get_file_from_path(place(source)) is None:
            files.append(generated(source, config))
        if source.endswith(".md"):
            found = linked(source) - seen
            seen |= found
            waiting.extend(sorted(found))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at the pages of the site."""
    source = source_of(page.file)
    if source == "README.md":
        page.meta["hide"] = ["toc"]  # its lines of commands are long, and what they do stands at their ends
    return outside_code(markdown, lambda text: LINK.sub(lambda link: pointed(link, source), text))


def outside_code(markdown: str, change: Any) -> str:
    """The text with everything changed but its blocks of code."""
    parts, start = [], 0
    for block in FENCE.finditer(markdown):
        # A block's second word is its name for the tests; the site knows one word only.
        parts += [change(markdown[start : block.start()]), re.sub(r"\A(```\w+) .*", r"\1", block.group())]
        start = block.end()
    return "".join([*parts, change(markdown[start:])])


def pointed(link: re.Match[str], source: str) -> str:
    """The target of a link of the file `source`, as the site has it."""
    target = resolved(source, link.group(1))
    if target is None:
        return link.group()
    return posixpath.relpath(place(target), posixpath.dirname(place(source)) or ".") + (link.group(2) or "")


def place(source: str) -> str:
    """Where a file of the repository lies on the site."""
    if source == "README.md":
        return "index.md"
    if source == "docs/index.md":
        return "contents.md"
    if source.endswith((".md", *PICTURES)):
        return source.removeprefix("docs/")
    return f"{source}.md"


def source_of(file: File) -> str:
    """The file of the repository that a page shows."""
    return str(getattr(file, "source", f"docs/{file.src_uri}"))


def linked(source: str) -> set[str]:
    """The files of the repository that a page links to."""
    text = FENCE.sub("", (ROOT / source).read_text(encoding="utf-8"))
    return {target for match in LINK.finditer(text) if (target := resolved(source, match.group(1)))}


def resolved(source: str, target: str) -> str | None:
    """The file of the repository that a link means; None for an address."""
    if "://" in target or target.startswith("mailto:"):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    return f"{path}/README.md" if (ROOT / path).is_dir() else path


def generated(source: str, config: MkDocsConfig) -> File:
    """A file from outside of docs/: as it is, or its text as a page."""
    path = ROOT / source
    if source.endswith((".md", *PICTURES)):
        file = File.generated(config, place(source), abs_src_path=str(path))
    else:
        text = f"# {source}\n\n```{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text(encoding='utf-8')}```\n"
        file = File.generated(config, place(source), content=text)
    file.source = source  # type: ignore[attr-defined]
    return file
