"""Measures the memory of the machine and of this process's limits, and turns running out of it into an error with a remedy."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from manygate.errors import InputError, setting

_CGROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""The limit and the use of a container's memory, of cgroup 2 and of cgroup 1."""


def free_memory() -> float:
    """Return the bytes that this process can still use: what the machine, the container and ``ulimit -v`` leave.

    If the system does not report its free memory, half of all memory counts. The processes of one run that torchrun started on
    this machine share it evenly.
    """
    of_all = min(_available(), _container_left()) / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(min(of_all, _limit_left()), 0.0)


def all_memory() -> float:
    """Return the bytes of memory that this process may use in all. Return infinity if the system does not report them."""
    return min(_physical(), *(_number(limit) for limit, _ in _CGROUP_FILES), _limit())


def gigabytes(amount: float) -> str:
    """Bytes as a person reads them.

    >>> gigabytes(34e9), gigabytes(2.5e9), gigabytes(12e6)
    ('34 GB', '2.5 GB', '0.01 GB')
    """
    return f"{amount / 1e9:,.0f} GB" if amount >= 10e9 else f"{amount / 1e9:.1f} GB" if amount >= 1e8 else f"{amount / 1e9:.2f} GB"


def memory_size(text: str) -> int:
    """Return the bytes of an amount of memory such as 4GiB or 500MB.

    Raises:
        InputError: It is no such amount.

    >>> memory_size("4GiB"), memory_size("500 MB")
    (4294967296, 500000000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text, re.IGNORECASE)
    if match is None:
        raise InputError(f"{setting('memory', text)}: expected an amount of memory such as 4GiB or 500MB.")
    number, unit, binary = match.groups()
    return round(float(number) * (1024 if binary else 1000) ** (" kmgt".index(unit.lower()) if unit else 0))


@contextmanager
def enough_memory(what: str, remedy: str) -> Iterator[None]:
    """Turn a :class:`MemoryError` of Python, NumPy or Arrow into an :class:`InputError`."""
    try:
        yield
    except MemoryError:
        raise InputError(f"{what}: memory ran out ({gigabytes(free_memory())} are free). {remedy}") from None


def _available() -> float:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        values = {name: value for name, _, value in (line.partition(":") for line in lines)}
        return 1024.0 * int(values["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError, IndexError):
        return _physical() / 2


def _physical() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _number(path: str) -> float:
    """The number in a file of the system; infinity without one, as for "max"."""
    try:
        return float(int(Path(path).read_text(encoding="ascii")))
    except (OSError, ValueError):
        return float("inf")


def _container_left() -> float:
    limits = [(_number(limit), _number(used)) for limit, used in _CGROUP_FILES]
    return min(limit - used if used < limit < float("inf") else float("inf") for limit, used in limits)


def _limit() -> float:
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return float("inf") if soft == resource.RLIM_INFINITY else float(soft)


def _limit_left() -> float:
    """What ``ulimit -v`` leaves of the address space."""
    if _limit() == float("inf"):
        return _limit()
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return _limit()
    return _limit() - pages * float(os.sysconf("SC_PAGE_SIZE"))
