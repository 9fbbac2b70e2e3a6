"""The distribution that this code was installed from: manygate, or manygate-serving, which has no torch."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTIONS = ("manygate", "manygate-serving")


def distribution_version() -> str:
    """Return the version of the installed distribution."""
    for name in DISTRIBUTIONS:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"
