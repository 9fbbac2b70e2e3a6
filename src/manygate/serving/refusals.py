"""The reasons for which a request gets no prediction. Each has a status of HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from manygate.errors import InputError, did_you_mean

MOST_NAMES = 100
"""The most names and the most characters of a name that are looked at for one hint."""
MOST_PROBLEMS = 100
"""The most problems of one kind that are listed."""


def hint(name: Any, options: Iterable[str]) -> str:
    """Return a hint for a name that nobody knows. It takes little time whatever the client sent.

    >>> hint("clik", ["click", "buy"]), hint(["click"], ["click"])
    (" Did you mean 'click'?", '')
    """
    if not isinstance(name, str) or len(name) > MOST_NAMES:
        return ""
    return did_you_mean(name, [option for option in islice(options, MOST_NAMES) if len(option) <= MOST_NAMES])


def first(problems: Iterable[str]) -> list[str]:
    """Return the first problems of a kind. A client could cause millions."""
    return list(islice(problems, MOST_PROBLEMS))


class Refusal(Exception):  # noqa: N818
    """A request that is not answered. The text goes to the client, so it holds no value of a feature and no path."""

    status = 500

    def __init__(self, problems: str | list[str], headers: dict[str, str] | None = None):
        self.problems = [problems] if isinstance(problems, str) else problems
        self.headers = headers or {}
        super().__init__(InputError(self.problems).args[0])


class BadRequest(Refusal):
    """The request cannot be read."""

    status = 400


class TooLarge(Refusal):
    """The request is larger than a limit."""

    status = 413


class TooSlow(Refusal):
    """The client did not send its request in time."""

    status = 408


class Full(Refusal):
    """Too many requests wait already."""

    status = 429


class Late(Refusal):
    """The deadline passed before the model could run."""

    status = 504


class NoAccess(Refusal):
    """The request brings no token, or a wrong one."""

    status = 401


class Unknown(Refusal):
    """There is no model or version of that name."""

    status = 404


class Packed(Refusal):
    """The body is packed."""

    status = 415
