"""A page that stands alone: HTML with its style and pictures inside, light or dark as the reader's system is."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from PIL import Image


# No script, font or picture from elsewhere: the page opens offline and can be sent as one file.
# Curves are drawn dark on transparent; on a dark page `img.curve` is inverted and keeps its hues.
STYLE = """
:root { color-scheme: light dark; --text: #1d2126; --faint: #5d6670; --line: #d9dde2; --card: #f6f7f9; --page: #ffffff;
  --warn: #8a4b00; --warn-card: #fff4e0; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e7eb; --faint: #9aa4af; --line: #363c44; --card: #1d2126; --page: #14171a; --warn: #ffc879;
    --warn-card: #33260f; }
  img.curve { filter: invert(1) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 28px 24px 60px; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 14px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 40px 0 12px; padding-bottom: 6px; border-bottom: 1px solid var(--line); }
h3 { font-size: 15px; margin: 22px 0 8px; font-weight: 600; }
p { margin: 8px 0; max-width: 82ch; }
.faint { color: var(--faint); }
.warn { background: var(--warn-card); color: var(--warn); padding: 10px 14px; border-radius: 8px; max-width: none; }
.grid { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(285px, 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; margin: 0; }
.card { display: flex; flex-direction: column; justify-content: space-between; gap: 6px; font-size: 14px; }
.card img { width: 100%; height: auto; display: block; }
figure { margin: 0; }
figcaption { overflow-wrap: anywhere; }
.facts { display: grid; gap: 10px; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); margin: 16px 0 0; }
.facts div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px; }
.facts dt { color: var(--faint); font-size: 13px; } .facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.tubes { display: flex; flex-wrap: wrap; gap: 10px 18px; }
.tubes img { display: block; max-width: 100%; border-radius: 4px; }
.tubes figcaption, .faces figcaption { font-size: 12px; color: var(--faint); }
.rows { display: grid; gap: 0 40px; grid-template-columns: repeat(auto-fill, minmax(min(560px, 100%), 1fr)); }
.faces { display: flex; flex-wrap: wrap; gap: 8px; padding: 10px 0; border-bottom: 1px solid var(--line); }
.faces figure { width: 84px; } .faces img { width: 84px; height: 84px; border-radius: 6px; display: block; }
.faces figure:first-child { margin-right: 14px; }
.faces figcaption span { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.faces b { color: var(--text); }
.columns { columns: 3 320px; column-gap: 28px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; break-inside: avoid-column; margin-bottom: 18px; }
caption { text-align: left; font-weight: 600; padding: 4px 0; }
td { padding: 3px 6px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
td:first-child { color: var(--faint); white-space: nowrap; }
.wide { overflow-x: auto; } .wide table { width: auto; min-width: 40%; }
.wide td { padding-right: 18px; overflow-wrap: normal; }
.wide td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 12em; }
th { text-align: left; font-weight: 600; padding: 3px 18px 3px 0; border-bottom: 2px solid var(--line); }
summary { cursor: pointer; padding: 6px 0; }
"""


def page(title: str, body: str) -> str:
    """A whole page; `body` is HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>\n{body}\n</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A part of the page under a heading; `parts` are HTML."""
    return f"<section><h2>{escape(title)}</h2>\n" + "\n".join(parts) + "</section>"


def paragraph(text: str, style: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{style}">{escape(text)}</p>'


def facts(values: Mapping[str, Any]) -> str:
    """A few names and values to be seen first."""
    items = (f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>" for name, value in values.items())
    return f'<dl class="facts">{"".join(items)}</dl>'


def table(title: str, values: Mapping[str, Any]) -> str:
    """Names and values as rows."""
    rows = (f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>" for name, value in values.items())
    return f"<table><caption>{escape(title)}</caption>{''.join(rows)}</table>"


def grid_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows under a head; on a narrow screen it scrolls by itself."""
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = ("".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows)
    return f'<div class="wide"><table><tr>{names}</tr>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>'


def box(style: str, parts: Iterable[str]) -> str:
    """A box of HTML `parts`, laid out by `style`."""
    return f'<div class="{style}">{"".join(parts)}</div>'


def png(picture: bytes, description: str, style: str = "") -> str:
    """A png inside the page."""
    data = base64.b64encode(picture).decode()
    return f'<img class="{style}" alt="{escape(description)}" src="data:image/png;base64,{data}">'


def photo(picture: Image.Image, description: str, height: int) -> str:
    """A photograph inside the page, `height` pixels high, as a jpeg of at most twice as many."""
    # Twice the height shown, for screens that have two pixels for one; never enlarged.
    scale = min(1.0, 2 * height / picture.height)
    small = picture.resize((max(1, round(picture.width * scale)), round(picture.height * scale)))
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=88)
    data = base64.b64encode(jpeg.getvalue()).decode()
    return f'<img alt="{escape(description)}" height="{height}" src="data:image/jpeg;base64,{data}">'
