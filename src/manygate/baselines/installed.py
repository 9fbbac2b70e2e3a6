"""Which baselines a comparison fits: those that are asked for, or LightGBM where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from manygate.config.names import BASELINES
from manygate.errors import InputError, setting

DEFAULT = "lightgbm"
INSTALL = "pip install 'manygate[baselines]'"
_NAMES = {"lightgbm": "LightGBM", "sklearn": "scikit-learn"}


def chosen_baselines(asked: Sequence[str] | None, in_files: bool = False) -> tuple[tuple[str, ...], str | None]:
    """Return the baselines to fit, and a note where the default one cannot be fitted.

    ``asked`` is the setting ``baselines``. With ``in_files`` the encoded rows are in files.

    Raises :class:`InputError` if a baseline is asked for and its library is not there, or cannot be loaded.
    """
    if asked is None:
        if in_files:
            return (), (
                f"{_NAMES[DEFAULT]} needs all rows in memory, and the encoded rows are in files. So the comparison does not show "
                f"what it reaches on this log. Compare on a sample of the log, or ask for it with --baselines {DEFAULT}."
            )
        problem = missing_library(DEFAULT)
        if problem is None:
            return (DEFAULT,), None
        what, remedy = problem
        return (), f"{what}, so the comparison does not show what it reaches on this log. {remedy}"
    problems = dict.fromkeys(problem for name in asked if (problem := missing_library(name)) is not None)
    if problems:
        at, leave_out = setting("baselines", ",".join(asked)), f"Or give {setting('baselines', 'none')}."
        raise InputError([f"{at}: {what}. {remedy} {leave_out}" for what, remedy in problems])
    return tuple(asked), None


def missing_library(name: str) -> tuple[str, str] | None:
    """Return what is wrong with the library that a baseline needs, and the remedy. None if nothing is.

    The library is loaded: LightGBM may be installed and lack a library of the system, such as libgomp.
    """
    library = BASELINES[name]
    if library is None:
        return None
    if find_spec(library) is None:
        return f"{_NAMES[library]} is not installed", f"Install it with {INSTALL}."
    try:
        import_module(library)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return f"{_NAMES[library]} is installed and cannot be loaded ({reason})", "Mend or reinstall it."
    return None
