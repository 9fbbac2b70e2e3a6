"""This module holds the Jinja environment of all pages; the name of a template is its path in the package."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from manygate.report.svg import DASHES, SHAPES, mark
from manygate.text import arguments, count_of, flags, listed

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """Return the environment; it escapes values, and an unknown name is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("manygate", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals.update(dashes=DASHES, shapes=SHAPES, mark=mark)
    made.filters.update(listed=listed, flags=flags, arguments=arguments, count_of=count_of)
    return made
