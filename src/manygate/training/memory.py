"""Measures the free memory, and lets the C library keep freed memory for the next tensors."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGEST = 2**31 - 1


def free_memory() -> float:
    """Return the bytes of available memory. If the system does not report them, return half of all memory."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        values = {name: value for name, _, value in (line.partition(":") for line in lines)}
        return 1024.0 * int(values["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError, IndexError):
        return all_memory() / 2


def all_memory() -> float:
    """Return the bytes of the machine's memory. Return infinity if the system does not report them."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks for the next tensor. Return true if glibc accepted this; other systems return false.

    By default glibc maps and unmaps blocks above 32 MB for each tensor, and the kernel zeroes their pages each time. Elementwise
    operations on 37 MB ran at 4 GB/s by default, and at 32 GB/s with kept blocks. In return the process keeps its peak memory.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))
