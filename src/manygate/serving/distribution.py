"""The distribution that this code was installed from: manygate, or manygate-serving, which has no torch."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTIONS = ("manygate", "manygate-serving")
BOTH = (
    "manygate and manygate-serving are both installed here. They write the same files, so that one of them is broken. "
    "Remove both, and install the one that you need."
)


def installed() -> dict[str, str]:
    """Return the versions of the distributions that are installed here."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def distribution_version() -> str:
    """Return the version of the installed distribution."""
    return next(iter(installed().values()), "unknown")
