"""How much memory there is, and how the C library hands it back: with many replicas it would do so after every operation."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGEST = 2**31 - 1


def free_memory() -> float:
    """Bytes that can be had now; infinite where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = {name: value for name, _, value in (line.partition(":") for line in lines)}
        return 1024.0 * int(found["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError, IndexError):
        return all_memory() / 2


def all_memory() -> float:
    """Bytes of the machine's memory; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks for the next tensor; returns whether it agreed (False on other systems).

    Blocks above 32 MB are otherwise mapped and unmapped for each tensor, and the kernel zeroes their pages each time: elementwise
    operations on 37 MB ran at 4 GB/s, and at 32 GB/s without it. The process holds on to its peak memory in return.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))
