"""Large pages are asked for where they can be had, for whole pages alone."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from manygate.kernels import large_pages
from manygate.kernels.large_pages import in_large_pages

PAGE = 2**21


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []

    class Library:
        def madvise(self, begin: Any, size: Any, advice: int) -> int:
            found.append((begin.value, size.value, advice))
            return -1

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(large_pages.ctypes, "CDLL", lambda _: Library())
    return found


@pytest.mark.parametrize("size", [2 * PAGE, 3 * PAGE + 5, 7 * PAGE - 1])
def test_only_whole_pages_of_the_tensor_are_asked_for(calls, size: int):
    tensor = torch.empty(size, dtype=torch.uint8)
    assert in_large_pages(tensor) is tensor
    ((begin, length, advice),) = calls
    assert begin % PAGE == 0
    assert length % PAGE == 0
    assert tensor.data_ptr() <= begin < tensor.data_ptr() + PAGE
    assert tensor.data_ptr() + size - PAGE < begin + length <= tensor.data_ptr() + size
    assert advice == 14


def test_nothing_is_asked_for_small_tensors_other_devices_and_other_systems(calls, monkeypatch):
    in_large_pages(torch.empty(10))
    in_large_pages(torch.empty(0))
    in_large_pages(torch.empty(PAGE, device="meta"))
    monkeypatch.setattr(sys, "platform", "darwin")
    in_large_pages(torch.empty(PAGE))
    assert calls == []


def test_a_real_table_can_be_written_and_read():
    table = in_large_pages(torch.empty(300_000, 16)).fill_(3.0)
    assert (table == 3).all()
