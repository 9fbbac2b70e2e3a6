"""Memory that was freed goes back to the machine."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from manygate.serving import memory
from manygate.serving.memory import give_back

SIZE, COUNT = 1000, 50_000


def resident() -> int:
    """The resident memory of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not that of GNU")
def test_freed_memory_goes_back() -> None:
    library = ctypes.CDLL(None)
    library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    blocks = [library.malloc(SIZE) for _ in range(COUNT)]
    for block in blocks:
        ctypes.memset(block, 1, SIZE)
    for block in blocks[:-1]:  # the last one holds the end of the heap, so that free() alone gives nothing back
        library.free(block)
    before = resident()
    assert give_back()
    assert before - resident() > SIZE * COUNT / 2
    library.free(blocks[-1])


def test_another_c_library_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not give_back()
