"""Docstrings in the form that the site's reader of them expects; transformers has a form of its own."""

import re
from typing import Any

import griffe


# [`Name`] is a link on transformers' own site; elsewhere it would show its brackets.
LINK = re.compile(r"\[(`[\w.]+`)\](?![(\[])")
# name (`int`, defaults to 3): the site shows what stands in the parentheses as code already.
TYPE = re.compile(r"^( +\w+ \()(.*)(\):)", re.MULTILINE)


class Plain(griffe.Extension):
    """Takes transformers' marks out of docstrings."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for every class and function."""
        if obj.docstring:
            text = LINK.sub(r"\1", obj.docstring.value)
            obj.docstring.value = TYPE.sub(lambda found: re.sub(r"[`*]", "", found.group()), text)
