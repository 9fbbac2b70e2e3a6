"""Errors that a user can act on: what was wrong, where, the value found, what to do next."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import PurePath

_BOTH = re.compile("\x02(.*?)\x1f(.*?)\x03", re.DOTALL)
MOST_PROBLEMS, LONGEST = 100, 1_500
"""The most problems that a message shows, and the most characters of each."""
_NO_RIGHT = "Ask for the right to it (ls -l, chmod), or choose another path"
_REMEDIES = {
    errno.ENOSPC: "Free space on this disk, or choose another path",
    errno.EDQUOT: "Your quota of this disk is used up. Remove files, or choose another path",
    errno.EFBIG: "The file is larger than this disk or the limit of files (ulimit -f) allows. Choose another path",
    errno.EROFS: "This disk is read-only. Choose another path",
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EMFILE: "Raise the limit of open files (ulimit -n 1024)",
    errno.ENFILE: "The whole machine has too many open files. Close programs, or ask for a higher limit",
    errno.ENOMEM: "Free memory, or raise the limit of it (ulimit -v)",
    errno.EAGAIN: "The limit of processes or threads is reached (ulimit -u). Raise it, or stop others",
    errno.EPIPE: "The program that reads the output has ended",
    errno.EIO: "The disk reports a fault. Check it, and copy the data away",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.ELOOP: "Symbolic links lead in a circle. Mend them",
    errno.ENOENT: "Check the path, or choose another path",
    errno.ENOTDIR: "A part of the path is a file. Check the path",
    errno.EISDIR: "It is a folder. Name a file",
}


class InputError(ValueError):
    """Bad input: a file, a column, a label, a setting. Lists every problem, not only the first.

    The command line prints the message without a traceback; in Python it is an ordinary ``ValueError``. A problem that names a
    :func:`setting` shows it as an argument in Python and as a flag on the command line. ``marked`` holds the problems in the
    form that has both; an error that is raised again is built from it.

    >>> error = InputError(["column 'clik' is missing", "file 'b.csv' is empty"])
    >>> error.problems
    ("column 'clik' is missing", "file 'b.csv' is empty")
    >>> error = InputError(f"the loss became NaN. Lower {setting('learning_rate')}, or try {setting('clip_norm', 1)}.")
    >>> print(error)
    the loss became NaN. Lower learning_rate, or try clip_norm=1.
    >>> print(error.for_command_line())
    the loss became NaN. Lower --learning-rate, or try --clip-norm 1.
    """

    def __init__(self, problems: str | Iterable[str]):
        self.marked = (problems,) if isinstance(problems, str) else tuple(problems)
        assert self.marked, "an InputError needs at least one problem"
        super().__init__(_message(self.problems))

    def add_problem(self, problem: str) -> None:
        """Append a problem to an error that is raised again with its kind."""
        self.marked = (*self.marked, problem)
        self.args = (_message(self.problems),)

    @property
    def problems(self) -> tuple[str, ...]:
        """Each problem as Python shows it."""
        return tuple(_BOTH.sub(r"\1", problem) for problem in self.marked)

    def for_command_line(self) -> str:
        """The message with flags in place of arguments."""
        return _message([_BOTH.sub(r"\2", problem) for problem in self.marked])


def _message(problems: Sequence[str]) -> str:
    """Return all problems as a text; a value or a list of thousands of characters does not fill the terminal."""
    shown = [
        problem if len(problem) <= LONGEST else f"{problem[: LONGEST // 2]} ... {problem[-LONGEST // 2 :]}" for problem in problems
    ]
    if len(shown) == 1:
        return shown[0]
    first = shown[:MOST_PROBLEMS]
    rest = [f"and {len(shown) - len(first):,} more"] if len(first) < len(shown) else []
    return f"{len(shown)} problems:\n" + "\n".join(f"  - {problem}" for problem in (*first, *rest))


def setting(name: str, value: object = None) -> str:
    """A setting, with or without a value, for the text of an :class:`InputError`.

    >>> InputError(f"add {setting('overwrite', True)}").problems, InputError(f"add {setting('overwrite', True)}").for_command_line()
    (('add overwrite=True',), 'add --overwrite')
    """
    flag = f"--{name.replace('_', '-')}"
    if value is None:
        return either(name, flag)
    shown = str(value) if isinstance(value, PurePath) else value
    return either(f"{name}={shown!r}", flag if value is True else f"{flag} {value}")


def either(python: str, command: str) -> str:
    """Words for the text of an :class:`InputError`: the first for Python, the second for the command line."""
    python, command = (re.sub("[\x02\x03\x1f]", "", words) for words in (python, command))
    return f"\x02{python}\x1f{command}\x03"


def os_reason(error: BaseException) -> str:
    """The reason and the remedy of an error of the operating system, for the text of an :class:`InputError`.

    pyarrow and safetensors put the number of the error into its text.

    >>> os_reason(OSError(28, "No space left on device"))
    '(No space left on device). Free space on this disk, or choose another path.'
    >>> os_reason(OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"))
    '(No space left on device). Free space on this disk, or choose another path.'
    """
    number = getattr(error, "errno", None)
    if number is None:
        named = re.search(r"(?:errno|os error|[a-z] \()\s*(\d+)\b", str(error))  # torch ends with "Too many open files (24)"
        number = int(named[1]) if named else None
    text = os.strerror(number) if number is not None else " ".join(str(error).split())[:200] or type(error).__name__
    remedy = _REMEDIES.get(number or 0, "Check the path and the disk")
    return f"({text}). {remedy}."


_LIBRARIES = {
    "pyarrow": "data could not be read or written",
    "safetensors": "weights could not be read or written",
    "yaml": "YAML could not be read",
    "json": "JSON could not be read",
    "pydantic_core": "a value does not fit",
    "zlib": "a packed file could not be read",
    "lzma": "a packed file could not be read",
    "zipfile": "a packed file could not be read",
}
_MEMORY = re.compile("(?i)allocate memory|out of memory|not enough memory|failed to map segment|bad_alloc|cannot create thread")


def outside_problem(error: BaseException) -> str | None:
    """Words for an error that comes from data, the machine or the disk, and that no :class:`InputError` explains.

    None for any other error, which is a fault of manygate.

    >>> outside_problem(MemoryError()), outside_problem(KeyError("a"))
    ('memory ran out. Close other programs, raise the limit of memory (ulimit -v), or give less data.', None)
    >>> outside_problem(PermissionError(13, "Permission denied", "log.csv"))
    'log.csv: it cannot be used (Permission denied). Ask for the right to it (ls -l, chmod), or choose another path.'
    """
    text = " ".join(str(error).split())[:300]
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError | ImportError | OSError) and _MEMORY.search(text)):
        return "memory ran out. Close other programs, raise the limit of memory (ulimit -v), or give less data."
    if isinstance(error, RecursionError):
        return "the input is nested too deeply. Write it with fewer levels."
    what = _LIBRARIES.get(type(error).__module__.partition(".")[0])
    if what is not None:
        return f"{what} ({type(error).__name__}: {text}). Check the files that this command reads."
    if isinstance(error, OSError) and (error.errno is not None or re.search(r"\berrno \d", text)):
        named = f"{error.filename}: it" if error.filename else "a file"
        return f"{named} cannot be used {os_reason(error)}"
    if isinstance(error, UnicodeError):
        return f"a text is not valid Unicode ({text}). Write the input in UTF-8."
    return None


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
