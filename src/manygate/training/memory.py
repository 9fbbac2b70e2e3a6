"""Lets the C library keep freed memory for the next tensors."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks for the next tensor. Return true if glibc accepted this; other systems return false.

    By default glibc maps and unmaps blocks above 32 MB for each tensor, and the kernel zeroes their pages each time. Elementwise
    operations on 37 MB ran at 4 GB/s by default, and at 32 GB/s with kept blocks. In return the process keeps its peak memory.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))
