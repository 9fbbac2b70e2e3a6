"""Freed memory is kept where the C library can."""

from __future__ import annotations

import sys

from manygate.training import memory
from manygate.training.memory import keep_freed_memory


def test_freed_memory_is_kept_where_the_c_library_can(monkeypatch):
    calls = []

    class Library:
        def __init__(self, agrees: bool):
            self.agrees = agrees

        def mallopt(self, option: int, value: int) -> int:
            calls.append((option, value))
            return int(self.agrees)

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: Library(True))
    assert keep_freed_memory()
    assert calls == [(-3, 2**30), (-1, 2**31 - 1)]
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: Library(False))
    assert not keep_freed_memory()
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    assert not keep_freed_memory(), "another C library"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
