"""An extension of Griffe: roles such as :class:`manygate.Ranker` in docstrings become code, and links where a page has the object."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|meth|func|mod|attr):`~?(?P<name>[\w.]+)`")
DOCUMENTED = ("Ranker", "Comparison", "Inspection", "compare", "inspect", "Schema", "Task", "Feature", "Architecture", "InputError")


class Roles(griffe.Extension):
    """Replaces the roles of every docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(_as_markdown, obj.docstring.value)


def _as_markdown(match: re.Match[str]) -> str:
    name = match["name"]
    short = name.rpartition(".")[2]
    return f"[`{short}`][manygate.{short}]" if name == f"manygate.{short}" and short in DOCUMENTED else f"`{name}`"
