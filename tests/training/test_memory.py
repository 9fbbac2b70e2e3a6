"""Memory: what the system reports is read, and a system that reports nothing gives infinity."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from manygate.training import memory
from manygate.training.memory import all_memory, free_memory, keep_freed_memory

MEMINFO = "MemTotal:       16000000 kB\nMemFree:  100 kB\nMemAvailable:   12345678 kB\n"


def test_free_memory_is_what_the_system_calls_available(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: MEMINFO)
    assert free_memory() == 12345678 * 1024


@pytest.mark.parametrize("content", ["", "MemTotal: 5 kB\n", "MemAvailable: many kB\n", "MemAvailable:\n"])
def test_where_it_is_not_written_half_of_all_memory_counts(monkeypatch, content):
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: content)
    monkeypatch.setattr(memory, "all_memory", lambda: 600.0)
    assert free_memory() == 300.0


def test_without_the_file_half_of_all_memory_counts(monkeypatch):
    def missing(self: Path, encoding: str) -> str:
        raise FileNotFoundError(str(self))

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(memory, "all_memory", lambda: 600.0)
    assert free_memory() == 300.0


def test_all_memory_is_pages_times_their_size(monkeypatch):
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}.__getitem__)
    assert all_memory() == 4_096_000.0


def test_a_system_that_reports_nothing_has_no_bound(monkeypatch):
    def unknown(name: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", unknown)
    assert all_memory() == float("inf")


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
