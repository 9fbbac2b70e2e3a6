"""Which baselines a comparison fits: those that are asked for, or LightGBM where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from manygate.config.names import BASELINES
from manygate.errors import InputError, setting

DEFAULT = "lightgbm"
INSTALL = "pip install 'manygate[baselines]'"


def chosen_baselines(asked: Sequence[str] | None) -> tuple[tuple[str, ...], str | None]:
    """Return the baselines to fit, and a note where the default one is not installed. ``asked`` is the setting ``baselines``.

    Raises :class:`InputError` if a baseline is asked for and its library is not installed.
    """
    if asked is None:
        if is_installed(DEFAULT):
            return (DEFAULT,), None
        note = f"LightGBM is not installed, so the comparison does not show what it reaches on this log. Install it with: {INSTALL}"
        return (), note
    missing = [name for name in asked if not is_installed(name)]
    if missing:
        raise InputError(
            f"{setting('baselines', ','.join(asked))}: {' and '.join(str(BASELINES[name]) for name in missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed. Install with {INSTALL}, or give {setting('baselines', 'none')}."
        )
    return tuple(asked), None


def is_installed(name: str) -> bool:
    """Return whether the library that a baseline needs is there. It is not imported."""
    library = BASELINES[name]
    return library is None or find_spec(library) is not None
