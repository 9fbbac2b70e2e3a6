"""Memory: what the machine, a container and a limit leave is read, and running out of it is an error with a remedy."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from manygate.data import memory
from manygate.data.memory import all_memory, enough_memory, free_memory, gigabytes
from manygate.errors import InputError

MEMINFO = "MemTotal:       16000000 kB\nMemFree:  100 kB\nMemAvailable:   12345678 kB\n"
CGROUP = "/sys/fs/cgroup"


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The files of a system by path; others do not exist. Without a change there is no limit and no container."""
    files = {"/proc/meminfo": MEMINFO, "/proc/self/statm": "1000 5 5 5 0 5 0"}

    def read(self: Path, encoding: str) -> str:
        if str(self) not in files:
            raise FileNotFoundError(str(self))
        return files[str(self)]

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 4_000_000}.__getitem__)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return files


def test_free_memory_is_what_the_system_calls_available(system: dict[str, str]) -> None:
    assert free_memory() == 12345678 * 1024
    assert all_memory() == 4096 * 4_000_000


@pytest.mark.parametrize("content", ["", "MemTotal: 5 kB\n", "MemAvailable: many kB\n", "MemAvailable:\n", None])
def test_where_it_is_not_written_half_of_all_memory_counts(system: dict[str, str], content: str | None) -> None:
    if content is None:
        del system["/proc/meminfo"]
    else:
        system["/proc/meminfo"] = content
    assert free_memory() == 4096 * 2_000_000


@pytest.mark.parametrize(
    ("limit", "used"),
    [("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")],
)
def test_a_container_s_limit_counts(system: dict[str, str], limit: str, used: str) -> None:
    system |= {f"{CGROUP}/{limit}": "3000000000\n", f"{CGROUP}/{used}": "1000000000\n"}
    assert free_memory() == 2e9
    assert all_memory() == 3e9


def test_a_container_without_a_limit_does_not(system: dict[str, str]) -> None:
    system |= {f"{CGROUP}/memory.max": "max\n", f"{CGROUP}/memory.current": "1000\n"}
    assert free_memory() == 12345678 * 1024
    assert all_memory() == 4096 * 4_000_000


def test_a_limit_of_the_address_space_counts(system: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (10_000_000, 20_000_000))
    assert all_memory() == 10_000_000
    assert free_memory() == 10_000_000 - 1000 * 4096
    system["/proc/self/statm"] = "9000 1"
    assert free_memory() == 0
    del system["/proc/self/statm"]
    assert free_memory() == 10_000_000


def test_a_system_that_reports_nothing_has_no_bound(system: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", unknown)
    assert all_memory() == float("inf")


def numpy_error() -> None:
    np.zeros(2**62, dtype=np.int8)


def arrow_error() -> None:
    pa.allocate_buffer(2**62)


@pytest.mark.parametrize("allocate", [numpy_error, arrow_error, lambda: bytes(2**62)])
def test_memory_that_runs_out_says_what_to_do(allocate: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2.5e9)
    with (
        pytest.raises(InputError, match=r"^log\.parquet: memory ran out \(2\.5 GB are free\)\. Give fewer rows\.$"),
        enough_memory("log.parquet", "Give fewer rows."),
    ):
        allocate()  # type: ignore[operator]


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), enough_memory("log", "Give fewer rows."):
        raise KeyError("x")


def test_gigabytes_have_two_digits() -> None:
    assert [gigabytes(amount) for amount in (0, 5e6, 1e8, 9.94e9, 1e10, 2e12)] == [
        "0.00 GB",
        "0.01 GB",
        "0.1 GB",
        "9.9 GB",
        "10 GB",
        "2,000 GB",
    ]
