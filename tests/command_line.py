"""What a call of ``manygate`` in a test gives; the fixture ``run`` in conftest.py makes the calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

TINY = "--epochs 1 --experts 2 --expert-hidden 8 --tower-hidden 4 --batch-size 1024 --threads 1 --device cpu --progress none"
"""Flags of the smallest training run."""


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        assert self.code == 0, self.err
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Run = Callable[..., Result]


def refused(result: Result, *parts: str) -> None:
    """Exit code 2, nothing on stdout, one message on stderr with these parts, no traceback."""
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("manygate: ")
    assert result.err.count("manygate: ") == 1
    assert "Traceback" not in result.err
    for part in parts:
        assert part in result.err
