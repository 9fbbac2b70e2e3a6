"""Errors that a user can act on: what was wrong, where, the value found, what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input: a file, a column, a label, a setting. Lists every problem found, not only the first.

    The command line prints the message without a traceback; in Python it is an ordinary ``ValueError``.

    >>> error = InputError(["column 'clik' is missing", "file 'b.csv' is empty"])
    >>> error.problems
    ("column 'clik' is missing", "file 'b.csv' is empty")
    """

    def __init__(self, problems: str | Iterable[str]):
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        assert self.problems, "an InputError needs at least one problem"
        if len(self.problems) == 1:
            message = self.problems[0]
        else:
            message = f"{len(self.problems)} problems:\n" + "\n".join(f"  - {p}" for p in self.problems)
        super().__init__(message)


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """A hint to append to an error about an unknown name, or an empty string.

    >>> did_you_mean("clik", ["click", "buy"])
    " Did you mean 'click'?"
    """
    close = get_close_matches(str(name), [str(option) for option in options], n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def raise_all(problems: Iterable[str]) -> None:
    """Raise one :class:`InputError` with all problems; do nothing when there are none."""
    problems = tuple(problems)
    if problems:
        raise InputError(problems)
