"""How the C library hands memory back: with many replicas it would do so after every operation."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks for the next tensor; returns whether it agreed (False on other systems).

    Blocks above 32 MB are otherwise mapped and unmapped for each tensor, and the kernel zeroes their pages each time: elementwise
    operations on 37 MB ran at 4 GB/s, and at 32 GB/s without it. The process holds on to its peak memory in return.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))
