"""The page on which requests can be tried. It needs no other server."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def page() -> str:
    """Return the page in HTML."""
    return files("manygate.serving").joinpath("page.html").read_text(encoding="utf-8")
