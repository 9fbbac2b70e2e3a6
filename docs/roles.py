"""An extension of Griffe that turns docstrings, which are plain text for a terminal, into Markdown for the site."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|meth|func|mod|attr):`~?(?P<name>[\w.]+)`")
EXAMPLE = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", re.M | re.S)
DOCUMENTED = (
    *("Ranker", "Comparison", "Inspection", "Tuning", "compare", "inspect", "tune", "Schema", "Task", "Feature"),
    *("Architecture", "InputError"),
)


class Roles(griffe.Extension):
    """Rewrites the docstring of every object."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    """Examples become blocks of code, roles become links or code, and indexing such as a[b][c] is no link.

    >>> as_markdown("See :class:`manygate.Ranker` and :mod:`manygate.files`.")
    'See [`Ranker`][manygate.Ranker] and `manygate.files`.'
    """
    parts, end = [], 0
    for match in EXAMPLE.finditer(docstring):
        parts += [_prose(docstring[end : match.start()]), f"```pycon\n{match[0]}\n```"]
        end = match.end()
    return "".join([*parts, _prose(docstring[end:])])


def _prose(text: str) -> str:
    pieces = re.split(r"(``.+?``)", text.replace("][", "]\\["))
    return "".join(piece.replace("]\\[", "][") if piece.startswith("``") else ROLE.sub(_link, piece) for piece in pieces)


def _link(match: re.Match[str]) -> str:
    name = match["name"]
    short = name.rpartition(".")[2]
    return f"[`{short}`][manygate.{short}]" if name == f"manygate.{short}" and short in DOCUMENTED else f"`{name}`"
